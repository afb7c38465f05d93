"""The graph under a Vietoris-Rips filtration and its simplices' codes, in numba.

Edges are numbered from the shortest; of equally long ones the first is the one with the larger ends. So each
simplex has one *longest edge* e = (u, v), and simplices come in the order of theirs. One end of each edge is its *anchor*
u, the one with fewer neighbours. A simplex's other vertices are told by their *places* among u's neighbours,
the nearest of which has place 0. Its code is e, then the places in rising order, ``bits`` each: only edges that are there
take any room in it, and a higher code is later in the filtration. Of the cofacets with the same longest edge the first
is that with the nearest new vertex. Near vertices are near to all the others, so that nearly every simplex is in
an apparent pair (see `rips_links`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_atomics import fetch_add, ones
from workbench.numerics.threads import on_threads

if TYPE_CHECKING:
    from jaxtyping import Int

NONE = np.int64(1) << 40  # the number of an edge that isn't there
WORD = 64


class Graph(NamedTuple):
    """Who is whose neighbour.

    ``ends`` of each edge, the anchor first; its ``places`` among the neighbours of either end; ``start`` of each
    vertex in ``near`` and ``by``, its neighbours by length and the edges to them, and in ``sorted_by``, the edges to
    its neighbours by their numbers; ``words``, a bit for each pair, and ``before``, where in ``sorted_by`` a
    word's first bit is.
    """

    ends: Int[np.ndarray, "e 2"]
    places: Int[np.ndarray, "e 2"]
    start: Int[np.ndarray, " n+1"]
    near: Int[np.ndarray, " 2e"]
    by: Int[np.ndarray, " 2e"]
    sorted_by: Int[np.ndarray, " 2e"]
    words: Int[np.ndarray, "n w"]
    before: Int[np.ndarray, "n w"]


def graph_of(n: int, pairs: Int[np.ndarray, "e 2"], threads: int) -> Graph:
    """The graph of pairs of ``n`` vertices, larger first, the shortest pair first; each pair comes once."""
    e = len(pairs)
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(pairs.reshape(-1), minlength=n), out=start[1:])
    graph = Graph(
        np.empty((e, 2), np.int32),
        np.empty((e, 2), np.int32),
        start,
        np.empty(2 * e, np.int32),
        np.empty(2 * e, np.int32),
        np.empty(2 * e, np.int32),
        np.zeros((n, (n + WORD - 1) // WORD), np.int64),
        np.empty((n, (n + WORD - 1) // WORD), np.int32),
    )
    threads = min(threads, 1 + e // 4096)
    # parts of about as many neighbours; each thread reads all pairs and writes what belongs to its own vertices
    bounds = np.searchsorted(start, np.linspace(0, 2 * e, threads + 1))
    bounds[0], bounds[-1] = 0, n
    shared = np.zeros(1, np.int64)
    on_threads(partial(_fill, graph, pairs, bounds, shared), threads)
    return graph


@njit(nogil=True, cache=True)
def is_anchor(start, u, v):
    """Whether u is the anchor of the edge to v: it has fewer neighbours, or as many and the larger number."""
    of_u, of_v = start[u + 1] - start[u], start[v + 1] - start[v]
    return of_u < of_v or (of_u == of_v and u > v)


@njit(nogil=True, cache=True)
def _fill(graph, pairs, bounds, shared):
    part = fetch_add(shared, 0, 1)
    first, last = bounds[part], bounds[part + 1]
    start = graph.start
    taken = start[first:last].copy()
    for i in range(len(pairs)):
        u, v = pairs[i, 0], pairs[i, 1]
        u_here, v_here = first <= u < last, first <= v < last
        if not (u_here or v_here):
            continue
        v_anchor = is_anchor(start, v, u)
        if u_here:
            at = taken[u - first]
            taken[u - first] = at + 1
            graph.near[at], graph.by[at] = v, i
            graph.places[i, 1 if v_anchor else 0] = at - start[u]
            graph.ends[i, 1 if v_anchor else 0] = u
        if v_here:
            at = taken[v - first]
            taken[v - first] = at + 1
            graph.near[at], graph.by[at] = u, i
            graph.places[i, 0 if v_anchor else 1] = at - start[v]
            graph.ends[i, 0 if v_anchor else 1] = v
    for v in range(first, last):
        for i in range(start[v], start[v + 1]):
            w = graph.near[i]
            graph.words[v, w // WORD] |= np.int64(1) << (w % WORD)
        at = start[v]
        for i in range(graph.words.shape[1]):
            graph.before[v, i] = at
            at += ones(graph.words[v, i])
        for i in range(start[v], start[v + 1]):
            w = graph.near[i]
            smaller = graph.words[v, w // WORD] & ((np.int64(1) << (w % WORD)) - 1)
            graph.sorted_by[graph.before[v, w // WORD] + ones(smaller)] = graph.by[i]


@njit(nogil=True, cache=True)
def spanning_forest(graph):
    """The edges of the minimum spanning forest, the shortest first; the vertex that each ends; the vertices left.

    Of two components that an edge joins, the one whose largest vertex is the smaller ends.
    """
    n = len(graph.start) - 1
    oldest = np.arange(n)
    edges, ended = np.empty(n, np.int64), np.empty(n, np.int64)
    found = 0
    for e in range(len(graph.ends)):
        a, b = np.int64(graph.ends[e, 0]), np.int64(graph.ends[e, 1])
        # going up halves the way for whoever comes after; a component's root is its largest vertex
        while oldest[a] != a:
            oldest[a] = oldest[oldest[a]]
            a = oldest[a]
        while oldest[b] != b:
            oldest[b] = oldest[oldest[b]]
            b = oldest[b]
        if a != b:
            oldest[min(a, b)] = max(a, b)
            edges[found], ended[found] = e, min(a, b)
            found += 1
            if found == n - 1:
                break
    return edges[:found], ended[:found], np.flatnonzero(oldest == np.arange(n))


@njit(nogil=True, cache=True)
def edge_between(graph, u, v):
    """The edge of two vertices, or NONE."""
    word = graph.words[u, v // WORD]
    bit = np.int64(1) << (v % WORD)
    if not word & bit:
        return NONE
    return np.int64(graph.sorted_by[graph.before[u, v // WORD] + ones(word & (bit - 1))])


@njit(nogil=True, cache=True)
def place_at(graph, vertex, edge):
    """The place among a vertex's neighbours of the other end of an edge."""
    return np.int64(graph.places[edge, 0 if graph.ends[edge, 0] == vertex else 1])


