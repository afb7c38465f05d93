"""Boundary columns of a Vietoris-Rips filtration over Z/2, in numba: the homology side of the reduction.

Simplices are codes as in `rips_graph`. A column here is a heap of complemented codes, so that the latest simplex, the
pivot of a boundary, comes first.
"""

# numba hands several values back as one tuple
# pyright: reportCallIssue=false
from __future__ import annotations

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_graph import apparent_cofacet, code_of, vertices_of
from workbench.numerics.kernels.rips_queue import EMPTY, grown, pop_pivot, push

LAST = np.iinfo(np.int64).max


@njit(nogil=True, cache=True)
def push_facets(graph, bits, simplex, k, heap, n):
    """Push the facets of a simplex of k vertices."""
    vertices, rest, places = np.empty(k, np.int64), np.empty(k, np.int64), np.empty(k, np.int64)
    vertices_of(graph, bits, simplex, k, vertices)
    if n + k > len(heap):
        heap = grown(heap, n + k)
    for at in range(k):
        m = 0
        for i in range(k):
            if i != at:
                rest[m] = vertices[i]
                m += 1
        push(heap, n + at, LAST - code_of(graph, bits, rest, m, places))
    return heap, n + k


@njit(nogil=True, cache=True)
def push_all(column, heap, n):
    """Push the entries of a reduced column."""
    if n + len(column) > len(heap):
        heap = grown(heap, n + len(column))
    for i in range(len(column)):
        push(heap, n + i, column[i])
    return heap, n + len(column)


@njit(nogil=True, cache=True)
def reduce_apparent(graph, bits, k, heap, n, used, u, budget):
    """Cancel pivots (of k vertices) by their apparent cofacets until one has none.

    Returns
    -------
    heap, n : the column, its pivot back on it. simplex : the pivot, or -1 of an empty column.
    used, u : the cofacets that were added. budget : what is left of it; below zero means that it ran out.
    """
    vertices = np.empty(k, np.int64)
    while budget >= 0:
        entry, n = pop_pivot(heap, n)
        if entry == EMPTY:
            return heap, 0, np.int64(EMPTY), used, u, budget
        push(heap, n, entry)
        n += 1
        cofacet = apparent_cofacet(graph, bits, LAST - entry, k, vertices)
        if cofacet < 0:
            return heap, n, LAST - entry, used, u, budget
        heap, n = push_facets(graph, bits, cofacet, k + 1, heap, n)
        if u == len(used):
            used = grown(used, u + 1)
        used[u] = cofacet
        u += 1
        budget -= k + 1
    return heap, n, np.int64(EMPTY), used, u, budget
