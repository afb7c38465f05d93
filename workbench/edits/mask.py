"""Masks: which entries of a weight stay and which are zeroed, a bit for each."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from workbench.core.edit import Edit
from workbench.core.errors import DataError
from workbench.core.lazy import LazyTensor, Tensors, as_tensors


@dataclass(frozen=True, eq=False, repr=False)
class Mask(Edit):
    """W becomes W where the mask is set and 0 elsewhere; `of` makes one from arrays of booleans.

    Attributes
    ----------
    bits : tensor name to the mask, each row packed into bytes (``numpy.packbits``).
    shapes : tensor name to the tensor's shape.
    """

    kind: ClassVar[str] = "mask"
    bits: Tensors
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", as_tensors(self.bits))
        object.__setattr__(self, "shapes", {name: tuple(shape) for name, shape in self.shapes.items()})
        for name in self.bits:
            packed, shape = self.bits.lazy(name).shape, self.shapes.get(name)
            if shape is None or packed != (shape[0] if shape else 1, -(-math.prod(shape[1:]) // 8)):
                raise DataError(f"{name}: bits of the shape {packed} are no mask of the shape {shape}.")

    @classmethod
    def of(cls, keep: Mapping[str, Any], *, title: str = "") -> Mask:
        """Return the mask that keeps what is true.

        Raises
        ------
        DataError
            An array doesn't hold booleans.
        """
        arrays = {name: np.asarray(one) for name, one in keep.items()}
        for name, one in arrays.items():
            if one.dtype != bool:
                raise DataError(
                    f"{name}: a mask holds booleans, true for what stays; this holds {one.dtype}."
                )
        packed = {n: np.packbits(_as_rows(one), axis=1) for n, one in arrays.items()}
        return cls(as_tensors(packed), {n: one.shape for n, one in arrays.items()}, title=title)

    @property
    def tensors(self) -> Collection[str]:
        return self.shapes.keys()

    @property
    def words(self) -> str:
        return f"a mask on {len(self.shapes):,} tensors"

    def fits(self, name: str, shape: tuple[int, ...]) -> None:
        if self.shapes[name] != shape:
            raise DataError(f"{name} has the shape {shape}; its mask has the shape {self.shapes[name]}.")

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        bits = self.bits.lazy(name)

        def keep(rows: np.ndarray, start: int) -> np.ndarray:
            flat = _as_rows(rows)
            mask = np.unpackbits(bits.read(start, start + len(flat)), axis=1, count=flat.shape[1]).view(bool)
            return np.where(mask.reshape(rows.shape), rows, rows.dtype.type(0))

        return tensor.map_rows(keep)


def _as_rows(array: np.ndarray) -> np.ndarray:
    """As (rows, entries of a row); a scalar is one row."""
    return array.reshape(len(array) if array.ndim else 1, math.prod(array.shape[1:]))
