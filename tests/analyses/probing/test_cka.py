"""CKA: one for a rotated copy, nothing for independent layers, and the definition itself."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core.errors import DataError
from workbench.numerics.resampling import random_frame
from workbench.numerics.similarity import LeftOut, alignment, centred, gram

FEW = {"n_null": 19}


def layers(*arrays: np.ndarray, **columns: object) -> wb.Activations:
    import pandas as pd

    sites = {f"layer.{i}": a for i, a in enumerate(arrays)}
    return wb.Activations(sites, pd.DataFrame(columns, index=range(len(arrays[0]))), name="layers")


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("debiased", [True, False])
def test_known_answer_a_rotated_scaled_copy_is_the_same(kernel: str, debiased: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 6))
    result = wb.cka(layers(x, 5 * x @ random_frame(6, 6, rng) + 3), kernel=kernel, debiased=debiased, **FEW)
    assert np.allclose(result.values, 1, atol=1e-8)
    assert result.evidence[0].p_value == 0.05


def test_known_answer_debiased_is_zero_on_average_for_independent_layers() -> None:
    rng = np.random.default_rng(1)
    values = [
        wb.cka(layers(*rng.standard_normal((2, 30, 200))), debiased=debiased, n_null=0).values[0, 1]
        for debiased in [True] * 100 + [False]
    ]
    assert abs(np.mean(values[:100])) < 4 * np.std(values[:100]) / 10
    assert values[100] > 0.8  # what the bias does to 30 rows in 200 dimensions


def test_peer_is_the_definition_with_sums_over_rows() -> None:
    """No maintained library has the debiased form; the estimator is written out as Song et al. (2012), eq. 5."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((25, 4))
    y = np.hstack([x[:, :2], rng.standard_normal((25, 3))])

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        k, g = (m @ m.T * (1 - np.eye(25)) for m in (a, b))
        n, one = 25, np.ones(25)
        return (
            np.trace(k @ g)
            + (one @ k @ one) * (one @ g @ one) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * one @ k @ g @ one
        ) / (n * (n - 3))

    expected = hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))
    assert np.isclose(wb.cka(layers(x, y), **FEW).values[0, 1], expected)


@pytest.mark.slow
def test_calibrated_for_independent_layers() -> None:
    def p(seed: int) -> float:
        x, y = np.random.default_rng(seed).standard_normal((2, 20, 5))
        view = layers(x, y).view(wb.cka.inputs[0].takes)
        return wb.cka.function(view, n_null=19, random_state=seed).evidence[0].p_value

    assert_calibrated(p)


@pytest.mark.slow
def test_intervals_cover_the_value_of_many_rows() -> None:
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((3000, 4))
        y = x + rng.standard_normal((3000, 4))
        few = wb.cka(layers(x[:200], y[:200]), n_null=0)
        truth = 0.5  # |cov(x, y)|² / (|cov(x)| |cov(y)|) = 4 / (2 · 4)
        covered += few.low[0, 1] <= truth <= few.high[0, 1]
    assert covered >= 34


def of_texts(rng: np.random.Generator, sizes: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two layers that have nothing in common but the texts that their rows are of."""
    text = np.repeat(np.arange(len(sizes)), sizes)
    x, y = (
        2 * rng.standard_normal((len(sizes), 4))[text] + rng.standard_normal((len(text), 4)) for _ in range(2)
    )
    return x, y, text


def test_texts_in_common_are_nothing_in_common() -> None:
    """Rows permuted would find the texts: rows of one are alike in both layers."""
    x, y, text = of_texts(np.random.default_rng(4), [10] * 20)
    fooled = wb.cka(layers(x, y), **FEW).evidence[0]
    honest = wb.cka(layers(x, y, text_id=text), **FEW).evidence[0]
    assert fooled.p_value == 0.05
    assert honest.p_value > 0.1
    assert (honest.null, honest.null_name) == ("whole texts permuted", "independent_given_groups")
    assert honest.groups == "20 texts"


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[5] * 12, [2, 3, 4, 5, 6, 8] * 2], ids=["of one size", "of any size"])
def test_calibrated_for_layers_that_share_texts(sizes: list[int]) -> None:
    def p(seed: int) -> float:
        x, y, text = of_texts(np.random.default_rng(seed), sizes)
        view = layers(x, y, text_id=text).view(wb.cka.inputs[0].takes)
        return wb.cka.function(view, n_null=19, random_state=seed).evidence[0].p_value

    assert_calibrated(p)


def test_rows_of_one_token_count_once() -> None:
    rng = np.random.default_rng(5)
    token = np.tile(np.arange(30), 5)
    x, y = (rng.standard_normal((30, 4))[token] + 0.1 * rng.standard_normal((150, 4)) for _ in range(2))
    result = wb.cka(layers(x, y, token=token.astype(str)), **FEW)
    assert result.evidence[0].n == 30
    assert result.evidence[0].p_value > 0.05
    assert "One row of each token" in result.caveat


def test_few_texts_are_left_untested_and_without_an_interval() -> None:
    x, y, text = of_texts(np.random.default_rng(6), [10] * 4)
    result = wb.cka(layers(x, y, text_id=text), **FEW)
    assert result.evidence[0].p_value is None and "4 texts" in result.evidence[0].untested
    assert result.evidence[0].interval is None and not len(result.low)


def test_more_rows_than_the_control_takes_are_compared_and_said() -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((700, 3))
    evidence = wb.cka(layers(x, x + rng.standard_normal((700, 3))), **FEW).evidence[0]
    assert evidence.n == 700 and evidence.p_value == 0.05
    assert "500 of the rows" in evidence.null_details


@pytest.mark.parametrize("debiased", [True, False])
def test_alignments_without_one_block_or_two_are_those_of_the_other_rows(debiased: bool) -> None:
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((40, 5)), rng.standard_normal((40, 3))
    kernels = [gram(a, "linear") for a in (x, y, x[:, :3] + y)]
    blocks = rng.permutation(40) % 7
    one, two = LeftOut(kernels, blocks, debiased=debiased).alignments()

    def anew(*gone: int) -> np.ndarray:
        rest = np.flatnonzero(~np.isin(blocks, gone))
        return alignment([centred(k[np.ix_(rest, rest)], debiased=debiased) for k in kernels])

    assert np.allclose(one, [anew(block) for block in range(7)])
    assert np.allclose(two, [anew(*pair) for pair in itertools.combinations(range(7), 2)])


def test_layers_without_anything_to_compare_are_refused() -> None:
    x = np.random.default_rng(3).standard_normal((20, 3))
    with pytest.raises(DataError, match=r"layer\.1 are equal"):
        wb.cka(layers(x, np.ones((20, 2))))
    with pytest.raises(DataError, match="at least 8"):
        wb.cka(layers(x[:5], x[:5]))
