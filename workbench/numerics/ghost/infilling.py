"""Fill-in-the-middle: a causal network learns what stands between two pieces of text, by reading the piece after it first.

A text is cut in three and written ``PREFIX prefix SUFFIX suffix MIDDLE middle END``. The four marks are control bytes that text
doesn't hold; a text that holds them is refused, since nothing could tell them from marks.

References
----------
Bavarian et al. 2022, Efficient training of language models to fill in the middle (2207.14255).
"""

from __future__ import annotations

import numpy as np

PREFIX, SUFFIX, MIDDLE, END = 1, 2, 3, 4
MARKS = bytes([PREFIX, SUFFIX, MIDDLE, END])


def asked_between(prefix: bytes, suffix: bytes) -> bytes:
    """What a network goes on from to write the middle, until `END`.

    Raises
    ------
    ValueError
        A piece holds a mark.
    """
    for piece in (prefix, suffix):
        _require_no_marks(piece)
    return bytes([PREFIX]) + prefix + bytes([SUFFIX]) + suffix + bytes([MIDDLE])


def rearranged(text: bytes, rng: np.random.Generator) -> bytes:
    """A text cut at two places that are drawn evenly, its middle behind the others; `restored` undoes it.

    Raises
    ------
    ValueError
        The text holds a mark.
    """
    _require_no_marks(text)
    first, second = np.sort(rng.integers(0, len(text) + 1, 2)).tolist()
    return asked_between(text[:first], text[second:]) + text[first:second] + bytes([END])


def restored(line: bytes) -> bytes:
    """The text that `rearranged` cut."""
    prefix, rest = line[1:].split(bytes([SUFFIX]))
    suffix, middle = rest.split(bytes([MIDDLE]))
    return prefix + middle.removesuffix(bytes([END])) + suffix


def _require_no_marks(text: bytes) -> None:
    if held := set(text) & set(MARKS):
        raise ValueError(
            f"the text holds the byte {min(held)}, which marks where a piece begins: take the bytes 1 to 4 out of it first"
        )
