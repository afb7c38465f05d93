"""Packed simplices in numba: their vertices, diameters and apparent pairs; see `rips_host` for what packed means."""

from __future__ import annotations

import numpy as np
from numba import njit

LANES = 32  # vertices looked at together; rows of ranks are padded to a multiple of it


@njit(nogil=True, cache=True)
def unpack(simplex, bits, vertices, k):
    """Write the k vertices of a simplex, in falling order."""
    mask = (1 << bits) - 1
    for i in range(k - 1, -1, -1):
        vertices[i] = simplex & mask
        simplex >>= bits


@njit(nogil=True, cache=True)
def without_vertex(simplex, bits, k, at):
    """The facet that leaves out the vertex at a place."""
    low = (k - 1 - at) * bits
    return ((simplex >> (low + bits)) << low) | (simplex & ((1 << low) - 1))


@njit(nogil=True, cache=True)
def diameter(ranks, vertices, k):
    """The largest rank among the pairs of a simplex."""
    out = 0
    for i in range(k):
        for j in range(i):
            out = max(out, ranks[vertices[i], vertices[j]])
    return out


@njit(nogil=True, cache=True)
def maxima(ranks, vertices, k, start, least, block):
    """The ranks that cofacets with the vertices ``start`` … have, or ``least`` where that is more."""
    row = ranks[vertices[0], start : start + LANES]
    for lane in range(LANES):
        block[lane] = max(row[lane], least)
    for i in range(1, k):
        row = ranks[vertices[i], start : start + LANES]
        for lane in range(LANES):
            block[lane] = max(block[lane], row[lane])


@njit(nogil=True, cache=True)
def largest_within(ranks, vertices, k, radius, above, block):
    """The largest vertex beyond ``above`` that no vertex of the simplex is further from than ``radius``, or -1."""
    for start in range(ranks.shape[1] - LANES, above + 1 - LANES, -LANES):
        maxima(ranks, vertices, k, start, 0, block)
        for lane in range(LANES - 1, -1, -1):
            if block[lane] <= radius:
                return start + lane if start + lane > above else -1
    return -1


@njit(nogil=True, cache=True)
def apparent_facet(ranks, bits, simplex, radius, vertices, k, room, block):
    """The packed facet that ``simplex`` (k vertices, of rank ``radius``) forms an apparent pair with, or -1."""
    for at in range(k):
        n = 0
        for i in range(k):
            if i != at:
                room[n] = vertices[i]
                n += 1
        if diameter(ranks, room, n) == radius:
            if largest_within(ranks, room, n, radius, vertices[at], block) >= 0:
                return -1
            return without_vertex(simplex, bits, k, at)
    return -1


@njit(nogil=True, cache=True)
def grown(array, n):
    """A copy with room for n or more."""
    out = np.empty(max(2 * len(array), n), array.dtype)
    out[: len(array)] = array
    return out
