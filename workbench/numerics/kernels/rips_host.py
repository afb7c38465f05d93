"""The host part of Vietoris-Rips cohomology over Z/2, in numba: the few columns that apparent pairs leave.

A simplex is its vertices in falling order, packed ``bits`` to a vertex into one int64, so that packed
simplices order as combinatorial indices do. Diameters are ranks among the distinct distances; ``limit`` is
their number, and every pair that is too far apart (or is no pair) has rank ``limit`` or more. A *key* is
rank and complemented packing in one int64: of two simplices the earlier in the filtration has the lower key.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_atomics import compare_and_swap, fetch_add, load

LANES = 32  # vertices looked at together; rows of ranks are padded to a multiple of it
EMPTY = -1
OUT_OF_MEMORY = 1


@njit(nogil=True, cache=True, inline="always")
def _unpack(simplex, bits, vertices, k):
    mask = (1 << bits) - 1
    for i in range(k - 1, -1, -1):
        vertices[i] = simplex & mask
        simplex >>= bits


@njit(nogil=True, cache=True, inline="always")
def _with_vertex(simplex, bits, vertices, k, v):
    """``simplex`` with ``v`` put in its place."""
    at = k
    while at > 0 and vertices[at - 1] < v:
        at -= 1
    low = (k - at) * bits
    return ((simplex >> low) << (low + bits)) | (v << low) | (simplex & ((1 << low) - 1))


@njit(nogil=True, cache=True, inline="always")
def _without_vertex(simplex, bits, k, at):
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


@njit(nogil=True, cache=True, inline="always")
def _maxima(ranks, vertices, k, start, least, block):
    """The ranks that cofacets with the vertices ``start`` … have, or ``least`` where that is more."""
    row = ranks[vertices[0]]
    for lane in range(LANES):
        block[lane] = max(row[start + lane], least)
    for i in range(1, k):
        row = ranks[vertices[i]]
        for lane in range(LANES):
            block[lane] = max(block[lane], row[start + lane])


@njit(nogil=True, cache=True)
def _largest_within(ranks, vertices, k, radius, above, block):
    """The largest vertex beyond ``above`` that no vertex of the simplex is further from than ``radius``, or -1."""
    for start in range(ranks.shape[1] - LANES, above - LANES, -LANES):
        _maxima(ranks, vertices, k, start, 0, block)
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
            if _largest_within(ranks, room, n, radius, vertices[at], block) >= 0:
                return -1
            return _without_vertex(simplex, bits, k, at)
    return -1


@njit(nogil=True, cache=True)
def _grown(array, n):
    out = np.empty(max(2 * len(array), n), array.dtype)
    out[: len(array)] = array
    return out


@njit(nogil=True, cache=True)
def _push(heap, n, key):
    at = n
    while at > 0:
        up = (at - 1) >> 1
        if heap[up] <= key:
            break
        heap[at] = heap[up]
        at = up
    heap[at] = key


@njit(nogil=True, cache=True)
def _pop(heap, n):
    """Take the lowest of ``n`` keys off the heap."""
    out = heap[0]
    n -= 1
    key = heap[n]
    at = 0
    while True:
        down = 2 * at + 1
        if down >= n:
            break
        if down + 1 < n and heap[down + 1] < heap[down]:
            down += 1
        if heap[down] >= key:
            break
        heap[at] = heap[down]
        at = down
    heap[at] = key
    return out


@njit(nogil=True, cache=True)
def _pop_pivot(heap, n):
    """The lowest key that is there an odd number of times, or -1; and how many keys are left."""
    while n > 0:
        key = _pop(heap, n)
        n -= 1
        odd = True
        while n > 0 and heap[0] == key:
            _pop(heap, n)
            n -= 1
            odd = not odd
        if odd:
            return key, n
    return EMPTY, 0


@njit(nogil=True, cache=True)
def _push_cofacets(ranks, bits, simplex, vertices, k, block, heap, n, low, high):
    """Push the keys of all cofacets from key ``low`` to rank ``high``."""
    _unpack(simplex, bits, vertices, k)
    own = diameter(ranks, vertices, k)
    if own > high:
        return heap, n
    shift = (k + 1) * bits
    full = (1 << shift) - 1
    low_rank = low >> shift
    for start in range(0, ranks.shape[1], LANES):
        _maxima(ranks, vertices, k, start, own, block)
        any_within = 0
        for lane in range(LANES):
            any_within |= (block[lane] <= high) & (block[lane] >= low_rank)
        if not any_within:
            continue
        if n + LANES > len(heap):
            heap = _grown(heap, n + LANES)
        for lane in range(LANES):
            if low_rank <= block[lane] <= high:
                key = (np.int64(block[lane]) << shift) | (
                    full - _with_vertex(simplex, bits, vertices, k, start + lane)
                )
                if key >= low:
                    _push(heap, n, key)
                    n += 1
    return heap, n


@njit(nogil=True, cache=True)
def _without_pairs(chain, n):
    """Sort a chain and cancel what is there twice."""
    chain[:n].sort()
    out = 0
    i = 0
    while i < n:
        if i + 1 < n and chain[i] == chain[i + 1]:
            i += 2
        else:
            chain[out] = chain[i]
            out += 1
            i += 1
    return out


@njit(nogil=True, cache=True)
def _slot(keys, key):
    """Where ``key`` is in the table or could be put."""
    mask = len(keys) - 1
    at = (key * np.int64(-7046029254386353131)) >> 20 & mask
    while True:
        there = load(keys, at)
        if there in (key, EMPTY):
            return at
        at = (at + 1) & mask


@njit(nogil=True, cache=True)
def _publish(chain, n, arena, shared):
    """Copy a chain to where all threads can read it; returns place and length in one number, or -1."""
    at = fetch_add(shared, 1, n)
    if at + n > len(arena):
        shared[2] = OUT_OF_MEMORY
        return EMPTY
    arena[at : at + n] = chain[:n]
    return (at << 28) | n


@njit(nogil=True, cache=True)
def reduce_columns(ranks, limit, bits, k, columns, column_ranks, keys, owners, chains, arena, shared, step):
    """Reduce columns until none is left; any number of threads may run this on the same arrays.

    The lock-free algorithm of Morozov and Nigmetov: a thread that meets a pivot held by a later column takes
    it over and goes on with that column. Cofacets are listed only up to a rank a little beyond what was
    needed so far, since few columns need more.

    Parameters
    ----------
    ranks : (n, m) int32, m a multiple of 32. limit, bits : see above.
    k : vertices of a column's simplex. columns : (c,) packed, latest in the filtration first.
    column_ranks : (c,) int64. keys, owners : table of pivots and the columns that hold them, of a power of two
        slots, -1 where free. chains : (c,) where each column's chain lies in ``arena``.
    shared : (3,) next column, used part of the arena, and whether the arena was too small.
    step : ranks to look ahead at first.
    """
    heap = np.empty(1 << 12, np.int64)
    chain = np.empty(1 << 10, np.int64)
    block = np.empty(LANES, ranks.dtype)
    vertices = np.empty(k + 1, np.int64)
    room = np.empty(k + 1, np.int64)
    shift = (k + 1) * bits
    full = (1 << shift) - 1
    while shared[2] == 0:
        column = fetch_add(shared, 0, 1)
        if column >= len(columns):
            return
        chain[0] = columns[column]
        length = 1
        ahead = step
        high = min(limit - 1, column_ranks[column] + ahead)
        heap, n = _push_cofacets(ranks, bits, chain[0], vertices, k, block, heap, 0, 0, high)
        while True:
            if max(n, length) > len(arena):
                shared[2] = OUT_OF_MEMORY
                return
            pivot, n = _pop_pivot(heap, n)
            if pivot == EMPTY:
                if high >= limit - 1:
                    break
                length = _without_pairs(chain, length)
                low = (high + 1) << shift
                ahead *= 4
                high = min(limit - 1, high + ahead)
                for i in range(length):
                    heap, n = _push_cofacets(ranks, bits, chain[i], vertices, k, block, heap, n, low, high)
                continue
            slot = _slot(keys, pivot)
            if load(keys, slot) == EMPTY:
                simplex = full - (pivot & full)
                _unpack(simplex, bits, vertices, k + 1)
                facet = apparent_facet(ranks, bits, simplex, pivot >> shift, vertices, k + 1, room, block)
                if facet >= 0:
                    if length == len(chain):
                        chain = _grown(chain, length + 1)
                    chain[length] = facet
                    length += 1
                    heap, n = _push_cofacets(ranks, bits, facet, vertices, k, block, heap, n, pivot + 1, high)
                    continue
                while True:
                    there = compare_and_swap(keys, slot, EMPTY, pivot)
                    if there in (EMPTY, pivot):
                        break
                    slot = _slot(keys, pivot)
            owner = load(owners, slot)
            if owner == EMPTY or owner > column:
                length = _without_pairs(chain, length)
                place = _publish(chain, length, arena, shared)
                if place == EMPTY:
                    return
                chains[column] = place
                if compare_and_swap(owners, slot, owner, column) != owner:
                    _push(heap, n, pivot)
                    n += 1
                    continue
                if owner == EMPTY:
                    break
                column = owner
                length = 0
                n = 0
                ahead = step
                high = min(limit - 1, (pivot >> shift) + ahead)
            else:
                _push(heap, n, pivot)
                n += 1
            place = load(chains, owner)
            at = place >> 28
            more = place & ((1 << 28) - 1)
            if length + more > len(chain):
                chain = _grown(chain, length + more)
            for i in range(more):
                chain[length] = arena[at + i]
                heap, n = _push_cofacets(ranks, bits, chain[length], vertices, k, block, heap, n, pivot, high)
                length += 1


@njit(nogil=True, cache=True)
def list_columns(ranks, limit, bits, k, parents, rows, shared, out):
    """Append to ``out`` the simplices of k vertices that are in no apparent pair; any number of threads.

    Parameters
    ----------
    parents : (p,) packed simplices of k - 1 vertices; each is asked about all its extensions by a smaller vertex.
    rows : whether a simplex may be in an apparent pair with a facet of its own.
    shared : (2,) next parent, and simplices found (more than ``out`` holds, if it is too small).
    out : (c,) room for packed simplices.
    """
    block = np.empty(LANES, ranks.dtype)
    vertices = np.empty(k, np.int64)
    room = np.empty(k, np.int64)
    reach = np.empty(ranks.shape[1], ranks.dtype)
    while True:
        parent = fetch_add(shared, 0, 1)
        if parent >= len(parents):
            return
        _unpack(parents[parent], bits, vertices, k - 1)
        own = diameter(ranks, vertices, k - 1)
        for start in range(0, len(reach), LANES):
            _maxima(ranks, vertices, k - 1, start, own, block)
            reach[start : start + LANES] = block
        for v in range(vertices[k - 2]):
            radius = reach[v]
            if radius >= limit:
                continue
            vertices[k - 1] = v
            simplex = (parents[parent] << bits) | v
            cofacet = _first_within(reach, ranks[v], radius, block)
            if cofacet >= 0 and _is_last_facet(ranks, vertices, k, radius, cofacet, room):
                continue
            if rows and apparent_facet(ranks, bits, simplex, radius, vertices, k, room, block) >= 0:
                continue
            at = fetch_add(shared, 1, 1)
            if at < len(out):
                out[at] = simplex


@njit(nogil=True, cache=True, inline="always")
def _first_within(reach, row, radius, block):
    for start in range(len(reach) - LANES, -1, -LANES):
        nearest = radius + 1
        for lane in range(LANES):
            block[lane] = max(reach[start + lane], row[start + lane])
        for lane in range(LANES):
            nearest = min(nearest, block[lane])
        if nearest <= radius:
            for lane in range(LANES - 1, -1, -1):
                if block[lane] <= radius:
                    return start + lane
    return -1


@njit(nogil=True, cache=True)
def _is_last_facet(ranks, vertices, k, radius, cofacet, room):
    """Whether no facet of the cofacet that leaves out a vertex beyond ``cofacet`` is as wide as it."""
    for at in range(k):
        if vertices[at] < cofacet:
            return True
        for i in range(k):
            room[i] = vertices[i]
        room[at] = cofacet
        if diameter(ranks, room, k) == radius:
            return False
    return True


@njit(nogil=True, cache=True)
def spanning_edges(ranks, limit, bits):
    """The packed edges of the minimum spanning forest in the filtration's order, by Prim's algorithm."""
    n = ranks.shape[0]
    full = (1 << (2 * bits)) - 1
    none = np.iinfo(np.int64).max
    best = np.full(n, none)
    outside = np.ones(n, np.bool_)
    out = np.empty(n, np.int64)
    found = 0
    v = 0
    for _ in range(n):
        outside[v] = False
        best[v] = none
        row = ranks[v]
        for u in range(n):
            key = (np.int64(row[u]) << (2 * bits)) | (full - ((max(u, v) << bits) | min(u, v)))
            best[u] = min(best[u], key if outside[u] and row[u] < limit else none)
        least = none
        for u in range(n):
            least = min(least, best[u])
        if least < none:
            out[found] = full - (least & full)
            found += 1
        v = 0
        while v < n - 1 and not (outside[v] and best[v] == least):
            v += 1
    return out[:found]
