"""Where a power law's tail begins: its distance from the data for each beginning, with those left early that can't win."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from jaxtyping import Float


@njit(nogil=True, cache=True)
def best_start(logs: Float[np.ndarray, " n"], least: int) -> tuple[int, float]:
    """Where the tail begins whose power law lies nearest to it, and how near (Kolmogorov and Smirnov).

    Parameters
    ----------
    logs : logarithms of the values, ascending. least : fewest values of a tail.
    """
    n = len(logs)
    sums = np.zeros(n + 1)
    for i in range(n - 1, -1, -1):
        sums[i] = sums[i + 1] + logs[i]
    best, nearest = 0, np.inf
    # invariant: ``nearest`` is the distance of the best beginning so far, over which another is given up
    for i in range(n - least + 1):
        if i and logs[i] == logs[i - 1]:
            continue
        m = n - i
        spread = sums[i] / m - logs[i]
        if spread <= 0:
            continue
        a, distance = 1 / spread, 0.0
        for j in range(m):
            distance = max(distance, abs(1 - np.exp(-a * (logs[i + j] - logs[i])) - j / m))
            if distance >= nearest:
                break
        if distance < nearest:
            best, nearest = i, distance
    return best, nearest
