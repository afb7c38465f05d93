"""Where a power law's tail begins: its distance from the data for each beginning, with those left early that can't win."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from jaxtyping import Float

_COARSE = 64  # beginnings that are tried first, evenly spaced, so that a near one is known before the others are tried
_PROBES = 16  # values of a tail, evenly spaced, that are looked at before all of it


@njit(nogil=True, cache=True)
def best_start(logs: Float[np.ndarray, " n"], least: int) -> tuple[int, float]:
    """Where the tail begins whose power law lies nearest to it, and how near (Kolmogorov and Smirnov).

    The answer is that of trying every beginning in turn, the first of several that are equally near. A beginning is given up at
    the first value that is farther from its law than the nearest is anywhere: looked for where the one before was
    given up, at some values evenly spaced, and then at all.

    Parameters
    ----------
    logs : logarithms of the values, ascending. least : fewest values of a tail.
    """
    n = len(logs)
    sums = np.zeros(n + 1)
    for i in range(n - 1, -1, -1):
        sums[i] = sums[i + 1] + logs[i]
    best, nearest, found_at = 0, np.inf, 0
    many = n - least + 1
    coarse = max(1, many // _COARSE)
    # invariant: ``nearest`` is the distance of ``best``, the first of the nearest so far; ``found_at`` the value that was farthest
    # from the last law that was tried, counted from the end, which is where it stays as the beginning moves
    for turn in range(2):
        for i in range(0, many, coarse if turn == 0 else 1):
            if (i and logs[i] == logs[i - 1]) or (turn == 1 and i % coarse == 0):
                continue
            m = n - i
            spread = sums[i] / m - logs[i]
            if spread <= 0:
                continue
            distance, found_at = _distance(logs, i, 1 / spread, nearest, min(found_at, m - 1))
            if distance < nearest or (distance == nearest and i < best):
                best, nearest = i, distance
    return best, nearest


@njit(nogil=True, cache=True)
def _distance(
    logs: Float[np.ndarray, " n"], i: int, a: float, nearest: float, first: int
) -> tuple[float, int]:
    """How far the tail from value i on is from its law, or some value over ``nearest``; and which value says so, from the end."""
    m = len(logs) - i
    j = m - 1 - first
    far = abs(1 - np.exp(-a * (logs[i + j] - logs[i])) - j / m)
    if far > nearest:
        return far, first
    step = max(1, m // _PROBES)
    for j in range(step // 2, m, step):
        far = abs(1 - np.exp(-a * (logs[i + j] - logs[i])) - j / m)
        if far > nearest:
            return far, m - 1 - j
    distance, farthest = 0.0, 0
    for j in range(m):
        far = abs(1 - np.exp(-a * (logs[i + j] - logs[i])) - j / m)
        if far > distance:
            distance, farthest = far, m - 1 - j
            if far > nearest:
                break
    return distance, farthest