@njit(nogil=True, cache=True)
def vertices_of(graph, bits, code, k, vertices):
    """Write the k vertices of a code: the anchor, the other end, the rest from the nearest; returns the longest edge."""
    mask = (np.int64(1) << bits) - 1
    edge = code >> (bits * (k - 2))
    u = graph.ends[edge, 0]
    vertices[0] = u
    vertices[1] = graph.ends[edge, 1]
    for i in range(k - 1, 1, -1):
        vertices[i] = graph.near[graph.start[u] + (code & mask)]
        code >>= bits
    return edge


@njit(nogil=True, cache=True)
def packed(bits, edge, places, count):
    """The code of a longest edge and ``count`` places, which are put in order."""
    for i in range(1, count):
        place = places[i]
        j = i
        # places[:i] rise; those above ``place`` move up until it has its own
        while j > 0 and places[j - 1] > place:
            places[j] = places[j - 1]
            j -= 1
        places[j] = place
    code = edge
    for i in range(count):
        code = (code << bits) | places[i]
    return code


@njit(nogil=True, cache=True)
def code_of(graph, bits, vertices, k, places):
    """The code of k vertices in any order, all of which are neighbours."""
    longest, a, b = np.int64(-1), 0, 1
    for i in range(k):
        for j in range(i):
            edge = edge_between(graph, vertices[i], vertices[j])
            if edge > longest:
                longest, a, b = edge, i, j
    u = graph.ends[longest, 0]
    count = 0
    for i in range(k):
        if i not in (a, b):
            places[count] = place_at(graph, u, edge_between(graph, u, vertices[i]))
            count += 1
    return packed(bits, longest, places, count)


