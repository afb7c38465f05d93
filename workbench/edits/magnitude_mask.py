"""Masks by magnitude: the smallest entries of each weight zeroed, found when the weight is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from workbench.core.edit import Edit
from workbench.core.errors import DataError
from workbench.core.lazy import LazyTensor, Tensors
from workbench.edits.mask import Mask

_DIGIT = 16  # bits of a magnitude that are counted in one pass


@dataclass(frozen=True, eq=False, repr=False)
class MagnitudeMask(Edit):
    """The ``fraction`` of each tensor's entries that are smallest in magnitude become 0.

    Of entries of equal magnitude the first go, so that exactly that share goes. What goes is found anew in whatever the
    edit is applied to; `on_values_of` gives the mask that it is for one network.

    Parameters
    ----------
    names : the tensors. fraction : 0 to 1, of each tensor's entries, to the nearest whole number of them.
    """

    kind: ClassVar[str] = "magnitude_mask"
    names: tuple[str, ...]
    fraction: float

    @property
    def tensors(self) -> Collection[str]:
        return self.names

    @property
    def words(self) -> str:
        return f"{self.fraction:g} of the weights pruned"

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        gone = self._smallest(name, tensor)
        return tensor.map_rows(lambda rows, start: np.where(gone(rows, start), rows.dtype.type(0), rows))

    def _smallest(self, name: str, tensor: LazyTensor) -> Callable[[np.ndarray, int], np.ndarray]:
        """Says of some rows which entries go; where to cut is found once, when the first rows are asked about."""
        size = math.prod(tensor.shape)
        columns = math.prod(tensor.shape[1:])
        cut = cache(lambda: _cut(name, tensor, round(self.fraction * size)))

        def gone(rows: np.ndarray, start: int) -> np.ndarray:
            threshold, last = cut()
            bits = _magnitudes(rows)
            found = bits < threshold
            ties = np.flatnonzero(bits == threshold)
            found.reshape(-1)[ties[ties + start * columns <= last]] = True
            return found

        return gone

    def on_values_of(self, tensors: Tensors) -> Mask:
        """Return the mask that this is for one network, to be applied to another (its earlier weights, say).

        References
        ----------
        Frankle and Carbin 2019, The lottery ticket hypothesis: finding sparse, trainable neural networks, ICLR.
        """
        lazy = {name: tensors.lazy(name) for name in self.names}
        keep = {name: ~one.map_rows(self._smallest(name, one)).whole() for name, one in lazy.items()}
        return Mask.of(keep, title=self.label)


def _magnitudes(values: np.ndarray) -> np.ndarray:
    """Whole numbers in the order of the magnitudes: the bits without the sign; NaN comes last."""
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    sign = unsigned.type(1 << (8 * values.dtype.itemsize - 1))
    return np.ascontiguousarray(values).view(unsigned) & ~sign


def _cut(name: str, tensor: LazyTensor, count: int) -> tuple[int, int]:
    """The ``count``-th smallest magnitude (from 1), as bits, and the flat position of the last such entry that goes.

    The bits are found a digit at a time, from the highest, by counting: the invariant is that ``left`` entries that go
    begin with the digits found so far, the others being smaller. Three passes or so over the tensor, and no copy.
    """
    if count == 0:
        return 0, -1
    if tensor.dtype.kind != "f":
        raise DataError(f"{name} holds {tensor.dtype}, which are no weights: choose others with at=.")
    found, left = 0, count
    for shift in range(8 * tensor.dtype.itemsize - _DIGIT, -1, -_DIGIT):
        counts = np.zeros(1 << _DIGIT, np.int64)
        for _, rows in tensor.blocks():
            bits = _magnitudes(rows).reshape(-1)
            here = bits[bits >> (shift + _DIGIT) == found] if shift + _DIGIT < 8 * bits.itemsize else bits
            digits = (here >> shift) & ((1 << _DIGIT) - 1)
            counts += np.bincount(digits.astype(np.int64), minlength=1 << _DIGIT)
        below = np.cumsum(counts)
        digit = int(np.searchsorted(below, left))
        left -= int(below[digit - 1]) if digit else 0
        found = found << _DIGIT | digit
    columns = math.prod(tensor.shape[1:])
    for start, rows in tensor.blocks():
        ties = np.flatnonzero(_magnitudes(rows) == found)
        if len(ties) >= left:
            return found, start * columns + int(ties[left - 1])
        left -= len(ties)
    raise DataError(f"{name} gave other numbers when it was read again: it isn't what it was.")
