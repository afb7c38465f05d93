"""Replaced tensors: other numbers in the place of some of a network's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from workbench.core.edit import Edit
from workbench.core.errors import DataError
from workbench.core.lazy import LazyTensor, Tensors, as_tensors


@dataclass(frozen=True, eq=False, repr=False)
class Replacement(Edit):
    """W becomes what ``values`` has of its name, in W's own dtype.

    Parameters
    ----------
    values : tensor name to what takes its place, of the tensor's shape; another checkpoint is one.
    """

    kind: ClassVar[str] = "replacement"
    values: Tensors

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", as_tensors(self.values))

    @property
    def tensors(self) -> Collection[str]:
        return self.values.keys()

    def fits(self, name: str, shape: tuple[int, ...]) -> None:
        made = self.values.lazy(name).shape
        if made != shape:
            raise DataError(f"{name}: an edit keeps the shape {shape}; this gave {made}.")

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        dtype = cache(lambda: tensor.dtype)

        def cast(rows: np.ndarray, start: int) -> np.ndarray:
            with np.errstate(over="ignore"):
                return rows.astype(dtype(), copy=False)

        return self.values.lazy(name).map_rows(cast)
