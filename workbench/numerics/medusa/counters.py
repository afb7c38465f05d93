"""Normal numbers by their address: seed, stream, step, node and world say which, and nothing else does.

So a world has the same noise alone, in a batch and in chunks, in whatever order it is asked for. Philox's words are those
that Triton and CUDA have under that name, so that a kernel can draw the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt32

LARGEST_SEED = 2**64 - 1
_LOW, _WORD = np.uint64(0xFFFFFFFF), np.uint64(32)
_FACTORS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox(
    counter: tuple[UInt32[np.ndarray, " *shape"], ...], key: tuple[int, int]
) -> tuple[UInt32[np.ndarray, " *shape"], ...]:
    """Encrypt four words of 32 bits by Philox 4x32 of ten rounds.

    Parameters
    ----------
    counter : four arrays of whole numbers below 2^32 that broadcast against each other.
    key : two words.

    Returns
    -------
    four arrays, uint64 that hold 32 bits each.

    References
    ----------
    Salmon, Moraes, Dror and Shaw 2011, Parallel random numbers: as easy as 1, 2, 3, SC 11, section 4.
    """
    a, b, c, d = (np.asarray(word).astype(np.uint64) for word in counter)
    low, high = key
    for _ in range(_ROUNDS):
        left, right = _FACTORS[0] * a, _FACTORS[1] * c
        a, b, c, d = (
            (right >> _WORD) ^ b ^ np.uint64(low),
            right & _LOW,
            (left >> _WORD) ^ d ^ np.uint64(high),
            left & _LOW,
        )
        low, high = (low + _KEY_STEPS[0]) & 0xFFFFFFFF, (high + _KEY_STEPS[1]) & 0xFFFFFFFF
    return a, b, c, d


def normals(
    seed: int,
    stream: int,
    steps: range,
    n: int,
    worlds: Sequence[int] | np.ndarray,
    out: Float[np.ndarray, "steps n worlds"] | None = None,
) -> Float[np.ndarray, "steps n worlds"]:
    """Draw standard normal numbers, float64, each by its address.

    Parameters
    ----------
    seed : 0 to 2^64 - 1. stream : which of several noises. steps : consecutive, below 2^32. n : nodes.
    worlds : their numbers. out : where they go; a new array without it.

    Raises
    ------
    ValueError
        A number that doesn't fit its word.

    References
    ----------
    Box and Muller 1958, A note on the generation of random normal deviates, Ann. Math. Statist. 29.
    """
    worlds = np.asarray(worlds, dtype=np.int64)
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"seed: it must be a whole number from 0 to 2^64 - 1, not {seed!r}")
    for name, value in (("stream", stream), ("steps", steps.stop), ("worlds", worlds.max(initial=0))):
        if not 0 <= value < 2**32:
            raise ValueError(f"{name}: it must be a whole number from 0 to 2^32 - 1, not {value!r}")
    if worlds.min(initial=0) < 0 or steps.start < 0:
        raise ValueError("worlds and steps are numbered from 0 on; a negative number is none of them")
    from workbench.numerics.medusa.compiled import normals_at

    drawn = np.empty((len(steps), n, len(worlds))) if out is None else out
    normals_at(seed & 0xFFFFFFFF, seed >> 32, stream, steps.start, worlds, drawn)
    return drawn
