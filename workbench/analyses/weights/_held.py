"""One weight matrix where it is: in its file, read a few rows at a time, or on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np

from workbench.core.lazy import LazyTensor
from workbench.numerics.streamed import Measures, Sketch, gram_spectrum, leading_value, measure, sketch

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int

    Leading = Callable[[Int[np.ndarray, "b n m"]], Float[np.ndarray, " b"]]

IN_FILE = ("cpu",)  # devices for which a matrix is read where it lies


class Held(Protocol):
    """What is asked of a matrix, (n, m).

    Attributes
    ----------
    at_once : how many patterns of signs `leading` is best given at a time.
    """

    shape: tuple[int, int]
    at_once: int

    def measures(self, keep: Int[np.ndarray, " r"], *, gram: bool) -> Measures:
        """Sums over its entries; with its Gram matrix, where that is asked for and this adds it up on the way."""

    def by_gram(self, sums: Measures) -> Float[np.ndarray, " k"]:
        """All singular values, descending, but for what is lost (`streamed.LOST`)."""

    def by_svd(self) -> Float[np.ndarray, " k"]:
        """All singular values, descending, each within some 1e-15 of the largest; the matrix is held in float64."""

    def sketch(self, top: int, rng: np.random.Generator) -> Sketch:
        """The largest singular values with bounds, and the distribution of all."""

    def leading(self, block: Float[np.ndarray, "n m"], start: Float[np.ndarray, " m"], steps: int) -> Leading:
        """What gives the leading value of a block, by some steps of Lanczos, under each of several patterns of signs."""


class InFile:
    """A matrix that a processor reads a few rows at a time."""

    at_once = 1

    def __init__(self, matrix: LazyTensor):
        rows, columns = matrix.shape
        self.shape = (rows, columns)
        self._matrix = matrix

    def measures(self, keep: Int[np.ndarray, " r"], *, gram: bool) -> Measures:
        return measure(self._matrix, gram=gram, keep=keep)

    def by_gram(self, sums: Measures) -> Float[np.ndarray, " k"]:
        return gram_spectrum(sums.gram)

    def by_svd(self) -> Float[np.ndarray, " k"]:
        whole = np.empty(self.shape)
        for start, block in self._matrix.blocks():
            whole[start : start + len(block)] = block
        return np.linalg.svd(whole, compute_uv=False)

    def sketch(self, top: int, rng: np.random.Generator) -> Sketch:
        return sketch(self._matrix, top, rng)

    def leading(self, block: Float[np.ndarray, "n m"], start: Float[np.ndarray, " m"], steps: int) -> Leading:
        return lambda signs: np.array([leading_value(block * s, start, steps) for s in signs])


class OnDevice:
    """A matrix on a GPU, its numbers as they are stored; all that is proportional to its size is computed there.

    Parameters
    ----------
    matrix : as it is read. whole : the same on the device.
    """

    at_once = 50

    def __init__(self, matrix: LazyTensor, whole: torch.Tensor):
        self.shape = (whole.shape[0], whole.shape[1])
        self._matrix, self._whole = matrix, whole

    def measures(self, keep: Int[np.ndarray, " r"], *, gram: bool) -> Measures:
        from workbench.numerics.streamed_torch import measure_on

        return measure_on(self._whole, keep)

    def by_gram(self, sums: Measures) -> Float[np.ndarray, " k"]:
        from workbench.numerics.streamed_torch import gram_spectrum_on

        return gram_spectrum_on(self._whole)

    def by_svd(self) -> Float[np.ndarray, " k"]:
        """The processor's, which takes no longer; a GPU's needs several times the matrix in float64."""
        return InFile(self._matrix).by_svd()

    def sketch(self, top: int, rng: np.random.Generator) -> Sketch:
        from workbench.numerics.streamed_torch import sketch_on

        return sketch_on(self._whole, top, rng)

    def leading(self, block: Float[np.ndarray, "n m"], start: Float[np.ndarray, " m"], steps: int) -> Leading:
        from workbench.numerics.streamed_torch import leading_under_signs

        return leading_under_signs(block, start, steps, self._whole.device)


@contextmanager
def where_held(matrix: LazyTensor, stored: LazyTensor | None, device: str) -> Iterator[Held]:
    """Hold a matrix where a device is, in a stream of this thread's own; in its file where the device has no room for it.

    Parameters
    ----------
    matrix : (n, m). stored : the same in 16 bits, where it is stored so: half as much to send.
    """
    if device in IN_FILE:
        yield InFile(matrix)
        return
    from workbench.numerics.streamed_torch import fits, held, own_stream

    rows, columns = matrix.shape
    if not fits((rows, columns), device):
        yield InFile(matrix)
        return
    with own_stream(device):
        yield OnDevice(matrix, held(matrix if stored is None else stored, device))
