"""Permuted weights: each tensor's entries in another order, by a seed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from workbench.core.edit import Edit
from workbench.core.lazy import LazyTensor


@dataclass(frozen=True, eq=False, repr=False)
class Permutation(Edit):
    """The entries of each tensor are permuted within it; a tensor is held whole while it is permuted.

    Parameters
    ----------
    names : the tensors. seed : with a tensor's name it decides the order, whatever other tensors there are.
    """

    kind: ClassVar[str] = "permutation"
    names: tuple[str, ...]
    seed: int = 0

    @property
    def tensors(self) -> Collection[str]:
        return self.names

    @property
    def words(self) -> str:
        return f"weights shuffled, seed {self.seed}"

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        def permute(values: np.ndarray) -> np.ndarray:
            rng = np.random.default_rng([self.seed, *name.encode()])
            return rng.permuted(values.ravel()).reshape(values.shape)

        return tensor.map(permute)
