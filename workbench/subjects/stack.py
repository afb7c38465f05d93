"""Stacks: matrices of one shape, one a layer, that are asked about together; read a few rows at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError
from workbench.core.lazy import LazyTensor
from workbench.core.rows import require_finite
from workbench.core.subject import Subject
from workbench.core.view import View

if TYPE_CHECKING:
    from jaxtyping import Float, Int

STEP = 1 << 22  # numbers that are read at once


@dataclass(frozen=True, eq=False)
class Stack(View):
    """Matrices of one shape, one a layer, not read yet.

    Attributes
    ----------
    layers : name of each layer's matrix to what reads it, in order; two or more. shape : (rows, columns) of each.
    """

    needs: ClassVar[str] = "a stack of matrices of one shape (wb.weight_stack)"
    layers: Mapping[str, LazyTensor]
    shape: tuple[int, int]

    def block(
        self, rows: Int[np.ndarray, " r"], columns: Int[np.ndarray, " c"]
    ) -> Float[np.ndarray, "l r c"]:
        """Read some rows and columns of every layer, ascending, in float64.

        Raises
        ------
        DataError
            An entry isn't finite.
        """
        out = np.empty((len(self.layers), len(rows), len(columns)))
        step = max(1, STEP // max(self.shape[1], 1))
        for layer, (name, tensor) in enumerate(self.layers.items()):
            for start in range(0, self.shape[0], step):
                some = (rows >= start) & (rows < start + step)
                if some.any():
                    read = tensor.read(start, min(start + step, self.shape[0])).reshape(-1, self.shape[1])
                    out[layer, some] = read[np.ix_(rows[some] - start, columns)]
            require_finite(out[layer], name)
        return out


class WeightStack(Subject):
    """Matrices of one shape, one a layer; `workbench.weight_stack` takes them from a checkpoint.

    Parameters
    ----------
    layers : name to an array (n, m), or to what reads one; two or more.
    content : digest of all of them; None reads them for it.

    Raises
    ------
    DataError
        Fewer than two, or of different shapes, or no matrices of real numbers.
    """

    def __init__(
        self, layers: Mapping[str, np.ndarray | LazyTensor], *, name: str = "stack", content: str = ""
    ):
        self.name, self._content = name, content
        self.layers = {
            n: t if isinstance(t, LazyTensor) else LazyTensor.of(np.array(t)) for n, t in layers.items()
        }
        if len(self.layers) < 2:
            raise DataError(
                f"{name} has {len(self.layers)} matrix; a stack is of two or more layers. Of one matrix ask singular_values."
            )
        first, tensor = next(iter(self.layers.items()))
        for other, t in self.layers.items():
            if t.shape != tensor.shape:
                raise DataError(
                    f"{name}: {first} has the shape {tensor.shape} and {other} {t.shape}; a stack is of matrices of one shape. "
                    "Choose a pattern that matches one role."
                )
        if len(tensor.shape) != 2 or 0 in tensor.shape or tensor.dtype.kind not in "fiu":
            raise DataError(
                f"{name}: {first} has the shape {tensor.shape} of {tensor.dtype}; layers are matrices (n, m) of real numbers."
            )
        self.shape = (tensor.shape[0], tensor.shape[1])

    @classmethod
    def example(cls, variant: int = 0) -> WeightStack:
        """Four layers of 24 x 16 that read from one set of four directions and write to another, under noise."""
        rng = np.random.default_rng([11, variant])
        left, right = (np.linalg.qr(rng.standard_normal((n, 4)))[0] for n in (24, 16))
        layers = {
            f"layer.{i}": left @ rng.standard_normal((4, 4)) @ right.T + 0.1 * rng.standard_normal((24, 16))
            for i in range(4)
        }
        return cls(layers, name="small stack")

    @cached_property
    def digest(self) -> str:
        return self._content or digest("stack", list(self.layers), *(t.digest for t in self.layers.values()))

    @property
    def holds(self) -> str:
        n, m = self.shape
        return f"a stack of {len(self.layers)} matrices of {n:,} x {m:,}"

    def as_stack(self) -> Stack:
        return Stack(self.name, self.digest, self.digest, self.layers, self.shape)
