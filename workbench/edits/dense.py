"""Dense edits: a difference added to whole tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from workbench.core.edit import Edit
from workbench.core.errors import DataError
from workbench.core.lazy import LazyTensor, Tensors, as_tensors


@dataclass(frozen=True, eq=False, repr=False)
class Dense(Edit):
    """W becomes ``W + scale * difference``.

    The sum is made in float64 and rounded once to W's own dtype. A difference of two networks (`between`) is kept in
    float64, so that adding it to the one gives the other to the last bit, and subtracting it from the other, read from
    its own file, gives the one; but for numbers that are 2²⁸ times larger in one than in the other.

    Parameters
    ----------
    difference : tensor name to what is added, of the tensor's shape.

    References
    ----------
    Ilharco et al. 2023, Editing models with task arithmetic, ICLR.
    """

    kind: ClassVar[str] = "dense"
    difference: Tensors
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "difference", as_tensors(self.difference))
        object.__setattr__(self, "scale", float(self.scale))

    @classmethod
    def between(cls, before: Tensors, after: Tensors, *, title: str = "") -> Dense:
        """What must be added to one network (a checkpoint) to have another; nothing is read before it is used.

        Integers aren't weights and are left out, and so are tensors that only one of them has.

        Raises
        ------
        DataError
            They have a tensor of one name and two shapes, or none of one name.
        """
        return cls(Differences(before, after), title=title)

    @property
    def tensors(self) -> Collection[str]:
        return self.difference.keys()

    def fits(self, name: str, shape: tuple[int, ...]) -> None:
        made = self.difference.lazy(name).shape
        if made != shape:
            raise DataError(f"{name} has the shape {shape}; what is to be added to it has the shape {made}.")

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        difference = self.difference.lazy(name)

        def add(rows: np.ndarray, start: int) -> np.ndarray:
            more = difference.read(start, start + len(rows) if tensor.shape else 1)
            total = rows.astype(np.float64) + self.scale * more.astype(np.float64)
            with np.errstate(over="ignore"):  # infinite numbers are told by whoever is asked about them
                return total.astype(rows.dtype)

        return tensor.map_rows(add)

    def scaled(self, factor: float) -> Dense:
        return replace(self, scale=self.scale * factor, title="", run=None)


class Differences(Tensors):
    """Two networks' tensors of one name, the one's taken from the other's when read, in float64."""

    def __init__(self, before: Tensors, after: Tensors):
        self._before, self._after = before, after
        shared = {n: (before.lazy(n), after.lazy(n)) for n in before if n in after}
        for name, (one, other) in shared.items():
            if one.shape != other.shape:
                raise DataError(
                    f"{name} has the shapes {one.shape} and {other.shape}: they have no difference."
                )
        self._names = {
            n: one for n, (one, other) in shared.items() if one.dtype.kind == other.dtype.kind == "f"
        }
        if not self._names:
            raise DataError("The two networks have no weight of one name, so that they have no difference.")

    def lazy(self, name: str) -> LazyTensor:
        """One of them."""
        before = self._before.lazy(name)

        def subtract(rows: np.ndarray, start: int) -> np.ndarray:
            stop = start + len(rows) if before.shape else 1
            return rows.astype(np.float64) - before.read(start, stop).astype(np.float64)

        return self._after.lazy(name).map_rows(subtract)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
