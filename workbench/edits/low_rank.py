"""Low-rank edits: a product of two thin matrices added to a weight, kept as its factors."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from workbench.core.edit import Edit
from workbench.core.errors import DataError, MissingError, suggest
from workbench.core.lazy import LazyTensor, Tensors, as_tensors


@dataclass(frozen=True, eq=False, repr=False)
class LowRank(Edit):
    """W becomes ``W + scale * left @ right``.

    The product is made in float32 (float64 where the factors are) and the sum rounded to W's own dtype. A weight of more
    than two dimensions counts as a matrix of its first by all the others.

    Parameters
    ----------
    left : tensor name to its (n, rank) factor; LoRA's B.
    right : the same names to (rank, m); LoRA's A.
    scale : LoRA's alpha / rank.

    Raises
    ------
    MissingError
        A name has only one factor.
    DataError
        Two factors don't fit together.

    References
    ----------
    Hu et al. 2022, LoRA: low-rank adaptation of large language models, ICLR.
    """

    kind: ClassVar[str] = "low_rank"
    left: Tensors
    right: Tensors
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "left", as_tensors(self.left))
        object.__setattr__(self, "right", as_tensors(self.right))
        object.__setattr__(self, "scale", float(self.scale))
        for name in {*self.left, *self.right}:
            for side, factors in (("left", self.left), ("right", self.right)):
                if name not in factors:
                    raise MissingError(f"{name} has no {side} factor. {suggest(name, factors)}")
            left, right = self.left.lazy(name).shape, self.right.lazy(name).shape
            if len(left) != 2 or len(right) != 2 or left[1] != right[0]:
                raise DataError(
                    f"{name}: factors are (n, rank) and (rank, m); these have the shapes {left} and {right}."
                )

    @property
    def rank(self) -> int:
        """The largest rank of a tensor's factors."""
        return max((self.right.lazy(name).shape[0] for name in self.right), default=0)

    @property
    def tensors(self) -> Collection[str]:
        return self.left.keys()

    @property
    def words(self) -> str:
        return f"rank {self.rank} added to {len(self.left):,} tensors"

    def fits(self, name: str, shape: tuple[int, ...]) -> None:
        made = self.left.lazy(name).shape[0], self.right.lazy(name).shape[1]
        if len(shape) < 2 or made != (shape[0], math.prod(shape[1:])):
            raise DataError(f"{name} has the shape {shape}; the product of its factors has the shape {made}.")

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        left, right = _wide(self.left[name]), _wide(self.right[name])

        def add(rows: np.ndarray, start: int) -> np.ndarray:
            product = self.scale * (left[start : start + len(rows)] @ right)
            return (rows + product.reshape(rows.shape)).astype(rows.dtype, copy=False)

        return tensor.map_rows(add)

    def scaled(self, factor: float) -> LowRank:
        return replace(self, scale=self.scale * factor, title="", run=None)


def _wide(factor: np.ndarray) -> np.ndarray:
    """Halves as float32, for numpy multiplies those one by one."""
    return factor if factor.dtype.itemsize >= 4 else factor.astype(np.float32)
