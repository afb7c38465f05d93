"""Which simplices of a graph's Vietoris-Rips filtration are in no apparent pair, edge by edge, in numba.

The simplices whose longest edge is e = (u, v) are the cliques S of its *link*: of the vertices nearer than e to both u
and v, joined where they are nearer than e to each other. Let A(S) be the vertices that are joined to all of S and
nearer to u than all of S. S with the nearest vertex x of A(S) is the first cofacet of S, and S the last facet of it: an
apparent pair. So S and y in A(S) are in none if y isn't that x and A(S with y) is empty. Here a link is a few words
of bits a vertex, no simplex is stored, and none that is in a pair is written.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_atomics import fetch_add, trailing_zeros
from workbench.numerics.kernels.rips_graph import WORD, edge_between, is_anchor


@njit(nogil=True, cache=True)
def _write(out, shared, k, code):
    at = fetch_add(shared, k - 1, 1)
    if at < out.shape[1]:
        out[k - 2, at] = code


@njit(nogil=True, cache=True)
def open_edges(graph, shared, out):
    """What `open_simplices` does for edges alone, which mostly are asked one question each."""
    n = len(graph.start) - 1
    while True:
        u = fetch_add(shared, 0, 1)
        if u >= n:
            return
        start = graph.start[u]
        # all ask after the same few nearest vertices, whose rows stay at hand
        for p in range(graph.start[u + 1] - start):
            e, v = graph.by[start + p], graph.near[start + p]
            if not is_anchor(graph.start, u, v):
                continue
            alone = True
            for i in range(start, start + p):
                if edge_between(graph, graph.near[i], v) < e:
                    alone = False
                    break
            if alone:
                _write(out, shared, 2, np.int64(e))


@njit(nogil=True, cache=True)
def open_simplices(graph, bits, highest, shared, out):
    """Write the simplices of 2 to ``highest`` (3 or more) vertices that are in no apparent pair; any number of threads.

    Parameters
    ----------
    bits : of a place in a code. shared : (highest,) next vertex, then how many simplices of 2, 3, … vertices there
        are (more than ``out`` holds, if it is too small).
    out : (highest - 1, c) room for codes.
    """
    n = len(graph.start) - 1
    place_of = np.full(n, -1, np.int32)
    depth = highest - 2
    while True:
        u = fetch_add(shared, 0, 1)
        if u >= n:
            return
        start = graph.start[u]
        degree = 0  # up to the last neighbour whose edge has its anchor here
        for i in range(start, graph.start[u + 1]):
            if graph.ends[graph.by[i], 0] == u:
                degree = i + 1 - start
        if degree == 0:
            continue
        between = _between(graph, u, degree, place_of)
        inside = np.empty(degree, np.int64)
        size = (degree + WORD - 1) // WORD
        nearer = np.empty((degree, size), np.int64)
        common = np.empty((depth, size), np.int64)
        left = np.empty((depth, size), np.int64)
        codes = np.empty(depth + 1, np.int64)
        for p in range(degree):
            e = np.int64(graph.by[start + p])
            if graph.ends[e, 0] != u:
                continue
            m = 0
            for q in range(p):
                if between[p, q] < e:
                    inside[m] = q
                    m += 1
            if m == 0:
                _write(out, shared, 2, e)
            elif highest == 3:
                _alone(between, e, inside, m, bits, shared, out)
            elif m > 1:
                _link(between, e, inside, m, nearer)
                if m <= WORD and highest == 4:
                    _search_word(nearer, inside, m, e, bits, shared, out)
                else:
                    _search(nearer, inside, m, e, bits, highest, shared, out, common, left, codes)


@njit(nogil=True, cache=True)
def _between(graph, u, degree, place_of):
    """The edge between each two of the nearest ``degree`` neighbours of u, the one further from u first."""
    start = graph.start[u]
    between = np.full((degree, degree), np.iinfo(np.int32).max, np.int32)
    for p in range(degree):
        place_of[graph.near[start + p]] = p
    for p in range(degree):
        v = graph.near[start + p]
        for i in range(graph.start[v], graph.start[v + 1]):
            q = place_of[graph.near[i]]
            if 0 <= q < p:
                between[p, q] = graph.by[i]
    for p in range(degree):
        place_of[graph.near[start + p]] = -1
    return between


@njit(nogil=True, cache=True)
def _link(between, e, inside, m, nearer):
    """Write for each of a link's m vertices which nearer ones it is joined to, as bits."""
    for i in range(m):
        row = between[inside[i]]
        for w in range((m + WORD - 1) // WORD):
            word = np.int64(0)
            for j in range(w * WORD, min(i, (w + 1) * WORD)):
                word |= np.int64(row[inside[j]] < e) << (j - w * WORD)
            nearer[i, w] = word


@njit(nogil=True, cache=True)
def _alone(between, e, inside, m, bits, shared, out):
    """What `_search` does for triangles: which vertices of a link but the nearest are joined to no nearer one."""
    for i in range(1, m):
        row = between[inside[i]]
        alone = True
        for j in range(i):
            if row[inside[j]] < e:
                alone = False
                break
        if alone:
            _write(out, shared, 3, (e << bits) | inside[i])


@njit(nogil=True, cache=True)
def _search_word(nearer, inside, m, e, bits, shared, out):
    """What `_search` does for triangles and tetrahedra in a link of one word."""
    for y in range(1, m):
        below = nearer[y, 0]
        if below == 0:
            _write(out, shared, 3, (e << bits) | inside[y])
            continue
        rest = below & (below - 1)  # all but the nearest
        while rest:
            x = trailing_zeros(rest)
            rest &= rest - 1
            if below & nearer[x, 0] == 0:
                _write(out, shared, 4, (((e << bits) | inside[x]) << bits) | inside[y])


@njit(nogil=True, cache=True)
def _search(nearer, inside, m, e, bits, highest, shared, out, common, left, codes):
    """Go through the cliques of a link, each from its furthest vertex, and write those in no apparent pair.

    ``common`` and ``left`` are room for highest - 2 rows of bits, ``codes`` for as many places and one.
    """
    size = (m + WORD - 1) // WORD
    for w in range(size):
        held = min(m - w * WORD, WORD)
        common[0, w] = np.int64(-1) if held == WORD else (np.int64(1) << held) - 1
        left[0, w] = common[0, w]
    codes[0] = 0
    d = 0
    # The clique S at hand has d vertices; common[d] is A(S) and left[d] what of it hasn't been added to S yet.
    # codes[d] are the places of S. Each pass takes one vertex y from left[d], and either goes deeper with S and y, or stays; where
    # none is left it goes up. Every clique of up to highest - 3 vertices is at hand once.
    while d >= 0:
        y = -1
        for w in range(size):
            if left[d, w]:
                y = w * WORD + trailing_zeros(left[d, w])
                left[d, w] &= left[d, w] - 1
                break
        if y < 0:
            d -= 1
            continue
        nearest = True
        empty = True
        for w in range((y + WORD) // WORD):
            below = (
                common[d, w] & ((np.int64(1) << (y - w * WORD)) - 1) if y < (w + 1) * WORD else common[d, w]
            )
            if below:
                nearest = False
            if below & nearer[y, w]:
                empty = False
                break
        places = codes[d] | (inside[y] << (bits * d))
        if empty:
            if not nearest:
                _write(out, shared, d + 3, (e << (bits * (d + 1))) | places)
        elif d + 4 <= highest:
            d += 1
            codes[d] = places
            for w in range(size):
                common[d, w] = common[d - 1, w] & nearer[y, w]
                left[d, w] = common[d, w]
