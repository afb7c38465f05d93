"""Reduction of an explicit filtered complex over Z/2, in numba: components by merging, the rest by cohomology."""

# numba hands several values back as one tuple
# pyright: reportCallIssue=false
from __future__ import annotations

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_queue import EMPTY, grown, pop_pivot, push


@njit(nogil=True, cache=True)
def merging_edges(n, tails, heads):
    """Which edges, in the order given, join two components."""
    root = np.arange(n)
    out = np.zeros(len(tails), np.bool_)
    for e in range(len(tails)):
        a, b = tails[e], heads[e]
        while root[a] != a:
            root[a] = root[root[a]]
            a = root[a]
        while root[b] != b:
            root[b] = root[root[b]]
            b = root[b]
        if a != b:
            out[e] = True
            root[max(a, b)] = min(a, b)
    return out


@njit(nogil=True, cache=True)
def reduce_cohomology(columns, starts, cofacets, n_cofacets):
    """Pair simplices with cofacets; both are named by their place in the filtration.

    Parameters
    ----------
    columns : simplices to reduce, latest first. starts, cofacets : each simplex's cofacets, rising.

    Returns
    -------
    owners : (n_cofacets,) the simplex that each ends, or -1.
    """
    owners = np.full(n_cofacets, EMPTY)
    at = np.full(len(starts), EMPTY)  # where a column that had to be reduced is kept
    length = np.zeros(len(starts), np.int64)
    arena = np.empty(1 << 16, np.int64)
    used = 0
    heap = np.empty(1 << 10, np.int64)
    for c in range(len(columns)):
        column = columns[c]
        first, last = starts[column], starts[column + 1]
        if first == last:
            continue
        if owners[cofacets[first]] == EMPTY:
            owners[cofacets[first]] = column
            continue
        n = 0
        if last - first > len(heap):
            heap = grown(heap, last - first)
        for i in range(first, last):
            push(heap, n, cofacets[i])
            n += 1
        while True:
            pivot, n = pop_pivot(heap, n)
            if pivot == EMPTY:
                break
            owner = owners[pivot]
            if owner == EMPTY:
                owners[pivot] = column
                at[column] = used
                while pivot != EMPTY:
                    if used == len(arena):
                        arena = grown(arena, used + 1)
                    arena[used] = pivot
                    used += 1
                    pivot, n = pop_pivot(heap, n)
                length[column] = used - at[column]
                break
            push(heap, n, pivot)
            n += 1
            if at[owner] == EMPTY:
                more = cofacets[starts[owner] : starts[owner + 1]]
            else:
                more = arena[at[owner] : at[owner] + length[owner]]
            if n + len(more) > len(heap):
                heap = grown(heap, n + len(more))
            for i in range(len(more)):
                push(heap, n, more[i])
                n += 1
    return owners
