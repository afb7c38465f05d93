"""One pass over a step's tensors on a CPU: norms and copies together, which a small network's loop hardly notices.

Four operations of torch for each tensor (two norms, a copy, a difference) take as long as a fifth of a small
network's whole step, most of it in getting there. `measuring.TorchMeter` is the plain reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_BLOCK = 4096  # numbers that are summed in float32 before they join the sum in float64


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    """An address as a pointer."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.uint64), code


_SUMS: Any = {
    "reassoc",
    "contract",
    "nsz",
}  # sums in any order, as vectors; NaN and infinities stay what they are


@njit(cache=True, fastmath=_SUMS)
def _square(values: np.ndarray, n: int) -> np.float32:
    total = np.float32(0)
    for j in range(n):
        total += values[j] * values[j]
    return total


@njit(cache=True, fastmath=_SUMS)
def _square_of_difference(values: np.ndarray, others: np.ndarray, n: int) -> np.float32:
    total = np.float32(0)
    for j in range(n):
        difference = values[j] - others[j]
        total += difference * difference
    return total


@njit(cache=True)
def _copy(values: np.ndarray, to: np.ndarray, n: int) -> None:
    for j in range(n):
        to[j] = values[j]


@njit(cache=True)
def _block(address: Any, start: int, n: int) -> np.ndarray:
    return carray(_pointer(address + np.uint64(4 * start)), (n,), np.float32)


@njit(cache=True)
def norms(addresses: np.ndarray, sizes: np.ndarray, out: np.ndarray) -> None:
    """Norm of each float32 tensor."""
    for i in range(len(sizes)):
        total = 0.0
        for start in range(0, sizes[i], _BLOCK):
            n = min(sizes[i] - start, _BLOCK)
            total += float(_square(_block(addresses[i], start, n), n))
        out[i] = np.sqrt(total)


@njit(cache=True)
def keep(addresses: np.ndarray, sizes: np.ndarray, kept: int) -> None:
    """Copy all tensors to one place."""
    at = 0
    for i in range(len(sizes)):
        _copy(_block(addresses[i], 0, sizes[i]), _block(np.uint64(kept), at, sizes[i]), sizes[i])
        at += sizes[i]


@njit(cache=True)
def keep_and_norms(
    addresses: np.ndarray, gradients: np.ndarray, sizes: np.ndarray, kept: int, out: np.ndarray
) -> None:
    """Both at once, since reaching compiled code takes as long as a small network's numbers."""
    keep(addresses, sizes, kept)
    norms(gradients, sizes, out)


@njit(cache=True)
def moved(addresses: np.ndarray, sizes: np.ndarray, kept: int, out: np.ndarray) -> None:
    """Norm of the difference of each tensor to what was kept."""
    at = 0
    for i in range(len(sizes)):
        total = 0.0
        for start in range(0, sizes[i], _BLOCK):
            n = min(sizes[i] - start, _BLOCK)
            before = _block(np.uint64(kept), at + start, n)
            total += float(_square_of_difference(_block(addresses[i], start, n), before, n))
        out[i] = np.sqrt(total)
        at += sizes[i]
