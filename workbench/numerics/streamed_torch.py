"""Spectra of matrices on a GPU: what `streamed` computes on a processor, with the same products in float64."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.core.lazy import LazyTensor
from workbench.numerics.device import borrowed

if TYPE_CHECKING:
    from jaxtyping import Float

_NUMBERS = 1 << 25  # that are sent at a time, and widened to float64
_loading = threading.Lock()


def _load_linalg(device: torch.device | str) -> None:
    """Let torch load its linear algebra of GPUs in one thread: two that ask for it first at once get an error."""
    with _loading:
        torch.linalg.eigvalsh(torch.eye(2, dtype=torch.float64, device=device))


def gram_spectrum_on(matrix: LazyTensor, device: torch.device | str) -> Float[np.ndarray, " k"]:
    """`streamed.gram_spectrum` of the smaller Gram matrix, descending: a few rows at a time, or columns where it is wide."""
    n, m = matrix.shape
    gram = torch.zeros((min(n, m),) * 2, dtype=torch.float64, device=device)
    if n >= m:
        step = max(1, _NUMBERS // max(1, m))
        for start in range(0, n, step):
            some = _sent(matrix, start, min(start + step, n), device).double()
            gram += some.mT @ some
    else:
        whole, step = _held(matrix, device), max(1, _NUMBERS // n)
        for start in range(0, m, step):
            part = whole[:, start : start + step].double()
            gram += part @ part.mT
    _load_linalg(device)
    return np.sqrt(np.maximum(torch.linalg.eigvalsh(gram).flip(0).cpu().numpy(), 0))


def gram_product_on(matrix: LazyTensor, device: torch.device | str) -> Callable[[np.ndarray], np.ndarray]:
    """What multiplies vectors by the Gram matrix of the shorter side, the matrix being held on the GPU as it is read."""
    n, m = matrix.shape
    whole = _held(matrix, device)
    parts = whole.split(max(1, _NUMBERS // max(1, m)))

    def times(vectors: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(np.ascontiguousarray(vectors)).to(device)
        if n >= m:
            out = torch.zeros_like(given)
            for rows in parts:
                wide = rows.double()
                out += wide.mT @ (wide @ given)
            return out.cpu().numpy()
        across = torch.zeros((m, given.shape[1]), dtype=torch.float64, device=device)
        for rows, some in zip(parts, given.split(parts[0].shape[0]), strict=True):
            across += rows.double().mT @ some
        return torch.cat([rows.double() @ across for rows in parts]).cpu().numpy()

    return times


def _sent(matrix: LazyTensor, start: int, stop: int, device: torch.device | str) -> torch.Tensor:
    return borrowed(np.ascontiguousarray(matrix.read(start, stop))).to(device)


def _held(matrix: LazyTensor, device: torch.device | str) -> torch.Tensor:
    n, m = matrix.shape
    step = max(1, _NUMBERS // max(1, m))
    return torch.cat([_sent(matrix, start, min(start + step, n), device) for start in range(0, n, step)])
