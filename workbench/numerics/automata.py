"""Elementary cellular automata: cells of 0 and 1 on a line, each next one decided by three neighbours."""

from __future__ import annotations

from functools import cache

import numpy as np

RULES = 256


def evolved(rule: int, first: np.ndarray, generations: int) -> np.ndarray:
    """Run a rule from a first line, and give what that line decides: no cell beyond its ends is assumed.

    Parameters
    ----------
    rule : bit 4 l + 2 c + r of it is what follows cells l, c, r (Wolfram's number). first : (cells) of 0 and 1, of any integer dtype.

    Returns
    -------
    (generations, cells - 2 (generations - 1)) of uint8; the first row is the middle of the first line.

    Raises
    ------
    ValueError
        No such rule, no generation, or too few cells for so many.

    References
    ----------
    Wolfram 1983, Statistical mechanics of cellular automata, section 2.
    """
    if type(rule) is not int or not 0 <= rule < RULES:
        raise ValueError(f"rule: it must be a whole number from 0 to {RULES - 1}, not {rule!r}")
    margin = generations - 1
    if margin < 0 or len(first) <= 2 * margin:
        raise ValueError(
            f"generations: {len(first):,} cells decide 1 to {(len(first) + 1) // 2:,} generations, not {generations:,}"
        )
    next_of = ((rule >> np.arange(8)) & 1).astype(np.uint8)
    cells, width = first.astype(np.uint8), len(first) - 2 * margin
    found = np.empty((generations, width), np.uint8)
    for t in range(generations):
        found[t] = cells[margin - t : margin - t + width]
        cells = next_of[4 * cells[:-2] + 2 * cells[1:-1] + cells[2:]]
    return found


@cache
def keeps_fair(rule: int) -> bool:
    """Whether independent fair cells stay independent and fair along each line: every line has a line before it.

    The lines before a word are followed letter by letter, as the set of the last two cells that they can end with; a word that none
    comes before empties it.

    References
    ----------
    Hedlund 1969, Endomorphisms and automorphisms of the shift, theorem 5.4; Amoroso and Patt 1972, Decision procedures for
    surjectivity and injectivity of parallel maps for tessellation structures.
    """
    ends = frozenset(range(4))
    seen, waiting = {ends}, [ends]
    while waiting:
        before = [(2 * end + cell, (2 * end + cell) % 4) for end in waiting.pop() for cell in (0, 1)]
        for letter in (0, 1):
            after = frozenset(end for three, end in before if (rule >> three) & 1 == letter)
            if not after:
                return False
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return True
