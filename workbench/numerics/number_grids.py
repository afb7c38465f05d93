"""The grid that numbers lie on: how coarsely weights were rounded before they were stored as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_LEVELS = 256  # of whole-number codes
_REPEATS = 4  # times that each level has to occur, on average, before few levels say anything
_OFF = 0.02  # of a step, by which a level may lie off the grid: scales are rounded too
_FORMATS = {7: "bfloat16", 10: "float16", 3: "8-bit float (e4m3)", 2: "8-bit float (e5m2)"}
_DIGITS = 23  # of float32, behind the leading one


@dataclass(frozen=True)
class Grid:
    """What numbers were rounded to.

    Attributes
    ----------
    words : "whole steps in each row", "bfloat16" ...; "" for float32's own. levels : distinct values a row, of whole steps.
    noise : root mean square of the rounding, over that of the numbers: 1/√12 of a step each.
    """

    words: str
    levels: int
    noise: float


def grid_of(rows: Float[np.ndarray, "r m"]) -> Grid:
    """Say on what grid some rows of float32 lie: equal steps in each row, or floats of fewer digits.

    Blocks within a row that each have a scale of their own aren't found by their steps; their format says it.
    """
    x = np.where(np.isfinite(rows), rows, 0).astype(np.float32)
    power = float(np.sqrt(np.mean(np.square(x, dtype=np.float64)))) if x.size else 0.0
    if power == 0:
        return Grid("", 0, 0.0)
    steps = _steps(x)
    if steps is not None:
        step, levels = steps
        return Grid("whole steps in each row", levels, float(np.sqrt(np.mean(step**2) / 12)) / power)
    mantissas = int(np.bitwise_or.reduce(x.view(np.uint32).ravel() & np.uint32((1 << _DIGITS) - 1)))
    digits = _DIGITS - (mantissas & -mantissas).bit_length() + 1 if mantissas else 0
    _, exponents = np.frexp(x[x != 0].astype(np.float64))
    ulps = np.ldexp(1.0, exponents - 1 - digits)
    noise = float(np.sqrt(np.square(ulps).sum() / 12 / x.size)) / power
    if digits == _DIGITS:
        return Grid("", 0, noise)
    return Grid(_FORMATS.get(digits, f"floats of {digits + 1} binary digits"), 0, noise)


def _steps(x: np.ndarray) -> tuple[np.ndarray, int] | None:
    """The step of each row and the most levels of one, where each row has few that are equally far apart."""
    found = []
    most = 0
    for row in x:
        levels = np.unique(row).astype(np.float64)
        if not 2 < len(levels) <= min(MOST_LEVELS, len(row) // _REPEATS):
            return None
        gaps = np.diff(levels)
        step = gaps.min()
        whole = (levels - levels[0]) / step
        if np.abs(whole - np.round(whole)).max() > _OFF or whole[-1] >= MOST_LEVELS:
            return None
        found.append(step)
        most = max(most, len(levels))
    return np.array(found), most
