"""The host part of Vietoris-Rips cohomology over Z/2, in numba: the few columns that apparent pairs leave.

A simplex is its vertices in falling order, packed ``bits`` to a vertex into one int64, so that packed
simplices order as combinatorial indices do. Diameters are ranks among the distinct distances; ``limit`` is
their number, and every pair that is too far apart (or is no pair) has rank ``limit`` or more. A *key* is
rank and complemented packing in one int64: of two simplices the earlier in the filtration has the lower key.
"""

# numba itself passes an intrinsic's first argument, the typing context
# pyright: reportCallIssue=false
from __future__ import annotations

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_atomics import compare_and_swap, fetch_add, load
from workbench.numerics.kernels.rips_long import edges_by_rank, fits, next_left, no_members, toggle
from workbench.numerics.kernels.rips_simplices import (
    LANES,
    apparent_facet,
    diameter,
    grown,
    maxima,
    unpack,
)

EMPTY = -1
GONE = -2
BUCKETS = 256  # of ranks, for the cofacets of a long chain: few enough pages to write to at a time
LONG = 128  # simplices in a chain from which on its cofacets are listed once and shelved
SHELF = 512  # keys a block
OUT_OF_MEMORY = 1


@njit(nogil=True, cache=True)
def _push(heap, n, key):
    """Put a key on a heap of ``n``."""
    at = n
    # ``at`` is a hole whose descendants are all higher than ``key``; it rises to where nothing higher is above
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
    # ``at`` is a hole above which all is lower than ``key``; it falls to where nothing lower is below
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
    # the keys that were taken off so far were there an even number of times each
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
def _list_cofacets(ranks, bits, simplex, vertices, k, block, low, high, out):
    """Write the keys of all cofacets from key ``low`` to rank ``high``; returns how many."""
    unpack(simplex, bits, vertices, k)
    own = diameter(ranks, vertices, k)
    if own > high:
        return 0
    shift = (k + 1) * bits
    full = (1 << shift) - 1
    low_rank = low >> shift
    n = 0
    at = k  # where a new vertex goes: it rises, so its place falls
    right = 0
    rest = simplex << bits
    # ``v`` rises through all vertices: it belongs before vertices[at:], which are smaller, and ``rest`` is the packed
    # simplex with a gap for it there. So the packed cofacets rise, and within one rank their keys fall. A block of
    # vertices none of which gives a cofacet from rank ``low_rank`` to ``high`` is passed over as a whole.
    for start in range(0, ranks.shape[1], LANES):
        maxima(ranks, vertices, k, start, own, block)
        any_within = 0
        for lane in range(LANES):
            any_within |= (block[lane] <= high) & (block[lane] >= low_rank)
        if not any_within:
            continue
        for lane in range(LANES):
            if low_rank <= block[lane] <= high:
                v = start + lane
                if at > 0 and vertices[at - 1] < v:
                    while at > 0 and vertices[at - 1] < v:
                        at -= 1
                    right = (k - at) * bits
                    rest = ((simplex >> right) << (right + bits)) | (simplex & ((1 << right) - 1))
                key = (np.int64(block[lane]) << shift) | (full - (rest | (v << right)))
                if key >= low:
                    out[n] = key
                    n += 1
    return n


@njit(nogil=True, cache=True)
def _push_cofacets(ranks, bits, simplex, vertices, k, block, heap, n, low, high, listed):
    """Push the keys of all cofacets from key ``low`` to rank ``high``."""
    count = _list_cofacets(ranks, bits, simplex, vertices, k, block, low, high, listed)
    if n + count > len(heap):
        heap = grown(heap, n + count)
    for i in range(count):
        _push(heap, n + i, listed[i])
    return heap, n + count


