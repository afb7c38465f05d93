"""What several tests need: calibration of p-values, and comparison up to rotation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import binom


def assert_calibrated(p_value: Callable[[int], float], *, runs: int = 200, level: float = 0.05) -> None:
    """Assert that a test rejects a true null at its level.

    ``p_value(seed)`` draws data for which the null holds and returns the p-value. The number of rejections
    must lie within the middle 99.9 % of the binomial with the level's rate. Use a number of null draws m
    with ``level * (m + 1)`` whole (19, 39, 99), where the Monte-Carlo test is exact.
    """
    rejected = sum(p_value(seed) <= level for seed in range(runs))
    low, high = binom.ppf([0.0005, 0.9995], runs, level)
    assert low <= rejected <= high, (
        f"{rejected} of {runs} true nulls rejected at {level}; {low:.0f} to {high:.0f} expected"
    )


def procrustes_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Relative distance of two (n, d) configurations after the best translation, rotation and scale."""
    from scipy.spatial import procrustes

    return float(np.sqrt(procrustes(np.asarray(a, float), np.asarray(b, float))[2]))
