"""Matrices a few rows at a time: the sums and singular values of the whole, and bounds that hold."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.core.lazy import LazyTensor
from workbench.numerics import streamed
from workbench.numerics.spectra import effective_rank
from workbench.numerics.streamed import LOST, as_rows, gram_spectrum, leading_value, measure, sketch

SHAPES = [(90, 40), (40, 90), (50, 50), (7, 1), (1, 7)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "_NUMBERS", 700)


def noise(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_known_answer_sums_and_singular_values_are_the_wholes(shape: tuple[int, int]) -> None:
    w = noise(shape)
    w[0, 0] = 0
    keep = np.arange(0, shape[0], 3)
    sums = measure(LazyTensor.of(w), gram=True, keep=keep)
    wide = w.astype(np.float64)
    assert np.allclose(sums.rows, np.square(wide).sum(1)) and np.allclose(
        sums.columns, np.square(wide).sum(0)
    )
    assert (sums.total, sums.square) == pytest.approx((wide.sum(), np.square(wide).sum()))
    assert (sums.largest, sums.zeros) == (np.abs(w).max(), 1)
    assert np.array_equal(sums.kept, w[keep])
    s = np.linalg.svd(wide, compute_uv=False)
    assert np.abs(gram_spectrum(sums.gram) - s).max() < 1e-7 * s[0]


def test_values_under_the_loss_are_lost_and_others_are_not() -> None:
    u, v = (np.linalg.qr(noise((n, 5), n))[0] for n in (60, 30))
    planted = np.array([1.0, 1e-3, 3e-7, 1e-10, 1e-12])
    sums = measure(LazyTensor.of((u * planted) @ v.T), gram=True, keep=np.empty(0, np.int64))
    s = gram_spectrum(sums.gram)[:5]
    kept = s >= LOST * s[0]
    assert kept[:3].all()
    assert np.allclose(s[:2], planted[:2], rtol=1e-6)
    assert not kept[3:].any()


@pytest.mark.parametrize("shape", [(90, 40), (40, 90)])
def test_what_is_not_finite_is_counted_and_the_first_located(shape: tuple[int, int]) -> None:
    w = noise(shape)
    w[33, 5], w[33, 7], w[38, 0] = np.inf, np.nan, -np.inf
    sums = measure(LazyTensor.of(w), gram=False, keep=np.empty(0, np.int64))
    assert (sums.nan, sums.infinite, sums.first, sums.zeros) == (1, 2, (33, 5), 0)
    assert np.isfinite(sums.square) and sums.square == pytest.approx(
        np.square(w[np.isfinite(w)]).sum(), rel=1e-5
    )


@pytest.mark.parametrize("kind", ["noise", "spikes", "decay"])
@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
def test_peer_numpys_singular_values_lie_in_the_bounds_of_a_sketch(kind: str, shape: tuple[int, int]) -> None:
    w = noise(shape).astype(np.float64)
    if kind == "spikes":
        w += 60 * np.outer(noise((shape[0], 1)), noise((1, shape[1]), 1)) / np.sqrt(shape[0] * shape[1])
    if kind == "decay":
        w = w * np.geomspace(1, 1e-4, shape[1])
    s = np.linalg.svd(w, compute_uv=False)
    found = sketch(LazyTensor.of(w), 8, np.random.default_rng(1))
    nearest = np.abs(found.top[:, None] - s).min(axis=1)
    assert (nearest <= found.bound + 1e-12 * s[0]).all()
    assert found.bound[0] < 1e-3 * s[0]
    assert found.top[0] == pytest.approx(s[0], rel=1e-5)
    assert abs(found.effective_rank - effective_rank(s)) < 5 * found.effective_rank_error + 0.02 * len(s)
    assert abs(np.median(found.bulk) - np.median(s)) < 0.05 * s[0]


def test_a_bound_of_too_few_steps_is_wide_and_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "STEPS", 2)
    w = noise((300, 200)).astype(np.float64)
    s = np.linalg.svd(w, compute_uv=False)
    found = sketch(LazyTensor.of(w), 8, np.random.default_rng(1))
    assert found.bound[0] > 1e-3 * s[0]
    assert (np.abs(found.top[:, None] - s).min(axis=1) <= found.bound).all()


def test_a_matrix_of_low_rank_is_sketched() -> None:
    w = np.outer(np.arange(1.0, 41), np.ones(30)) + np.outer(np.ones(40), np.arange(30.0))
    found = sketch(LazyTensor.of(w), 6, np.random.default_rng(2))
    s = np.linalg.svd(w, compute_uv=False)
    assert np.allclose(found.top[:2], s[:2], rtol=1e-9)
    assert np.isfinite(found.bound).all() and found.effective_rank < 3


def test_the_leading_value_is_at_most_the_true_one_and_soon_near() -> None:
    w = noise((80, 60))
    s = float(np.linalg.svd(w, compute_uv=False)[0])
    start = noise((60, 1))[:, 0]
    values = [leading_value(w, start, steps) for steps in (1, 4, 16, 60)]
    assert values == sorted(values) and values[-1] <= s * (1 + 1e-5)
    assert values[2] == pytest.approx(s, rel=0.02) and values[3] == pytest.approx(s, rel=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize("shape", [(60, 50), (320, 320)])
def test_the_leading_value_of_few_directions_is_not_that_of_rounding(
    rank: int, shape: tuple[int, int]
) -> None:
    w = noise((shape[0], rank)) @ noise((rank, shape[1]), 1)
    start = noise((shape[1], 1), 2)[:, 0]
    s = float(np.linalg.svd(w, compute_uv=False)[0])
    assert leading_value(w, start, 16) == pytest.approx(s, rel=1e-4)


def test_more_dimensions_are_rows() -> None:
    w = noise((6, 20)).reshape(6, 5, 4)
    assert np.array_equal(as_rows(LazyTensor.of(w)).whole(), w.reshape(6, 20))