@njit(nogil=True, cache=True)
def _shelve(arena, shared, latest, filled, free, bucket, key):
    """Put a key on its bucket's shelf: blocks of the arena, each of which begins with where the one before is."""
    if latest[bucket] < 0 or filled[bucket] == SHELF:
        taken = free[0]
        if taken >= 0:
            free[0] = arena[taken]
        else:
            taken = fetch_add(shared, 1, SHELF)
            if taken + SHELF > len(arena):
                shared[2] = OUT_OF_MEMORY
                return
        arena[taken] = latest[bucket]
        latest[bucket] = taken
        filled[bucket] = 1
    arena[latest[bucket] + filled[bucket]] = key
    filled[bucket] += 1


@njit(nogil=True, cache=True)
def _clear_shelf(arena, latest, free, bucket):
    """Give a bucket's blocks to the list of free ones, linked by their first entries."""
    shelf = latest[bucket]
    while shelf >= 0:
        following = arena[shelf]
        arena[shelf] = free[0]
        free[0] = shelf
        shelf = following
    latest[bucket] = EMPTY


@njit(nogil=True, cache=True)
def _take_down(arena, latest, filled, free, bucket, heap, table):
    """Make a heap of the keys that are in a bucket an odd number of times."""
    count = 0
    shelf = latest[bucket]
    while shelf >= 0:
        count += SHELF
        shelf = arena[shelf]
    slots = 16
    while slots < 2 * count:
        slots *= 2
    if len(table) < slots:
        table = np.full(slots, EMPTY)
    mask = slots - 1
    shelf = latest[bucket]
    held = filled[bucket]
    # Of the keys so far, those that came an odd number of times stand in the table once each, and the others not at
    # all: where one was met again its slot is GONE, which no search stops at. The table has twice as many slots as there
    # are keys, so that every search ends at its key or at an empty slot.
    while shelf >= 0:
        for i in range(shelf + 1, shelf + held):
            key = arena[i]
            at = _hash(key) & mask
            while table[at] != key and table[at] != EMPTY:
                at = (at + 1) & mask
            table[at] = key if table[at] == EMPTY else GONE
        shelf = arena[shelf]
        held = SHELF
    _clear_shelf(arena, latest, free, bucket)
    n = 0
    for at in range(slots):
        if table[at] >= 0:
            if n == len(heap):
                heap = grown(heap, n + 1)
            _push(heap, n, table[at])
            n += 1
        table[at] = EMPTY
    return heap, n, table


@njit(nogil=True, cache=True)
def _without_pairs(chain, n):
    """Sort a chain and cancel what is there twice."""
    chain[:n].sort()
    out = 0
    i = 0
    # chain[:out] is what is left of the first i, which are smaller than the rest or cancelled
    while i < n:
        if i + 1 < n and chain[i] == chain[i + 1]:
            i += 2
        else:
            chain[out] = chain[i]
            out += 1
            i += 1
    return out


@njit(nogil=True, cache=True)
def _hash(key):
    return (key * np.int64(-7046029254386353131)) >> 24


@njit(nogil=True, cache=True)
def _slot(keys, key):
    """Where ``key`` is in the table or could be put."""
    mask = len(keys) - 1
    at = _hash(key) & mask
    # no slot from the hash up to ``at`` holds the key or is free; at most one slot a column is ever filled, fewer than
    # half of them, so that it ends
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
def _forget(chain, length, members, n, bits, k, vertices, by_bits):
    """Empty the bits of a chain."""
    if by_bits:
        for i in range(length):
            toggle(members, n, chain[i], bits, vertices, k)


