"""Sums that were rounded to a format, taken back: which numbers of the format could have been there before.

The codes of a format in the order of the numbers that they stand for are whole numbers without gaps (minus zero is -1 and
zero is 0). Adding the same number and rounding keeps that order, so what gives one sum is an interval of such codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.numerics.floats import decode, encode

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Arithmetic = Literal["workbench", "peft"]
FORMATS = {"F32": np.uint32, "F16": np.uint16, "BF16": np.uint16}
"""Formats of which sums are taken back, and what their codes are stored in."""
MOST = 1 << 40  # a bracket that is never so wide


def numbers(codes: np.ndarray, dtype: str) -> np.ndarray:
    """The float32 that codes of a format stand for."""
    if dtype == "BF16":
        return decode(codes, "BF16")
    return codes.view(np.float16 if dtype == "F16" else np.float32).astype(np.float32)


def codes_of(values: np.ndarray, dtype: str) -> np.ndarray:
    """The codes of the numbers nearest to float32 values, ties to even."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "BF16":
            return encode(values, "BF16").astype(np.uint16)
        return np.ascontiguousarray(values.astype(np.float16 if dtype == "F16" else np.float32)).view(
            FORMATS[dtype]
        )


def in_order(codes: np.ndarray, dtype: str) -> np.ndarray:
    """Codes as int64 in the order of their numbers."""
    bits = 8 * np.dtype(FORMATS[dtype]).itemsize - 1
    wide = codes.astype(np.int64)
    return np.where(wide >> bits == 0, wide, -1 - (wide & ((1 << bits) - 1)))


def from_order(ordered: np.ndarray, dtype: str) -> np.ndarray:
    """The codes again."""
    bits = 8 * np.dtype(FORMATS[dtype]).itemsize - 1
    return np.where(ordered >= 0, ordered, (-1 - ordered) | (1 << bits)).astype(FORMATS[dtype])


def added(dtype: str, difference: np.ndarray, arithmetic: Arithmetic) -> Callable[[np.ndarray], np.ndarray]:
    """What makes merged codes of base codes.

    Parameters
    ----------
    difference : float32. arithmetic : ``workbench`` adds in float32 and rounds once; ``peft`` rounds the difference to the
        format before, as PEFT does.
    """
    if arithmetic == "peft":
        difference = numbers(codes_of(difference, dtype), dtype)
    return lambda codes: codes_of(numbers(codes, dtype) + difference, dtype)


def candidates(
    merged: np.ndarray,
    difference: Float[np.ndarray, ...],
    dtype: str,
    arithmetic: Arithmetic = "workbench",
    slack: Float[np.ndarray, ...] | None = None,
) -> tuple[Int[np.ndarray, ...], Int[np.ndarray, ...]]:
    """Find every number to which a difference was added to give what is seen.

    Parameters
    ----------
    merged : codes of the format ``dtype``, of finite numbers. difference : float32, of the same shape.
    slack : float32, how far what was added may lie from ``difference``; None for nothing. Sums grow with what is added, so that
        the two ends of that range hold all that could have been there.

    Returns
    -------
    first, count
        The first candidate (ordered, see `from_order`), and how many there are: 0 where nothing gives what is seen.
    """
    low, high = difference, difference
    if slack is not None:
        low = np.nextafter(difference - slack, np.float32(-np.inf))
        high = np.nextafter(difference + slack, np.float32(np.inf))
    goal = in_order(merged, dtype)
    guess = in_order(codes_of(numbers(merged, dtype) - difference, dtype), dtype)
    top = (
        int(in_order(codes_of(np.array([np.inf], np.float32), dtype), dtype)[0]) - 1
    )  # the largest finite number

    def first_at_least(bound: np.ndarray, difference: np.ndarray) -> np.ndarray:
        """The first ordered code whose sum is at least the bound."""
        add = added(dtype, difference, arithmetic)

        def sums(ordered: np.ndarray) -> np.ndarray:
            return in_order(add(from_order(ordered, dtype)), dtype)

        low, high = guess.copy(), guess.copy()
        step = 1
        # widened until every sum at ``low`` lies under its bound, and every one at ``high`` doesn't
        while step < MOST:
            down = (sums(low) >= bound) & (low > -1 - top)
            up = (sums(high) < bound) & (high < top)
            if not (down.any() or up.any()):
                break
            low = np.maximum(np.where(down, low - step, low), -1 - top)
            high = np.minimum(np.where(up, high + step, high), top)
            step *= 4
        low = np.where(sums(low) >= bound, low - 1, low)  # nothing is smaller
        high = np.where(sums(high) < bound, high + 1, high)
        # invariant: the sum at low is under the bound, that at high isn't
        while (high - low > 1).any():
            middle = (low + high) >> 1
            enough = sums(np.clip(middle, -1 - top, top)) >= bound
            high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        return high

    first = first_at_least(goal, high)
    return first, np.maximum(first_at_least(goal + 1, low) - first, 0)
