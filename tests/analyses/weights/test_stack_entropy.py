"""Stack entropy: multiples of one matrix share all, layers of their own share nothing, and their broken twins are caught."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.analyses.weights.tensor_decomposition import signed
from workbench.calibrating.worlds.stacks import own_directions, shared_directions
from workbench.core.errors import DataError


def stack(x: np.ndarray) -> wb.WeightStack:
    return wb.WeightStack({f"layer.{i}": w for i, w in enumerate(x)})


def test_known_answer_of_multiples_and_of_layers_that_have_nothing_in_common() -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal((24, 16))
    multiples = wb.stack_entropy(stack(np.stack([one, -2 * one, 0.5 * one])), n_null=39)
    assert multiples.y[0, 0] == pytest.approx(0, abs=1e-6)
    assert multiples.evidence_of("layers_share").p_value == 1 / 40
    apart = np.zeros((3, 24, 16))
    for i in range(3):
        apart[i, 8 * i : 8 * i + 8] = rng.choice((-1.0, 1.0), (8, 16))  # no row in two layers
    result = wb.stack_entropy(stack(apart), n_null=39)
    assert result.y[0, 0] == pytest.approx(np.log(3))
    assert result.evidence_of("layers_share").p_value > 0.5


def test_peer_is_numpy() -> None:
    """Of every cut of layers, rows and columns, by the singular values of the reshaped tensor."""
    x = np.random.default_rng(1).standard_normal((3, 6, 4))
    result = wb.stack_entropy(stack(x), n_null=0)
    lengths = [3, 9, 18, 36]
    for got, left in zip(result.y[:, 0], lengths, strict=True):
        p = np.linalg.svd(x.reshape(left, -1), compute_uv=False) ** 2
        p /= p.sum()
        assert got == pytest.approx(-(p * np.log(p)).sum())
    assert result.x_names[0] == "1: layers | all else" and "rows | columns" in result.x_names[2]


def test_layers_that_share_are_found_and_the_broken_twin_is_not() -> None:
    """The same layers, signs of rows and columns turned in each: every spectrum and every size is what it was."""
    x = shared_directions(np.random.default_rng(1))
    shared = wb.stack_entropy(stack(x), n_null=39)
    twin = wb.stack_entropy(stack(signed(x, np.random.default_rng(2))), n_null=39)
    assert shared.evidence_of("layers_share").p_value == 1 / 40
    assert twin.evidence_of("layers_share").p_value > 1 / 40
    assert shared.evidence_of("entropy").p_value == twin.evidence_of("entropy").p_value == 1 / 40
    assert (shared.null_low[1:4, 0] > shared.y[1:4, 0]).any()


def test_norms_that_differ_are_no_finding() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 24, 16)) * np.array([1.0, 5, 0.2, 2])[:, None, None]
    answers = wb.stack_entropy(stack(x), n_null=39)
    assert answers.y[0, 0] < 0.5 * np.log(4) and answers.evidence_of("layers_share").p_value > 0.05


def test_calibrated_where_layers_share_scales_alone() -> None:
    def p_value(seed: int) -> float | None:
        x = own_directions(np.random.default_rng(seed))
        result = wb.stack_entropy.function(stack(x).as_stack(), n_null=19, random_state=seed)
        return result.evidence_of("layers_share").p_value

    assert_calibrated(p_value, runs=100)


def test_a_block_is_the_same_neighbours_in_each_layer() -> None:
    x = np.random.default_rng(4).standard_normal((2, 64, 6))
    result = wb.stack_entropy(stack(x), largest_side=16, n_null=0)
    blocks = [np.linalg.svd(x[:, i : i + 16].reshape(2, -1), compute_uv=False) ** 2 for i in (0, 16, 32, 48)]
    found = [-((p / p.sum()) * np.log(p / p.sum())).sum() for p in blocks]
    assert np.isclose(found, result.y[0, 0]).any() and "aligned block of 16 x 6" in result.caveat


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="prime factor 67"):
        wb.stack_entropy(stack(np.ones((2, 67, 4))))
    with pytest.raises(DataError, match="zero"):
        wb.stack_entropy(stack(np.zeros((2, 4, 4))))
    bad = np.ones((2, 4, 4))
    bad[1, 2, 1] = np.nan
    with pytest.raises(DataError, match=r"layer\.1"):
        wb.stack_entropy(stack(bad))