@njit(nogil=True, cache=True)
def reduce_columns(ranks, limit, bits, k, columns, column_ranks, keys, owners, chains, arena, shared, step):
    """Reduce columns until none is left; any number of threads may run this on the same arrays.

    The lock-free algorithm of Morozov and Nigmetov: a thread that meets a pivot held by a later column takes
    it over and goes on with that column. Cofacets are listed only up to a rank a little beyond what was
    needed so far, since few columns need more. A long chain is kept as bits (`rips_long`) where those fit; else its
    cofacets are listed once, and what lies beyond is shelved by rank.

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
    listed = np.empty(ranks.shape[1], np.int64)
    vertices = np.empty(k + 1, np.int64)
    room = np.empty(k + 1, np.int64)
    latest = np.full(BUCKETS, -1)
    filled = np.zeros(BUCKETS, np.int64)
    free = np.array([EMPTY])
    table = np.full(1 << 12, EMPTY)
    by_bits = fits(len(ranks), k)
    members = no_members(1, 2)  # of a long chain, if ``by_bits``; made when there is one
    first, edges = np.empty(0, np.int64), np.empty((0, 2), np.int64)
    near, mask = np.empty(len(ranks), np.int64), np.empty((len(ranks) + 63) // 64, np.int64)
    width = limit // BUCKETS + 1
    shift = (k + 1) * bits
    full = (1 << shift) - 1
    while shared[2] == 0:
        column = fetch_add(shared, 0, 1)
        if column >= len(columns):
            return
        chain[0] = columns[column]
        length = 1
        shelving = False
        ahead = step
        high = min(limit - 1, column_ranks[column] + ahead)
        heap, n = _push_cofacets(ranks, bits, chain[0], vertices, k, block, heap, 0, 0, high, listed)
        low = 0
        done = 1  # simplices of the chain whose cofacets are listed from ``low`` to ``high``
        # At the head of each pass:
        # - chain[:length] is the column's simplex and those added to it, all later in the filtration; what is there twice
        #   cancels. ``column`` holds no pivot yet.
        # - No cofacet with a key below ``low`` is left of the whole chain: there they cancel.
        # - Of chain[:done] the cofacets that are left from ``low`` to rank ``high`` are the keys that are on the heap an
        #   odd number of times. Those beyond ``high`` are on the shelves by rank while the chain is shelved; as bits
        #   (``by_bits``), ``members`` says which simplices chain[:done] is, and so what it leaves; else they are listed
        #   when ``high`` rises.
        # A pass lists the cofacets of chain[done:], takes the lowest key that is left, the pivot, and
        # - if there is none, raises ``high``, or ends at the last rank: the class that the column began never ends;
        # - if the pivot is in an apparent pair, adds its facet, whose first cofacet is the pivot: all lower ones are
        #   untouched and the pivot cancels;
        # - if an earlier column (of a lower number) holds the pivot, adds that column's chain, whose first cofacet is
        #   the pivot too;
        # - if nobody holds the pivot, takes it, publishes the chain and ends;
        # - if a later column holds it, takes it, publishes the chain, and goes on with that column's chain instead.
        # It ends because for one column the pivots rise, and where there is none ``high`` does (or the chain is shelved,
        # once); a column that was driven out goes on at the pivot where it was, and a slot's owner only falls. Where
        # another thread is quicker to a slot, the same pivot is looked at again, with a smaller owner.
        while True:
            if done < length:
                if not shelving or by_bits:
                    for i in range(done, length):
                        heap, n = _push_cofacets(
                            ranks, bits, chain[i], vertices, k, block, heap, n, low, high, listed
                        )
                        if shelving:
                            toggle(members, len(ranks), chain[i], bits, vertices, k)
                else:
                    for i in range(done, length):
                        count = _list_cofacets(
                            ranks, bits, chain[i], vertices, k, block, low, limit - 1, listed
                        )
                        if n + count > len(heap):
                            heap = grown(heap, n + count)
                        for j in range(count):
                            rank = listed[j] >> shift
                            if rank <= high:
                                _push(heap, n, listed[j])
                                n += 1
                            else:
                                _shelve(arena, shared, latest, filled, free, rank // width, listed[j])
                done = length
            if max(n, length) > len(arena):
                shared[2] = OUT_OF_MEMORY
            if shared[2]:
                return
            pivot, n = _pop_pivot(heap, n)
            if pivot == EMPTY:
                if high >= limit - 1:
                    break
                if shelving and by_bits:
                    chain, length, high, listed, count = next_left(
                        ranks,
                        limit,
                        bits,
                        k,
                        members,
                        first,
                        edges,
                        high,
                        near,
                        mask,
                        vertices,
                        room,
                        block,
                        chain,
                        length,
                        listed,
                    )
                    done = length
                    if count > len(heap):
                        heap = grown(heap, count)
                    for i in range(count):
                        _push(heap, n, (np.int64(high) << shift) | (full - listed[i]))
                        n += 1
                    continue
                if shelving:
                    bucket = high // width + 1
                    while bucket < BUCKETS - 1 and latest[bucket] < 0:
                        bucket += 1
                    heap, n, table = _take_down(arena, latest, filled, free, bucket, heap, table)
                    high = min(limit - 1, (bucket + 1) * width - 1)
                    continue
                length = _without_pairs(chain, length)
                low = (high + 1) << shift
                done = 0
                ahead *= 4
                high = min(limit - 1, high + ahead)
                if length > LONG and by_bits:
                    shelving = True
                    high = (low >> shift) - 1
                    if not len(edges):
                        members = no_members(len(ranks), k)
                        first, edges = edges_by_rank(ranks, limit)
                elif length > LONG:
                    shelving = True
                    high = (low >> shift) // width * width + width - 1
                    high = min(high, limit - 1)
                continue
            slot = _slot(keys, pivot)
            if load(keys, slot) != pivot:  # free, or taken by another key since it was found free
                simplex = full - (pivot & full)
                unpack(simplex, bits, vertices, k + 1)
                facet = apparent_facet(ranks, bits, simplex, pivot >> shift, vertices, k + 1, room, block)
                if facet >= 0:
                    if length == len(chain):
                        chain = grown(chain, length + 1)
                    chain[length] = facet
                    length += 1
                    low = pivot + 1
                    continue
                while True:
                    there = compare_and_swap(keys, slot, EMPTY, pivot)
                    if there in (EMPTY, pivot):
                        break
                    slot = _slot(keys, pivot)
            owner = load(owners, slot)
            if owner == EMPTY or owner > column:
                length = _without_pairs(chain, length)
                done = length
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
                if shelving:
                    shelving = False
                    _forget(chain, length, members, len(ranks), bits, k, vertices, by_bits)
                    for bucket in range(BUCKETS):
                        _clear_shelf(arena, latest, free, bucket)
                length = 0
                done = 0
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
                chain = grown(chain, length + more)
            chain[length : length + more] = arena[at : at + more]
            length += more
            low = pivot
        if shelving:
            _forget(chain, length, members, len(ranks), bits, k, vertices, by_bits)
            for bucket in range(BUCKETS):
                _clear_shelf(arena, latest, free, bucket)


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
        unpack(parents[parent], bits, vertices, k - 1)
        own = diameter(ranks, vertices, k - 1)
        for start in range(0, len(reach), LANES):
            maxima(ranks, vertices, k - 1, start, own, block)
            reach[start : start + LANES] = block
        # reach[v] is the diameter of the parent and v; each simplex comes once, from the parent without its smallest vertex
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


@njit(nogil=True, cache=True)
def _first_within(reach, row, radius, block):
    for start in range(len(reach) - LANES, -1, -LANES):
        near = reach[start : start + LANES]
        own = row[start : start + LANES]
        nearest = radius + 1
        for lane in range(LANES):
            block[lane] = max(near[lane], own[lane])
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
    # ``v`` is a vertex next to be taken into the tree (the first of a new one, where no edge leads out of the last):
    # best[u] is the key of the first edge, in the filtration's order, from the trees so far to each vertex u outside, and
    # ``none`` inside. So the least of them is in the minimum spanning forest. Each pass takes in one vertex, n in all.
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
