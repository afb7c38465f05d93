"""Graphs with the same degrees and otherwise random edges: the null of what a graph's wiring means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

ROUNDS = 12  # each offers every edge one exchange


def simple_edges(
    edges: Int[np.ndarray, "m 2"], weights: Float[np.ndarray, " m"], n: int, *, directed: bool
) -> tuple[Int[np.ndarray, "k 2"], Float[np.ndarray, " k"]]:
    """Join parallel edges into one with the sum of their weights, ordered by their ends."""
    ends = edges if directed else np.sort(edges, axis=1)
    keys, which = np.unique(ends[:, 0] * n + ends[:, 1], return_inverse=True)
    return np.column_stack(np.divmod(keys, n)), np.bincount(which, weights, len(keys))


def rewired(
    edges: Int[np.ndarray, "m 2"], n: int, rng: np.random.Generator, *, directed: bool
) -> Int[np.ndarray, "m 2"]:
    """Exchange the far ends of pairs of edges at random, so that every node keeps its degree (or both).

    No exchange makes a loop or a parallel edge, and loops stay where they are, so that a graph without them
    is compared with its like: a star, say, can't be wired differently. An edge keeps its place in the array,
    and with it its weight, at its first end.

    Parameters
    ----------
    edges : (m, 2) without parallel edges.

    References
    ----------
    Fosdick, Larremore, Nishimura and Ugander 2018, Configuring random graph models with fixed degree
    sequences, SIAM Review 60.
    """
    out = edges.copy()
    free = np.flatnonzero(edges[:, 0] != edges[:, 1])
    for _ in range(ROUNDS):
        pairs = rng.permutation(free)[: len(free) // 2 * 2].reshape(-1, 2)
        if not directed:
            turned = free[rng.random(len(free)) < 0.5]
            out[turned] = out[turned, ::-1]
        one, two = out[pairs[:, 0]].copy(), out[pairs[:, 1]].copy()
        one[:, 1], two[:, 1] = two[:, 1].copy(), one[:, 1].copy()
        new = np.stack([_keys(one, n, directed), _keys(two, n, directed)], axis=1)
        _, first, counts = np.unique(new, return_inverse=True, return_counts=True)
        alone = (counts[first.reshape(new.shape)] == 1).all(axis=1)
        fresh = ~np.isin(new, _keys(out, n, directed)).any(axis=1)
        straight = (one[:, 0] != one[:, 1]) & (two[:, 0] != two[:, 1])
        taken = alone & fresh & straight
        out[pairs[taken, 0]], out[pairs[taken, 1]] = one[taken], two[taken]
    return out


def transitivity(edges: Int[np.ndarray, "m 2"], n: int) -> float:
    """Share of the pairs of edges that meet whose far ends are joined too; directions and loops don't count.

    References
    ----------
    Newman 2003, The structure and function of complex networks, SIAM Review 45, eq. 3.
    """
    from scipy.sparse import coo_array

    ends = edges[edges[:, 0] != edges[:, 1]]
    one = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n)).tocsr()
    joined = ((one + one.T) > 0).astype(np.float64).tocsr()
    degrees = joined.sum(axis=1)
    meeting = float((degrees * (degrees - 1)).sum())
    return float((joined @ joined).multiply(joined).sum()) / meeting if meeting else 0.0


def _keys(edges: np.ndarray, n: int, directed: bool) -> np.ndarray:
    ends = edges if directed else np.sort(edges, axis=1)
    return ends[:, 0] * n + ends[:, 1]
