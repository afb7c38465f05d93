"""Long chains of edges, triangles or tetrahedra as bits, in numba: which cofacets they leave is asked an edge at a time.

The cocycle that ends the void in a sphere of 400 points is 150,000 triangles long and has 57 million cofacets, of which
nearly all cancel. Here none is listed: whether a cofacet is in an odd number of a chain's simplices is a
xor of the chain's bits, 64 cofacets a word, and those whose longest edge is one given edge lie close together.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_atomics import leading_zeros
from workbench.numerics.kernels.rips_simplices import apparent_facet, grown, unpack

WORD = 64
ROOM = 1 << 25  # words of a chain's bits that a thread may take


@njit(nogil=True, cache=True)
def fits(n, k):
    """Whether chains of simplices of k vertices among n can be kept as bits."""
    return k <= 4 and n ** (k - 1) * ((n + WORD - 1) // WORD) <= ROOM


@njit(nogil=True, cache=True)
def no_members(n, k):
    """The bits of an empty chain: of each k - 1 vertices, in any order, which others they have a simplex with."""
    return np.zeros((n ** (k - 1), (n + WORD - 1) // WORD), np.int64)


@njit(nogil=True, cache=True)
def toggle(members, n, simplex, bits, vertices, k):
    """Add a packed simplex to the chain, or take it out."""
    unpack(simplex, bits, vertices, k)
    for i in range(k):
        bit = np.int64(1) << (vertices[i] % WORD)
        word = vertices[i] // WORD
        for j in range(k):
            if j == i:
                continue
            if k == 2:
                members[vertices[j], word] ^= bit
            elif k == 3:
                members[vertices[j] * n + vertices[3 - i - j], word] ^= bit
            else:
                for m in range(k):
                    if m not in (i, j):
                        row = (vertices[j] * n + vertices[m]) * n + vertices[6 - i - j - m]
                        members[row, word] ^= bit


@njit(nogil=True, cache=True)
def edges_by_rank(ranks, limit):
    """All edges, larger vertex first, by rank: (first,) of each rank and (e, 2)."""
    n = ranks.shape[0]
    first = np.zeros(limit + 1, np.int64)
    for u in range(n):
        for v in range(u):
            if ranks[u, v] < limit:
                first[ranks[u, v] + 1] += 1
    for rank in range(limit):
        first[rank + 1] += first[rank]
    at = first[:-1].copy()
    edges = np.empty((first[limit], 2), np.int64)
    for u in range(n):
        for v in range(u):
            rank = ranks[u, v]
            if rank < limit:
                edges[at[rank], 0] = u
                edges[at[rank], 1] = v
                at[rank] += 1
    return first, edges


@njit(nogil=True, cache=True)
def _packed(u, v, a, b, c, bits):
    """The packed simplex of u > v and a > b > c, as many of the latter as aren't -1."""
    out = 0
    # ``out`` holds the largest vertices, in falling order; u > v and a > b > c are what is left of either, then -1
    while u >= 0 or a >= 0:
        if u > a:
            out = (out << bits) | u
            u, v = v, -1
        else:
            out = (out << bits) | a
            a, b, c = b, c, -1
    return out


