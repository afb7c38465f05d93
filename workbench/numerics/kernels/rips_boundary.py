"""Boundary columns of a Vietoris-Rips filtration over Z/2, in numba: the homology side of the reduction.

Simplices, ranks and keys are as in `rips_host`. A column here is a heap of complemented keys, so that the
latest simplex, the pivot of a boundary, comes first.
"""

# numba hands several values back as one tuple
# pyright: reportCallIssue=false
from __future__ import annotations

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_host import EMPTY, _is_last_facet, _pop_pivot, _push
from workbench.numerics.kernels.rips_simplices import LANES, diameter, grown, largest_within, unpack

LAST = np.iinfo(np.int64).max


@njit(nogil=True, cache=True)
def push_facets(ranks, bits, simplex, k, heap, n):
    """Push the facets of a simplex of k vertices."""
    vertices = np.empty(k, np.int64)
    room = np.empty(k, np.int64)
    unpack(simplex, bits, vertices, k)
    shift = (k - 1) * bits
    full = (1 << shift) - 1
    if n + k > len(heap):
        heap = grown(heap, n + k)
    for at in range(k):
        m = 0
        packed = np.int64(0)
        for i in range(k):
            if i != at:
                room[m] = vertices[i]
                packed = (packed << bits) | vertices[i]
                m += 1
        key = (np.int64(diameter(ranks, room, m)) << shift) | (full - packed)
        _push(heap, n + at, LAST - key)
    return heap, n + k


@njit(nogil=True, cache=True)
def push_all(column, heap, n):
    """Push the entries of a reduced column."""
    if n + len(column) > len(heap):
        heap = grown(heap, n + len(column))
    for i in range(len(column)):
        _push(heap, n + i, column[i])
    return heap, n + len(column)


@njit(nogil=True, cache=True)
def reduce_apparent(ranks, bits, k, heap, n, used, u, budget):
    """Cancel pivots (of k vertices) by their apparent cofacets until one has none.

    Returns
    -------
    heap, n : the column, its pivot back on it. simplex : the pivot, or -1 of an empty column.
    used, u : the cofacets that were added. budget : what is left of it; below zero means that it ran out.
    """
    vertices = np.empty(k, np.int64)
    room = np.empty(k, np.int64)
    block = np.empty(LANES, ranks.dtype)
    shift = k * bits
    full = (1 << shift) - 1
    while budget >= 0:
        entry, n = _pop_pivot(heap, n)
        if entry == EMPTY:
            return heap, 0, np.int64(EMPTY), used, u, budget
        key = LAST - entry
        simplex = full - (key & full)
        radius = key >> shift
        _push(heap, n, entry)
        n += 1
        unpack(simplex, bits, vertices, k)
        cofacet = largest_within(ranks, vertices, k, radius, -1, block)
        if cofacet < 0 or not _is_last_facet(ranks, vertices, k, radius, cofacet, room):
            return heap, n, simplex, used, u, budget
        packed = np.int64(0)
        placed = False
        for i in range(k):
            if not placed and vertices[i] < cofacet:
                packed = (packed << bits) | cofacet
                placed = True
            packed = (packed << bits) | vertices[i]
        if not placed:
            packed = (packed << bits) | cofacet
        heap, n = push_facets(ranks, bits, packed, k + 1, heap, n)
        if u == len(used):
            used = grown(used, u + 1)
        used[u] = packed
        u += 1
        budget -= k + 1
    return heap, n, np.int64(EMPTY), used, u, budget
