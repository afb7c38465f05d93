"""Changed bits: what turns one checkpoint into another, and back, to the last bit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from workbench.core.edit import Edit
from workbench.core.errors import DataError, ViewError
from workbench.core.lazy import LazyTensor, Tensors, as_tensors
from workbench.edits._bits import packed, require_bits, unpacked
from workbench.numerics.rounded_sums import FORMATS, codes_of, numbers
from workbench.subjects.checkpoint import Checkpoint, weights_of


@dataclass(frozen=True, eq=False, repr=False)
class Bits(Edit):
    """The bits of some tensors are turned, those that differ between two checkpoints.

    Its negative goes back. A checkpoint whose bits are others than those that it was made for is refused by the name of the
    tensor, before anything is written. A patch: small where little changed.

    Parameters
    ----------
    turned : tensor name to the bits that differ, packed. shapes, dtypes : of each tensor.
    digests : of each tensor's bits before and after.
    """

    kind: ClassVar[str] = "bits"
    turned: Tensors
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "turned", as_tensors(self.turned))

    @classmethod
    def between(cls, before: Checkpoint, after: Checkpoint, *, title: str = "") -> Bits:
        """What turns the bits of one checkpoint into those of another; tensors that are the same take no place.

        Raises
        ------
        DataError
            They don't have the same tensors of the same shapes, stored in the same formats, or nothing differs.
        ViewError
            The bits of one can't be had, as of tensors that are quantized in blocks.
        """
        before, after = weights_of(before), weights_of(after)
        if list(lacking := sorted(set(before.tensors) ^ set(after.tensors))):
            names = ", ".join(lacking[:5]) + (" ..." if len(lacking) > 5 else "")
            raise DataError(
                f"{before.name} and {after.name} don't both have {names}: a patch changes the bits of tensors."
            )
        turned, shapes, dtypes, digests = {}, {}, {}, {}
        for name, info in before.tensors.items():
            other = after.tensors[name]
            if (info.shape, info.dtype) != (other.shape, other.dtype):
                raise DataError(
                    f"{name} is {info.dtype} {info.shape} in {before.name} and {other.dtype} {other.shape} in {after.name}: "
                    f"a patch keeps shapes and formats."
                )
            one, two = before.stored(name), after.stored(name)
            if one is None or two is None:
                raise ViewError(
                    f"The bits of {name} can't be had of {(before if one is None else after).name}: save it as safetensors."
                )
            mask = _flat(one.whole()) ^ _flat(two.whole())
            if not mask.any():
                continue
            turned[name] = packed(mask)
            shapes[name], dtypes[name], digests[name] = info.shape, info.dtype, (one.digest, two.digest)
        if not turned:
            raise DataError(
                f"{before.name} and {after.name} are the same to the last bit: there is nothing to patch."
            )
        return cls(
            as_tensors(turned),
            shapes,
            dtypes,
            digests,
            title=title or f"bits from {before.name} to {after.name}",
        )

    @property
    def tensors(self) -> Collection[str]:
        return self.turned.keys()

    def fits(self, name: str, shape: tuple[int, ...]) -> None:
        if tuple(self.shapes[name]) != shape:
            raise DataError(
                f"{name} has the shape {shape}; this was made for {tuple(self.shapes[name])}: the wrong base."
            )

    def on_bits(self, name: str, stored: LazyTensor, dtype: str) -> LazyTensor:
        require_bits(name, stored, dtype, self.dtypes, self.digests, self.label)  # type: ignore[arg-type]
        return self._turned(name, stored)

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        dtype = self.dtypes[name]
        if dtype not in FORMATS:
            raise ViewError(
                f"{self.label}: {name} is {dtype}, whose bits are only at hand in the file: save the checkpoint."
            )
        coded = tensor.map_rows(lambda rows, _: codes_of(rows, dtype))
        return self._turned(name, coded).map_rows(lambda rows, _: numbers(rows, dtype))

    def _turned(self, name: str, stored: LazyTensor) -> LazyTensor:
        def turn(rows: np.ndarray) -> np.ndarray:
            flat = _flat(rows)
            mask = unpacked(name, self.turned[name], flat.shape, flat.dtype)
            return (flat ^ mask).view(rows.dtype).reshape(rows.shape)

        return stored.map(turn)

    def scaled(self, factor: float) -> Edit:
        if factor != -1.0:
            raise ViewError(
                "Bits are turned or turned back: there is a negative of such an edit and no other multiple."
            )
        back = {name: (after, before) for name, (before, after) in self.digests.items()}
        return replace(self, digests=back, title=f"back: {self.title}" if self.title else "", run=None)


def _flat(stored: np.ndarray) -> np.ndarray:
    """The bits as whole numbers of the same width; of wider ones than 8 bytes, byte by byte."""
    width = f"<u{stored.dtype.itemsize}" if stored.dtype.itemsize <= 8 else "u1"
    return np.ascontiguousarray(stored).reshape(-1).view(width)
