"""Tensors that are computed when they are read, whole or a few rows at a time, so that no copy of a network is held."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from workbench.core.digest import digest
from workbench.core.rows import frozen

BLOCK = 1 << 22  # numbers that are computed at once: 16 MiB of float32


@dataclass(frozen=True, eq=False)
class LazyTensor:
    """One tensor, not read yet.

    Attributes
    ----------
    shape : rows are counted along the first dimension; a scalar counts as one row.
    read : gives the rows from ``start`` to before ``stop``; of a scalar, the scalar.
    part_of : gives one row of three dimensions or more as a tensor that is read by its own rows, where that can be done.
    """

    shape: tuple[int, ...]
    read: Callable[[int, int], np.ndarray]
    part_of: Callable[[int], LazyTensor] | None = None

    @classmethod
    def of(cls, array: np.ndarray) -> LazyTensor:
        """An array that is there."""
        return cls(array.shape, lambda start, stop: array[start:stop] if array.ndim else array)

    @classmethod
    def later(cls, shape: tuple[int, ...], make: Callable[[], np.ndarray]) -> LazyTensor:
        """What can only be made whole: once, when the first row is read, and for as long as this is held."""
        made = cache(make)
        return cls(shape, lambda start, stop: made()[start:stop] if shape else made())

    def part(self, i: int) -> LazyTensor:
        """Row ``i`` as a tensor: read by its own rows where the file allows it, else whole when its first is asked for."""
        if self.part_of is not None:
            return self.part_of(i)
        return LazyTensor.later(self.shape[1:], lambda: self.read(i, i + 1)[0])

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.shape[0] if self.shape else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """What its numbers are, as its first row says."""
        return self.read(0, min(1, self.rows)).dtype

    def whole(self) -> np.ndarray:
        """All of it."""
        return self.read(0, self.rows)

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield where each block of rows begins, and the block."""
        step = _rows_of_a_block(self.shape)
        for start in range(0, self.rows, step):
            yield start, self.read(start, min(start + step, self.rows))

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> LazyTensor:
        """The tensor under a change that needs all of it at once."""
        return LazyTensor.later(self.shape, lambda: change(self.whole()))

    def map_rows(self, change: Callable[[np.ndarray, int], np.ndarray]) -> LazyTensor:
        """The tensor under a change that is given some rows and the number of the first.

        Rows are always computed in the same blocks: a matrix product's last bit depends on how many rows it is asked
        for, and what is read whole must equal what is written a block at a time.
        """

        def read(start: int, stop: int) -> np.ndarray:
            if not self.shape or start >= stop:
                return change(self.read(start, stop), start)
            step = _rows_of_a_block(self.shape)
            out: np.ndarray | None = None
            for at in range(start // step * step, stop, step):
                block = change(self.read(at, min(at + step, self.rows)), at)
                if at <= start and at + len(block) >= stop:
                    return block[start - at : stop - at]
                if out is None:
                    out = np.empty((stop - start, *block.shape[1:]), block.dtype)
                low, high = max(at, start), min(at + len(block), stop)
                out[low - start : high - start] = block[low - at : high - at]
            assert out is not None
            return out

        return LazyTensor(self.shape, read)

    @property
    def digest(self) -> str:
        """Digest of the content, read block by block."""
        return digest(list(self.shape), *(block for _, block in self.blocks()))


def _rows_of_a_block(shape: tuple[int, ...]) -> int:
    return max(1, BLOCK // max(1, math.prod(shape[1:])))


class Tensors(Mapping[str, np.ndarray]):
    """Tensors by name, that can't be written to and are read when asked for."""

    @abstractmethod
    def lazy(self, name: str) -> LazyTensor:
        """One of them, not read yet."""

    def __getitem__(self, name: str) -> np.ndarray:
        return self.lazy(name).whole()

    @abstractmethod
    def __contains__(self, name: object) -> bool:
        """Whether there is one of this name; `Mapping` would read it to find out."""


class HeldTensors(Tensors):
    """Arrays in memory (or mapped), each frozen: see `frozen`."""

    def __init__(self, arrays: Mapping[str, Any]):
        self._arrays = {str(name): frozen(array) for name, array in arrays.items()}

    def lazy(self, name: str) -> LazyTensor:
        """One of them."""
        return LazyTensor.of(self._arrays[name])

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def as_tensors(given: Mapping[str, Any]) -> Tensors:
    """What a user passes by name: lazy ones (a checkpoint is) as they are, arrays frozen."""
    return given if isinstance(given, Tensors) else HeldTensors(given)
