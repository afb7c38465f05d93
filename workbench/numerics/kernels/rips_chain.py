"""A long chain of a column, in numba: what it leaves is asked an edge at a time, and no cofacet is listed ahead.

The cocycle of the class that a sphere has itself is tens of thousands of simplices long and has millions of cofacets, of which
nearly all cancel. A cofacet whose longest edge is (u, v) has two kinds of facets: with both ends, which can come
into the chain at this very edge only; and with one of them, which are found by going through the chain's simplices at u and
at v. Those whose other vertices all lie in the edge's link are facets. What the chain leaves here is a set of
cliques of the link, told by few small numbers: a tree of bits holds it, in which pairs cancel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_atomics import trailing_zeros
from workbench.numerics.kernels.rips_graph import WORD, edge_between, place_at, vertices_of
from workbench.numerics.kernels.rips_queue import grown, least, toggle, toggle_run, tree_of

ROOM = 1 << 28  # numbers that a tree may hold: 34 MB


class Chain(NamedTuple):
    """A thread's room for one long chain.

    ``joined`` has a bit for each pair nearer than the edge at hand, ``inside`` one for each vertex of its link. ``link``
    are these by their places (found when the chain leaves something there), ``label`` says where each vertex is among
    them (-1: not), and ``rows`` which it is joined to, where ``known``. ``stars`` (n, 3) says where each vertex's
    simplices lie, how many they are and how many have room. ``first`` and ``tree`` hold what is left at the edge.
    ``state`` is the edge, the link's size, and how much room the stars take.
    """

    joined: np.ndarray
    inside: np.ndarray
    link: np.ndarray
    label: np.ndarray
    rows: np.ndarray
    known: np.ndarray
    stars: np.ndarray
    first: np.ndarray
    tree: np.ndarray
    state: np.ndarray


@njit(nogil=True, cache=True)
def fits(k, widest):
    """Whether what is left at an edge with ``widest`` vertices in its link can be told by a tree's numbers."""
    return np.float64(max(widest, 1)) ** (k - 1) <= ROOM