@njit(nogil=True, cache=True)
def list_cofacets(graph, bits, code, k, low, high, vertices, sides, new, places, common, out):
    """Write the codes of all cofacets from code ``low`` to longest edge ``high``; returns how many.

    ``vertices``, ``new`` and ``places`` are room for k + 1, ``sides`` for k x k, ``common`` for a bit a vertex.
    """
    own = vertices_of(graph, bits, code, k, vertices)
    if own > high:
        return 0
    for i in range(k):
        for j in range(i):
            sides[i, j] = sides[j, i] = edge_between(graph, vertices[i], vertices[j])
    for i in range(len(common)):
        word = graph.words[vertices[0], i]
        for j in range(1, k):
            word &= graph.words[vertices[j], i]
        common[i] = word
    low_edge = low >> (bits * (k - 1))
    n = 0
    # ``w`` goes through the anchor's neighbours from the nearest; those beyond ``high`` are not looked at
    for i in range(graph.start[vertices[0]], graph.start[vertices[0] + 1]):
        if graph.by[i] > high:
            break
        w = graph.near[i]
        if not (common[w // WORD] >> (w % WORD)) & 1:
            continue
        new[0] = graph.by[i]
        longest, end = own, -1
        if new[0] > own:
            longest, end = new[0], 0
        # new[:j] are the edges from w to vertices[:j], none beyond ``high``; ``longest`` is the last of all edges so
        # far, and goes from w to vertices[end] unless end is -1
        for j in range(1, k):
            edge = edge_between(graph, vertices[j], w)
            new[j] = edge
            if edge > longest:
                longest, end = edge, j
                if edge > high:
                    break
        if longest > high or longest < low_edge:
            continue
        count = 0
        if end < 0:
            for j in range(2, k):
                places[count] = place_at(graph, vertices[0], sides[0, j])
                count += 1
            places[count] = place_at(graph, vertices[0], new[0])
        elif graph.ends[longest, 0] == w:
            for j in range(k):
                if j != end:
                    places[count] = place_at(graph, w, new[j])
                    count += 1
        else:
            for j in range(k):
                if j != end:
                    places[count] = place_at(graph, vertices[end], sides[end, j])
                    count += 1
        found = packed(bits, longest, places, k - 1)
        if found >= low:
            out[n] = found
            n += 1
    return n


@njit(nogil=True, cache=True)
def first_cofacet(graph, edge, vertices, k, skip, below):
    """The lowest place under ``below`` of a vertex that makes a cofacet with this longest edge, or -1.

    ``vertices`` are as `vertices_of` gives them; number ``skip`` of them (-1: none) is left out.
    """
    start = graph.start[vertices[0]]
    for place in range(below):
        w = graph.near[start + place]
        within = True
        for i in range(1, k):
            if i != skip and edge_between(graph, vertices[i], w) >= edge:
                within = False
                break
        if within:
            return place
    return -1


@njit(nogil=True, cache=True)
def apparent_facet(graph, bits, code, k, vertices):
    """The facet that a simplex of k >= 3 vertices forms an apparent pair with, or -1.

    That is the facet without the nearest vertex, if no nearer one makes a cofacet of it with the same longest edge.
    """
    edge = vertices_of(graph, bits, code, k, vertices)
    mask = (np.int64(1) << bits) - 1
    nearest = (code >> (bits * (k - 3))) & mask
    if first_cofacet(graph, edge, vertices, k, 2, nearest) >= 0:
        return np.int64(-1)
    rest = code & ((np.int64(1) << (bits * (k - 3))) - 1)
    return (edge << (bits * (k - 3))) | rest


@njit(nogil=True, cache=True)
def apparent_cofacet(graph, bits, code, k, vertices):
    """The cofacet that a simplex of k >= 2 vertices forms an apparent pair with, or -1."""
    edge = vertices_of(graph, bits, code, k, vertices)
    below = np.int64(graph.places[edge, 0])
    rest = code & ((np.int64(1) << (bits * (k - 2))) - 1)
    if k > 2:
        below = rest >> (bits * (k - 3))
    place = first_cofacet(graph, edge, vertices, k, -1, below)
    if place < 0:
        return np.int64(-1)
    return (((edge << bits) | place) << (bits * (k - 2))) | rest
