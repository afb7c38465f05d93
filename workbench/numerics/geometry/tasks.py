"""Tasks with an exact answer at each position, that tell kinds of attention and of recurrence apart."""

from __future__ import annotations

from itertools import permutations

import numpy as np

PAUSE = 4  # the letter of S5 that changes nothing
S5_LETTERS, S5_STATES = 5, 120


def s5(words: int, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Words of exchanges of neighbours among five things, and where all lie after each letter.

    Returns
    -------
    (words, length) letters: 0 to 3 exchange the things at that place and the next, 4 changes nothing; (words, length) states 0 to
    119, arrangements in alphabetical order; 0 is the one at the start. Both int64.

    References
    ----------
    Barrington 1989; Merrill et al. 2024, The illusion of state (2404.08819).
    """
    letters = rng.integers(S5_LETTERS, size=(words, length))
    step, states, now = s5_steps(), np.empty_like(letters), np.zeros(words, np.int64)
    for t in range(length):
        now = states[:, t] = step[letters[:, t], now]
    return letters, states


def s5_steps() -> np.ndarray:
    """(5, 120): the state after a letter and a state."""
    arranged = list(permutations(range(5)))
    place = {a: i for i, a in enumerate(arranged)}
    found = np.tile(np.arange(len(arranged)), (S5_LETTERS, 1))
    for letter in range(PAUSE):
        for i, a in enumerate(arranged):
            b = list(a)
            b[letter], b[letter + 1] = b[letter + 1], b[letter]
            found[letter, i] = place[tuple(b)]
    return found


DEPTH = 8  # of brackets


def dyck2(words: int, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Beginnings of well nested words of two kinds of brackets, at most eight deep, and what may close after each letter.

    Returns
    -------
    (words, length) letters: 0 and 1 open, 2 and 3 close them; (words, length) answers: 0 where nothing is open, 1 or 2 for the kind
    that was opened last. Both int64. Where both are possible, opening and closing are as likely.

    References
    ----------
    Hewitt et al. 2020, RNNs can generate bounded hierarchical languages (2010.07515).
    """
    letters, answers = np.empty((2, words, length), np.int64)
    stack, depth, each = np.zeros((words, DEPTH + 1), np.int64), np.zeros(words, np.int64), np.arange(words)
    for t in range(length):
        opens = (rng.random(words) < 0.5) & (depth < DEPTH) | (depth == 0)
        kind = np.where(opens, rng.integers(2, size=words), stack[each, depth] - 1)
        depth += np.where(opens, 1, -1)
        stack[each[opens], depth[opens]] = kind[opens] + 1
        letters[:, t], answers[:, t] = np.where(opens, kind, kind + 2), stack[each, depth]
    return letters, answers


def match3(
    words: int, length: int, rng: np.random.Generator, *, modulus: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers below ``modulus``, and whether two others before a number add to it to 0.

    Returns
    -------
    (words, length) numbers x; (words, length) answers, 1 where x_i + x_j + x_k = 0 modulo ``modulus`` for some j < k < i. Both int64.

    References
    ----------
    Sanford et al. 2023, Representational strengths and limitations of transformers (2306.02896): pairs of positions don't show it
    without a width that grows with the length, triples do.
    """
    numbers = rng.integers(modulus, size=(words, length))
    seen, sums = np.zeros((2, words, modulus), bool)
    answers, each = np.empty_like(numbers), np.arange(words)
    values = np.arange(modulus)
    for t in range(length):
        now = numbers[:, t]
        answers[:, t] = sums[each, -now % modulus]
        sums |= np.take_along_axis(seen, (values - now[:, None]) % modulus, 1)
        seen[each, now] = True
    return numbers, answers
