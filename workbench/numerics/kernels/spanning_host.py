"""The leaves of a single-linkage tree in order, in numba."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def leaf_order(n, edges, lengths):
    """Order the leaves so that rows come together at the largest gap between them.

    Parameters
    ----------
    edges, lengths : (n - 1, 2) and (n - 1,), a spanning tree, shortest first.

    Returns
    -------
    order : (n,) rows. gap : (n,) float32, the height at which leaf i and leaf i + 1 come together; the last 0.
    """
    root = np.arange(n)
    last = np.arange(n)
    size = np.ones(n, np.int64)
    after = np.full(n, -1)
    height = np.zeros(n, np.float32)
    # Before edge e the earlier edges have made groups of rows: a group's root is its first leaf, ``after`` leads from
    # there through all its leaves to ``last``, and ``height`` of each leaf but the last is the length of the edge that
    # put the next one after it. Edges rise, so that the largest height between two leaves is that of the edge that
    # brought them together. Every edge joins two groups, and n - 1 of them leave one.
    for e in range(len(edges)):
        a, b = edges[e, 0], edges[e, 1]
        while root[a] != a:
            root[a] = root[root[a]]
            a = root[a]
        while root[b] != b:
            root[b] = root[root[b]]
            b = root[b]
        if size[a] < size[b]:
            a, b = b, a
        # a group's first leaf is its root: the larger group comes first
        after[last[a]] = b
        height[last[a]] = lengths[e]
        last[a] = last[b]
        size[a] += size[b]
        root[b] = a
    order = np.empty(n, np.int64)
    gap = np.zeros(n, np.float32)
    a = 0
    while root[a] != a:
        a = root[a]
    for i in range(n):
        order[i] = a
        gap[i] = height[a]
        a = after[a]
    return order, gap
