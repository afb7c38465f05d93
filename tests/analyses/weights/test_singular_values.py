"""Singular values: planted directions are counted, scattered entries have none."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.analyses.weights.singular_values import effective_rank, stable_rank
from workbench.core.errors import DataError
from workbench.core.views import Matrix


def matrix(values: np.ndarray) -> Matrix:
    return Matrix("w", "w", "w", values)


def ask(values: np.ndarray, **parameters: int):
    return wb.singular_values.function(matrix(values), **{"n_null": 19, "n_boot": 10, **parameters})


def test_known_answer_planted_directions_are_counted() -> None:
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((n, 3)))[0] for n in (200, 120))
    spikes = np.array([3.0, 2.5, 2.0]) * (np.sqrt(200) + np.sqrt(120))
    result = ask(rng.standard_normal((200, 120)) + u * spikes @ v.T)
    assert result.caveat.startswith("3 of 120 singular values")
    assert (result.values[:3] > result.null_high[:3]).all()
    assert result.evidence[0].p_value == 0.05


def test_known_answer_the_null_band_is_marchenko_and_pasturs() -> None:
    rng = np.random.default_rng(1)
    result = ask(rng.standard_normal((400, 100)))
    assert abs(result.null_high[0] / (np.sqrt(400) + np.sqrt(100)) - 1) < 0.05
    assert abs(result.null_low[-1] / (np.sqrt(400) - np.sqrt(100)) - 1) < 0.1


def test_known_answer_ranks_of_equal_and_of_one_singular_value() -> None:
    assert np.isclose(stable_rank(np.ones(7)), 7)
    assert np.isclose(effective_rank(np.ones(7)), 7)
    one = np.array([3.0, 0, 0])
    assert (stable_rank(one), effective_rank(one)) == (1, 1)


def test_peer_is_numpys_decomposition() -> None:
    w = np.random.default_rng(2).standard_normal((30, 50)).astype(np.float32)
    assert np.allclose(ask(w).values, np.linalg.svd(w.astype(float), compute_uv=False), rtol=1e-6)


@pytest.mark.parametrize("statistic", [0, 1, 2])
def test_calibrated_on_scattered_entries(statistic: int) -> None:
    def p(seed: int) -> float:
        w = np.random.default_rng(seed).standard_t(5, (15, 10))
        return ask(w, n_boot=0, random_state=seed).evidence[statistic].p_value

    assert_calibrated(p)


def test_what_has_no_direction_is_refused() -> None:
    with pytest.raises(DataError, match="no direction"):
        ask(np.zeros((4, 4)))
    with pytest.raises(DataError, match="two rows"):
        ask(np.ones((1, 4)))