@njit(nogil=True, cache=True)
def _within(ranks, k, rank, u, v, near, mask):
    """The vertices no further than ``rank`` from u and from v, falling, and as bits; returns how many."""
    if k == 2:  # asked of the few that are left
        mask[:] = -1
        return 1
    mask[:] = 0
    count = 0
    for w in range(len(ranks) - 1, -1, -1):
        if max(ranks[u, w], ranks[v, w]) <= rank:
            near[count] = w
            count += 1
            mask[w // WORD] |= np.int64(1) << (w % WORD)
    return count


@njit(nogil=True, cache=True)
def _rows(n, k, u, v, a, b):
    """Where the bits lie of the facets of (u, v, a, b, c) that hold c, for any c; a and b are -1 where k is less."""
    if k == 2:
        return u, v, u, u
    if k == 3:
        return u * n + v, u * n + a, v * n + a, u
    return (u * n + v) * n + a, (u * n + v) * n + b, (u * n + a) * n + b, (v * n + a) * n + b


@njit(nogil=True, cache=True)
def _flip(members, n, k, u, v, a, b):
    """All bits, or none: whether the facet of (u, v, a, b, c) without c is in the chain."""
    if k == 2:
        row, last = u, v
    elif k == 3:
        row, last = u * n + v, a
    else:
        row, last = (u * n + v) * n + a, b
    return -((members[row, last // WORD] >> (last % WORD)) & 1)


@njit(nogil=True, cache=True)
def _left_beside(members, k, rows, flip, i):
    """Word i of: which vertices c give a cofacet (u, v, a, b, c) that the chain leaves."""
    word = flip ^ members[rows[0], i] ^ members[rows[1], i]
    if k > 2:
        word ^= members[rows[2], i]
    if k > 3:
        word ^= members[rows[3], i]
    return word


@njit(nogil=True, cache=True)
def _too_long(ranks, k, rank, u, v, a, b, c):
    """Whether (u, v, a, b, c) has an edge longer than ``rank``, where u, v, a and b have none."""
    if k == 2:
        return max(ranks[u, c], ranks[v, c]) > rank
    return ranks[a, c] > rank or (k == 4 and ranks[b, c] > rank)


@njit(nogil=True, cache=True)
def _has_later(ranks, rank, k, u, v, vertices):
    """Whether the simplex has an edge as long as u, v (u > v) that speaks for it, since only one may."""
    for i in range(k):
        for j in range(i + 1, k):
            x, y = vertices[i], vertices[j]  # falling
            if ranks[x, y] == rank and (x, y) > (u, v):
                return True
    return False


@njit(nogil=True, cache=True)
def left(ranks, bits, k, members, rank, u, v, near, mask, vertices, out):
    """Write the packed cofacets whose longest edge is u, v that a chain leaves; returns how many.

    ``near`` and ``mask`` are room for n vertices and n bits. Those beyond what ``out`` holds are counted only.
    """
    n = len(ranks)
    count = _within(ranks, k, rank, u, v, near, mask)
    found = 0
    # a > b > c are the cofacet's other vertices, as many as it has; all of ``near`` are near enough to u and v. Every
    # cofacet with an earlier (a, b), or with c in an earlier word, has been written if it is left. Of the word at hand
    # ``word`` has the c that are still to be looked at, and each pass takes one of them.
    for at in range(count):
        a = near[at] if k > 2 else -1
        for then in range(at + 1, count if k == 4 else at + 2):
            b = near[then] if k == 4 else -1
            if k == 4 and ranks[a, b] > rank:
                continue
            last = n if k == 2 else a if k == 3 else b
            flip = _flip(members, n, k, u, v, a, b)
            rows = _rows(n, k, u, v, a, b)
            for i in range((last + WORD - 1) // WORD):
                word = _left_beside(members, k, rows, flip, i) & mask[i]
                while word:
                    bit = WORD - 1 - leading_zeros(word)
                    word ^= np.int64(1) << bit
                    c = i * WORD + bit
                    if c >= last or _too_long(ranks, k, rank, u, v, a, b, c):
                        continue
                    cofacet = _cofacet(k, u, v, a, b, c, bits)
                    unpack(cofacet, bits, vertices, k + 1)
                    if _has_later(ranks, rank, k + 1, u, v, vertices):
                        continue
                    if found < len(out):
                        out[found] = cofacet
                    found += 1
    return found


@njit(nogil=True, cache=True)
def _cofacet(k, u, v, a, b, c, bits):
    if k == 2:
        return _packed(u, v, c, -1, -1, bits)
    return _packed(u, v, a, c, -1, bits) if k == 3 else _packed(u, v, a, b, c, bits)


@njit(nogil=True, cache=True)
def settle(ranks, bits, k, members, rank, u, v, near, mask, vertices, room, block, chain, length):
    """Add to the chain the facets of apparent pairs while the first cofacet left is in one.

    Only for k of 3 and 4, and where u, v is the only edge of its rank. All cofacets whose longest edge it is come
    in the filtration's order, since that is the order of their other vertices, and an added facet changes none
    that came before.
    Returns the chain, its length, and whether a cofacet is left that is in no apparent pair.
    """
    n = len(ranks)
    count = _within(ranks, k, rank, u, v, near, mask)
    # a, b and c fall, so that the cofacets come in the filtration's order. No cofacet before the one at hand is left: each
    # that was has had the facet of its apparent pair added, and that facet has no earlier cofacet. ``word`` has the c
    # below that give a cofacet which the chain as it is now leaves; adding a facet with c in it changes no other c here,
    # and one without c flips them all. Each pass takes a lower c of the word's 64.
    for at in range(count):
        a = near[at]
        for then in range(at + 1, count if k == 4 else at + 2):
            b = near[then] if k == 4 else -1
            if k == 4 and ranks[a, b] > rank:
                continue
            last = a if k == 3 else b
            flip = _flip(members, n, k, u, v, a, b)
            rows = _rows(n, k, u, v, a, b)
            for i in range((last + WORD - 1) // WORD - 1, -1, -1):
                word = _left_beside(members, k, rows, flip, i) & mask[i]
                while word:
                    bit = WORD - 1 - leading_zeros(word)
                    word ^= np.int64(1) << bit
                    c = i * WORD + bit
                    if c >= last or _too_long(ranks, k, rank, u, v, a, b, c):
                        continue
                    cofacet = _cofacet(k, u, v, a, b, c, bits)
                    unpack(cofacet, bits, vertices, k + 1)
                    facet = apparent_facet(ranks, bits, cofacet, rank, vertices, k + 1, room, block)
                    if facet < 0:
                        return chain, length, True
                    if length == len(chain):
                        chain = grown(chain, length + 1)
                    chain[length] = facet
                    length += 1
                    toggle(members, n, facet, bits, vertices, k)
                    # the facet without c was added: all other c are flipped
                    if flip != _flip(members, n, k, u, v, a, b):
                        flip = ~flip
                        below = (np.int64(1) << bit) - 1
                        word = _left_beside(members, k, rows, flip, i) & mask[i] & below
    return chain, length, False


@njit(nogil=True, cache=True)
def next_left(
    ranks, limit, bits, k, members, first, edges, rank, near, mask, vertices, room, block, chain, length, out
):
    """Go on to the next rank beyond ``rank`` at which the chain leaves a cofacet in no apparent pair.

    Returns the chain with the facets that were added on the way, its length, that rank (the last, if there is none),
    the packed cofacets left there, and how many they are. Cofacets in apparent pairs may be among them: after the
    first that is in none, where edges are equally long, and for k = 2.
    """
    n = 0
    # The chain leaves no cofacet of rank ``rank`` or lower; facets are added only for cofacets of the next rank, and have
    # no earlier ones. The rank rises with each pass.
    while n == 0 and rank < limit - 1:
        rank += 1
        some = True
        if k > 2 and first[rank + 1] - first[rank] == 1:
            u, v = edges[first[rank]]
            chain, length, some = settle(
                ranks, bits, k, members, rank, u, v, near, mask, vertices, room, block, chain, length
            )
        if not some:
            continue
        for at in range(first[rank], first[rank + 1]):
            u, v = edges[at]
            count = left(ranks, bits, k, members, rank, u, v, near, mask, vertices, out[n:])
            if n + count > len(out):
                out = grown(out, n + count)
                count = left(ranks, bits, k, members, rank, u, v, near, mask, vertices, out[n:])
            n += count
    return chain, length, rank, out, n
