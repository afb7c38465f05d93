"""Rows less their mean, of unit size: those that are asked for, without a copy of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.rows import by_blocks

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Real


class UnitRows:
    """Rows less their mean, over the root mean square of their lengths, so that no array outweighs another.

    Attributes
    ----------
    flat : whether all rows are equal.
    """

    def __init__(self, x: Real[np.ndarray, "n d"]):
        self.x = x
        # divided by the largest first, so that no square overflows
        self.largest = float(max(by_blocks(lambda b: np.abs(b).max(initial=0), x), default=0)) or 1.0
        sums = by_blocks(lambda b: (b / self.largest).sum(axis=0, dtype=np.float64), x)
        self.mean = np.sum(sums, axis=0) / max(len(x), 1)
        squares = by_blocks(lambda b: float(np.square(b / self.largest - self.mean).sum()), x)
        self.size = float(np.sqrt(sum(squares) / max(len(x), 1))) or 1.0
        self.flat = not any(by_blocks(lambda b: bool((b != x[0]).any()), x))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, at: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m d"]:
        return np.asarray((self.x[at] / self.largest - self.mean) / self.size)


class SideBySide:
    """Arrays of the same rows, each of unit size, as one wide array of which only some rows are ever made."""

    def __init__(self, arrays: Sequence[UnitRows]):
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, at: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m e"]:
        return np.hstack([rows[at] for rows in self.arrays])
