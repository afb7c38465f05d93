"""Hopfield: energy that falls where it is proven to and rises where it may, and how much is stored."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.hopfield import (
    energy,
    hebb,
    largest_falling_step,
    pseudo_inverse,
    recall,
    settle,
    step,
)


def weights(n: int, rng: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    w = scale * rng.standard_normal((n, n)) / np.sqrt(n)
    return (w + w.T) / np.sqrt(2)


def rises(w: np.ndarray, h: float, rng: np.random.Generator, steps: int = 200, starts: int = 100) -> int:
    """Steps in which the energy rose by more than rounding."""
    r, given = np.tanh(rng.standard_normal((starts, len(w)))), rng.standard_normal(len(w))
    before, count = energy(r, w, given), 0
    for _ in range(steps):
        r = step(r, w, h, given)
        after = energy(r, w, given)
        count += int((after > before + 1e-10 * (1 + np.abs(before))).sum())
        before = after
    return count


@pytest.mark.parametrize("scale", [0.8, 3.0])
def test_energy_falls_at_every_step_up_to_the_proven_one(scale: float) -> None:
    rng = np.random.default_rng(0)
    w = weights(40, rng, scale)
    assert rises(w, largest_falling_step(w), rng) == 0
    assert rises(w, 0.5 * largest_falling_step(w), rng) == 0
    positive = w @ w
    assert largest_falling_step(positive) == pytest.approx(1)
    assert rises(positive, 0.999, rng) == 0


def test_energy_rises_with_a_step_of_one_and_with_weights_that_are_not_symmetric() -> None:
    rng = np.random.default_rng(1)
    w = weights(40, rng, 3.0)
    assert rises(w, 0.999, rng) > 100
    turning = 3 * rng.standard_normal((40, 40)) / np.sqrt(40)
    assert rises(turning, 0.1, rng) > 100
    with pytest.raises(DataError, match="symmetric"):
        largest_falling_step(turning)


def test_a_step_of_a_half_is_not_short_enough_for_every_symmetric_matrix() -> None:
    """One node that inhibits itself strongly swings from side to side."""
    w = np.array([[-30.0]])
    assert largest_falling_step(w) == pytest.approx(1 / 16)
    assert rises(w, 0.5, np.random.default_rng(2)) > 100
    assert rises(w, 1 / 16, np.random.default_rng(2)) == 0


def overlap(load: float, n: int = 1500, asked: int = 60) -> float:
    """Mean overlap of stored patterns with where they come to rest, begun from themselves."""
    rng = np.random.default_rng(3)
    stored = rng.choice([-1.0, 1.0], (round(load * n), n))
    rested, _ = settle(stored[:asked], hebb(stored), sweeps=60)
    return float((rested * stored[:asked]).mean())


@pytest.mark.parametrize(
    ("load", "low", "high"), [(0.10, 0.98, 1.0), (0.138, 0.9, 1.0), (0.15, 0.0, 0.9), (0.18, 0.0, 0.6)]
)
def test_hebb_keeps_patterns_below_its_capacity_and_loses_them_above(
    load: float, low: float, high: float
) -> None:
    assert low <= overlap(load) <= high


def test_pseudo_inverse_stores_all_that_is_independent_and_corrects_only_a_few() -> None:
    rng = np.random.default_rng(4)
    n = 200
    for load in (0.1, 0.7, 1.0):
        stored = rng.choice([-1.0, 1.0], (round(load * n), n))
        w = pseudo_inverse(stored)
        np.testing.assert_allclose(stored @ w, stored, atol=1e-8)
        damaged = np.where(rng.random(stored.shape) < 0.05, -stored, stored)
        mended = (settle(damaged, w)[0] == stored).all(axis=1).mean()
        if load == 0.1:
            assert mended == 1
        elif load == 0.7:
            assert mended < 0.02
    with pytest.raises(DataError, match="independent"):
        pseudo_inverse(np.concatenate([stored, stored[:1]]))


def test_a_modern_memory_recalls_from_100_000() -> None:
    rng = np.random.default_rng(5)
    stored = rng.standard_normal((100_000, 64)).astype(np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    which = rng.integers(0, len(stored), 50)
    damaged = stored[which] + 0.3 / 8 * rng.standard_normal((50, 64)).astype(np.float32)
    found = recall(damaged, stored, sharpness=32.0, steps=2)
    assert ((found * stored[which]).sum(axis=1) > 0.99).all()
    blurred = recall(damaged, stored, sharpness=2.0, steps=2)
    assert (np.linalg.norm(blurred, axis=1) < 0.5).all()  # a mean of all of them
    with pytest.raises(ParameterError, match="above 0"):
        recall(damaged, stored, sharpness=0.0)
