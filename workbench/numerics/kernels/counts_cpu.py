"""`counts` for a processor: one look at each distance, most of which are farther than any that is asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@njit(nogil=True, cache=True)
def ranks(block: Float[np.ndarray, "b n"], others: Int[np.ndarray, "b k"]) -> Int[np.ndarray, "b k"]:
    """1 and how many numbers of a row are less than that at each of ``others``, or equal and stand before it."""
    out = np.ones(others.shape, np.int64)
    for r in range(len(block)):
        row, asked = block[r], others[r]
        edges = row[asked]
        farthest = edges.max()
        for i in range(len(row)):
            value = row[i]
            if value > farthest:
                continue
            for j in range(len(asked)):
                if value < edges[j] or (value == edges[j] and i < asked[j]):
                    out[r, j] += 1
    return out


@njit(nogil=True, cache=True)
def weigh(
    block: Float[np.ndarray, "b n"],
    others: Int[np.ndarray, "b k"],
    weights: Int[np.ndarray, "b k"],
    total: Float[np.ndarray, " n"],
) -> None:
    """Add to ``total`` at each number's place the weights of those of ``others`` that it ranks before, in its row."""
    for r in range(len(block)):
        row, asked, weight = block[r], others[r], weights[r]
        edges = row[asked]
        farthest = -np.inf
        for j in range(len(asked)):
            if weight[j] != 0:
                farthest = max(farthest, edges[j])
        for i in range(len(row)):
            value = row[i]
            if value > farthest:
                continue
            for j in range(len(asked)):
                if weight[j] != 0 and (value < edges[j] or (value == edges[j] and i < asked[j])):
                    total[i] += weight[j]
