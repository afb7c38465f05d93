"""Cohomology over Z/2 of a graph's Vietoris-Rips filtration, in numba: the few columns that apparent pairs leave.

Simplices are codes (`rips_graph`): the earlier in the filtration has the lower code.
"""

# numba itself passes an intrinsic's first argument, the typing context
# pyright: reportCallIssue=false
from __future__ import annotations

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_atomics import compare_and_swap, fetch_add, load
from workbench.numerics.kernels.rips_chain import (
    Chain,
    add,
    begin,
    empty_chain,
    end,
    fits,
    next_left,
    put_back,
)
from workbench.numerics.kernels.rips_graph import apparent_facet, list_cofacets
from workbench.numerics.kernels.rips_queue import EMPTY, grown, pop_pivot, push

LONG = 128  # simplices in a chain from which on it is asked an edge at a time
OUT_OF_MEMORY = 1


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
    for i in range(n):
        arena[at + i] = chain[i]
    return (at << 28) | n


@njit(nogil=True, cache=True)
def reduce_columns(graph, bits, k, widest, columns, keys, owners, chains, arena, shared, step):
    """Reduce columns until none is left; any number of threads may run this on the same arrays.

    The lock-free algorithm of Morozov and Nigmetov: a thread that meets a pivot held by a later column takes
    it over and goes on with that column. Cofacets are listed only up to an edge a little beyond what was
    needed so far, since few columns need more. A long chain is asked an edge at a time (`rips_chain`).

    Parameters
    ----------
    bits : of a place in a code. k : vertices of a column's simplex. widest : vertices of the widest link.
    columns : (c,) codes, latest in the filtration first. keys, owners : table of pivots and the columns that hold
        them, of a power of two slots, -1 where free. chains : (c,) where each column's chain lies in ``arena``.
    shared : (3,) next column, used part of the arena, and whether the arena was too small.
    step : edges to look ahead at first.
    """
    limit = len(graph.ends)
    n_vertices = len(graph.start) - 1
    heap = np.empty(1 << 12, np.int64)
    chain = np.empty(1 << 10, np.int64)
    listed = np.empty(n_vertices, np.int64)
    vertices, new, places = np.empty(k + 1, np.int64), np.empty(k + 1, np.int64), np.empty(k + 1, np.int64)
    sides = np.empty((k, k), np.int64)
    common = np.empty(graph.words.shape[1], np.int64)
    shift = (k - 1) * bits
    may_be_long = fits(k, widest)
    room = Chain(*empty_chain(1, k, 1))  # made when there is a long chain
    pool = np.empty(0, np.int32)
    made = False
    while shared[2] == 0:
        column = fetch_add(shared, 0, 1)
        if column >= len(columns):
            return
        chain[0] = columns[column]
        length = 1
        long = False
        ahead = step
        high = min(limit - 1, (columns[column] >> (shift - bits)) + ahead)
        low = np.int64(0)
        n = 0
        done = 0  # simplices of the chain whose cofacets are listed from ``low`` to ``high``
        # At the head of each pass:
        # - chain[:length] is the column's simplex and those added to it, all later in the filtration; what is there twice
        #   cancels. ``column`` holds no pivot yet.
        # - No cofacet with a code below ``low`` is left of the whole chain: there they cancel.
        # - Of chain[:done] the cofacets that are left from ``low`` to longest edge ``high`` are the codes that are on the
        #   heap an odd number of times; or, of a long chain, those of one edge are in ``room``, and no earlier
        #   ones are left.
        # A pass lists the cofacets of chain[done:], takes the lowest code that is left, the pivot, and
        # - if there is none, raises ``high``, or ends at the last edge: the class that the column began never ends;
        # - if the pivot is in an apparent pair, adds its facet, whose first cofacet is the pivot: all lower ones are
        #   untouched and the pivot cancels;
        # - if an earlier column (of a lower number) holds the pivot, adds that column's chain, whose first cofacet is
        #   the pivot too;
        # - if nobody holds the pivot, takes it, publishes the chain and ends;
        # - if a later column holds it, takes it, publishes the chain, and goes on with that column's chain instead.
        # It ends because for one column the pivots rise, and where there is none ``high`` does; a column that was driven
        # out goes on at the pivot where it was, and a slot's owner only falls. Where another thread is quicker to a
        # slot, the same pivot is looked at again, with a smaller owner.
        while True:
            if long:
                pool = add(graph, bits, k, room, pool, chain, done, length)
                done = length
                pivot, chain, length, pool = next_left(graph, bits, k, room, pool, chain, length)
                done = length
                if pivot == EMPTY:
                    break
            else:
                for i in range(done, length):
                    count = list_cofacets(
                        graph, bits, chain[i], k, low, high, vertices, sides, new, places, common, listed
                    )
                    if n + count > len(heap):
                        heap = grown(heap, n + count)
                    for j in range(count):
                        push(heap, n, listed[j])
                        n += 1
                done = length
                pivot, n = pop_pivot(heap, n)
            if max(n, length) > len(arena):
                shared[2] = OUT_OF_MEMORY
            if shared[2]:
                return
            if pivot == EMPTY:
                if high >= limit - 1:
                    break
                length = _without_pairs(chain, length)
                low = (high + 1) << shift
                if length > LONG and may_be_long:
                    if not made:
                        room = Chain(*empty_chain(n_vertices, k, widest))
                        pool = np.empty(1 << 14, np.int32)
                        made = True
                    pool = begin(graph, bits, k, room, pool, chain, length, high + 1)
                    long = True
                    done = length
                    continue
                done = 0
                ahead *= 4
                high = min(limit - 1, high + ahead)
                continue
            if not long:
                facet = apparent_facet(graph, bits, pivot, k + 1, vertices)
                if facet >= 0:
                    if length == len(chain):
                        chain = grown(chain, length + 1)
                    chain[length] = facet
                    length += 1
                    low = pivot + 1
                    continue
            slot = _slot(keys, pivot)
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
                    if long:
                        put_back(graph, bits, k, room, pivot)
                    else:
                        push(heap, n, pivot)
                        n += 1
                    continue
                if owner == EMPTY:
                    break
                column = owner
                if long:
                    long = False
                    end(room)
                length = 0
                done = 0
                n = 0
                ahead = step
                high = min(limit - 1, (pivot >> shift) + ahead)
            elif long:
                put_back(graph, bits, k, room, pivot)
            else:
                push(heap, n, pivot)
                n += 1
            place = load(chains, owner)
            at = place >> 28
            more = place & ((1 << 28) - 1)
            if length + more > len(chain):
                chain = grown(chain, length + more)
            for i in range(more):
                chain[length + i] = arena[at + i]
            length += more
            low = pivot
        if long:
            end(room)