@njit(nogil=True, cache=True)
def empty_chain(n, k, widest):
    """Room for chains of simplices of k vertices among ``n``, where no link has more than ``widest``."""
    first, tree = tree_of(max(widest, 1) ** (k - 1))
    return (
        np.zeros((n, (n + WORD - 1) // WORD), np.int64),
        np.zeros((n + WORD - 1) // WORD, np.int64),
        np.empty(max(widest, 1), np.int32),
        np.full(n, -1, np.int32),
        np.zeros((max(widest, 1), (max(widest, 1) + WORD - 1) // WORD), np.int64),
        np.zeros(max(widest, 1), np.bool_),
        np.zeros((n, 3), np.int64),
        first,
        tree,
        np.zeros(3, np.int64),
    )


@njit(nogil=True, cache=True)
def _join(graph, c, edge):
    u, v = graph.ends[edge]
    c.joined[u, v // WORD] |= np.int64(1) << (v % WORD)
    c.joined[v, u // WORD] |= np.int64(1) << (u % WORD)


@njit(nogil=True, cache=True)
def begin(graph, bits, k, c, pool, chain, length, edge):
    """Take a chain that leaves nothing before ``edge`` and has no simplex whose longest edge is that or later."""
    for e in range(edge):
        _join(graph, c, e)
    c.state[0] = edge
    vertices = np.empty(k, np.int64)
    for i in range(length):
        vertices_of(graph, bits, chain[i], k, vertices)
        pool = _remember(c, pool, vertices, k)
    _enter(graph, c, pool, k)
    return pool


@njit(nogil=True, cache=True)
def end(c):
    """Empty the room."""
    _leave(c)
    c.joined.fill(0)
    c.stars.fill(0)
    c.state.fill(0)
    number = least(c.first, c.tree)
    while number >= 0:
        toggle(c.first, c.tree, number)
        number = least(c.first, c.tree)


@njit(nogil=True, cache=True)
def _make_room(c, pool, v, k):
    """Move a vertex's simplices to where there is room for twice as many; what they leave behind is not used again."""
    room = max(16, 2 * c.stars[v, 2])
    was, at = c.stars[v, 0], c.state[2]
    if (at + room) * (k - 1) > len(pool):
        pool = grown(pool, (at + room) * (k - 1))
    for i in range(c.stars[v, 1] * (k - 1)):
        pool[at * (k - 1) + i] = pool[was * (k - 1) + i]
    c.stars[v, 0], c.stars[v, 2] = at, room
    c.state[2] = at + room
    return pool


@njit(nogil=True, cache=True)
def _remember(c, pool, vertices, k):
    """Put a simplex among those of each of its vertices, as its k - 1 others."""
    for i in range(k):
        v = vertices[i]
        if c.stars[v, 1] == c.stars[v, 2]:
            pool = _make_room(c, pool, v, k)
        at = (c.stars[v, 0] + c.stars[v, 1]) * (k - 1)
        for j in range(k):
            if j != i:
                pool[at] = vertices[j]
                at += 1
        c.stars[v, 1] += 1
    return pool


@njit(nogil=True, cache=True)
def _leave(c):
    for i in range(c.state[1]):
        c.label[c.link[i]] = -1
    c.state[1] = 0


@njit(nogil=True, cache=True)
def _enter(graph, c, pool, k):
    """Find what the chain leaves at the edge at hand, and the edge's link if that is anything."""
    edge = c.state[0]
    if edge >= len(graph.ends):
        return
    u, v = graph.ends[edge]
    near_u, near_v = c.joined[u], c.joined[v]
    for i in range(len(c.inside)):
        c.inside[i] = near_u[i] & near_v[i]
    labels = np.empty(k, np.int64)
    for end in (u, v):
        at = c.stars[end, 0] * (k - 1)
        for i in range(at, at + c.stars[end, 1] * (k - 1), k - 1):
            inside = True
            for j in range(k - 1):
                w = pool[i + j]
                if not (c.inside[w // WORD] >> (w % WORD)) & 1:
                    inside = False
                    break
            if not inside:
                continue
            if c.state[1] == 0:
                _find_link(graph, c, u, graph.places[edge, 0])
            for j in range(k - 1):
                labels[j] = c.label[pool[i + j]]
            toggle(c.first, c.tree, _number(labels, k - 1, c.state[1]))


@njit(nogil=True, cache=True)
def _find_link(graph, c, u, places):
    """Label those inside the link of an edge at u by their places there, which are below the edge's own."""
    m = 0
    for i in range(graph.start[u], graph.start[u] + places):
        w = graph.near[i]
        if (c.inside[w // WORD] >> (w % WORD)) & 1:
            c.link[m] = w
            c.label[w] = m
            c.known[m] = False
            m += 1
    c.state[1] = m


@njit(nogil=True, cache=True)
def _number(labels, count, m):
    """A clique's number: its labels, put in order, as digits."""
    out = np.int64(0)
    for i in range(1, count):
        label = labels[i]
        j = i
        # labels[:i] rise; those above ``label`` move up until it has its own
        while j > 0 and labels[j - 1] > label:
            labels[j] = labels[j - 1]
            j -= 1
        labels[j] = label
    for i in range(count):
        out = out * m + labels[i]
    return out


@njit(nogil=True, cache=True)
def _row(c, label):
    """Which of the link a vertex of it is joined to."""
    if not c.known[label]:
        joined = c.joined[c.link[label]]
        m = c.state[1]
        for i in range((m + WORD - 1) // WORD):
            word = np.int64(0)
            for j in range(i * WORD, min(m, (i + 1) * WORD)):
                w = c.link[j]
                word |= ((joined[w // WORD] >> (w % WORD)) & 1) << (j - i * WORD)
            c.rows[label, i] = word
        c.known[label] = True
    return c.rows[label]


@njit(nogil=True, cache=True)
def _toggle_around(c, rest, count, common):
    """Toggle the cofacets that ``count`` vertices of the link have with the edge; ``common`` are all they are joined to.

    The labels in ``rest`` rise.
    """
    m = c.state[1]
    before = np.int64(0)
    # A new label between rest[j - 1] and rest[j] is the digit after ``before``, the number of rest[:j].
    for j in range(count + 1):
        low = rest[j - 1] + 1 if j > 0 else np.int64(0)
        high = rest[j] if j < count else m
        stride, after = np.int64(1), np.int64(0)
        for i in range(j, count):
            stride *= m
            after = after * m + rest[i]
        for i in range(low // WORD, (high + WORD - 1) // WORD):
            word = common[i]
            if i * WORD < low:
                word &= np.int64(-1) << (low - i * WORD)
            if high < (i + 1) * WORD:
                word &= (np.int64(1) << (high - i * WORD)) - 1
            if stride == 1:
                toggle_run(c.first, c.tree, before * m + i * WORD, word)
                continue
            while word:
                label = i * WORD + trailing_zeros(word)
                word &= word - 1
                toggle(c.first, c.tree, (before * m + label) * stride + after)
        if j < count:
            before = before * m + rest[j]


@njit(nogil=True, cache=True)
def _common(c, rest, count, common):
    """Write which of the link are joined to all of ``count`` of its vertices."""
    m = c.state[1]
    size = (m + WORD - 1) // WORD
    for i in range(size):
        held = min(m - i * WORD, WORD)
        common[i] = np.int64(-1) if held == WORD else (np.int64(1) << held) - 1
    for j in range(count):
        row = _row(c, rest[j])
        for i in range(size):
            common[i] &= row[i]


@njit(nogil=True, cache=True)
def add(graph, bits, k, c, pool, chain, done, length):
    """Take in chain[done:length], whose longest edges aren't later than the edge at hand."""
    edge = c.state[0]
    u, v = graph.ends[edge]
    vertices, rest = np.empty(k, np.int64), np.empty(k, np.int64)
    common = np.empty(c.rows.shape[1], np.int64)
    for i in range(done, length):
        vertices_of(graph, bits, chain[i], k, vertices)
        pool = _remember(c, pool, vertices, k)
        ends, count, inside = 0, 0, True
        for j in range(k):
            if vertices[j] == u or vertices[j] == v:
                ends += 1
            else:
                rest[count] = c.label[vertices[j]]
                inside &= rest[count] >= 0
                count += 1
        if ends == 2:
            _common(c, rest, count, common)
            _toggle_around(c, rest, count, common)
        elif ends == 1 and inside:
            toggle(c.first, c.tree, _number(rest, count, c.state[1]))
    return pool


@njit(nogil=True, cache=True)
def put_back(graph, bits, k, c, code):
    """Toggle a cofacet of the edge at hand."""
    vertices = np.empty(k + 1, np.int64)
    labels = np.empty(k, np.int64)
    vertices_of(graph, bits, code, k + 1, vertices)
    for i in range(k - 1):
        labels[i] = c.label[vertices[i + 2]]
    toggle(c.first, c.tree, _number(labels, k - 1, c.state[1]))


@njit(nogil=True, cache=True)
def next_left(graph, bits, k, c, pool, chain, length):
    """Take out the first cofacet left that is in no apparent pair, and add the facets of those before it to the chain.

    Returns the cofacet's code (-1: none is left), the chain, its length, and the pool.
    """
    last = len(graph.ends)
    labels = np.empty(k, np.int64)
    vertices = np.empty(k, np.int64)
    common = np.empty(c.rows.shape[1], np.int64)
    # No cofacet with an earlier longest edge is left, and the tree has those that are left of the edge at hand. Each pass takes the
    # least of them, and it ends if that is in no apparent pair; else its facet is added, of whose cofacets it
    # is the first. Where none is left the edge at hand is the next: the least numbers, then the edges, rise.
    while c.state[0] < last:
        m = c.state[1]
        number = least(c.first, c.tree)
        if number < 0:
            _leave(c)
            _join(graph, c, c.state[0])
            edge = c.state[0] + 1
            # edges at neither end of which the chain has a simplex are passed over
            while edge < last and c.stars[graph.ends[edge, 0], 1] + c.stars[graph.ends[edge, 1], 1] == 0:
                _join(graph, c, edge)
                edge += 1
            c.state[0] = edge
            _enter(graph, c, pool, k)
            continue
        edge = c.state[0]
        rest = number
        for i in range(k - 2, -1, -1):
            labels[i] = rest % m
            rest //= m
        _common(c, labels[1:], k - 2, common)
        nearer = False
        for i in range(labels[0] // WORD + 1):
            word = common[i]
            if word and i * WORD + trailing_zeros(word) < labels[0]:
                nearer = True
                break
        u = graph.ends[edge, 0]
        code = edge
        if nearer:
            toggle(c.first, c.tree, number)
            for i in range(k - 1):
                code = (code << bits) | place_at(graph, u, edge_between(graph, u, c.link[labels[i]]))
            return code, chain, length, pool
        _toggle_around(c, labels[1:], k - 2, common)
        vertices[0], vertices[1] = u, graph.ends[edge, 1]
        for i in range(1, k - 1):
            vertices[i + 1] = c.link[labels[i]]
            code = (code << bits) | place_at(graph, u, edge_between(graph, u, vertices[i + 1]))
        if length == len(chain):
            chain = grown(chain, length + 1)
        chain[length] = code
        length += 1
        pool = _remember(c, pool, vertices, k)
    return np.int64(-1), chain, length, pool
