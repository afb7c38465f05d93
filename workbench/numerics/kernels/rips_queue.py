"""Sets of numbers that know their least, in numba: a heap of keys, and a tree of bits in which what is put twice cancels."""

from __future__ import annotations

import numpy as np
from numba import njit

from workbench.numerics.kernels.rips_atomics import trailing_zeros

EMPTY = -1
WORD = 64


@njit(nogil=True, cache=True)
def push(heap, n, key):
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
def pop_pivot(heap, n):
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
def grown(array, n):
    """A copy with room for n or more."""
    out = np.empty(max(2 * len(array), n), array.dtype)
    for i in range(len(array)):
        out[i] = array[i]
    return out


@njit(nogil=True, cache=True)
def tree_of(size):
    """Where each level of a tree for numbers below ``size`` begins, the lowest first, and its words; all empty."""
    levels = 1
    words = (size + WORD - 1) // WORD
    room = words
    while words > 1:
        words = (words + WORD - 1) // WORD
        room += words
        levels += 1
    first = np.zeros(levels, np.int64)
    words = (size + WORD - 1) // WORD
    for level in range(1, levels):
        first[level] = first[level - 1] + words
        words = (words + WORD - 1) // WORD
    return first, np.zeros(room, np.int64)


@njit(nogil=True, cache=True)
def toggle(first, tree, number):
    """Put a number in, or take it out if it is there."""
    _toggle_word(first, tree, number // WORD, np.int64(1) << (number % WORD))


@njit(nogil=True, cache=True)
def toggle_run(first, tree, number, bits):
    """Toggle ``number`` + i for each bit i."""
    at, shift = number // WORD, number % WORD
    low = bits << shift
    if low:
        _toggle_word(first, tree, at, low)
    if shift:
        high = (bits >> (WORD - shift)) & ((np.int64(1) << shift) - 1)
        if high:
            _toggle_word(first, tree, at + 1, high)


@njit(nogil=True, cache=True)
def _toggle_word(first, tree, at, bits):
    was = tree[at]
    tree[at] = was ^ bits
    # A bit of a level says whether the word below it has a bit. Going up ends where a word stays empty or stays not.
    level = 0
    while (was == 0) != (tree[first[level] + at] == 0) and level + 1 < len(first):
        level += 1
        bit = np.int64(1) << (at % WORD)
        at //= WORD
        was = tree[first[level] + at]
        tree[first[level] + at] = was ^ bit


@njit(nogil=True, cache=True)
def least(first, tree):
    """The least number that is in the tree, or -1."""
    at = np.int64(0)
    for level in range(len(first) - 1, -1, -1):
        word = tree[first[level] + at]
        if word == 0:
            return np.int64(EMPTY)
        at = at * WORD + trailing_zeros(word)
    return at
