"""One pass over a step's tensors on a CPU: norms and copies together, which a small network's loop hardly notices.

Four operations of torch for each tensor (two norms, a copy, a difference) take as long as a fifth of a small
network's whole step, most of it in getting there. All arguments are whole numbers, addresses among them: numba takes a
microsecond to look at three arrays. `measuring.TorchMeter` is the plain reference.
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

    return types.voidptr(types.int64), code


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
def _block(address: int, start: int, n: int) -> np.ndarray:
    return carray(_pointer(address + 4 * start), (n,), np.float32)


@njit(cache=True)
def _whole(address: int, n: int) -> np.ndarray:
    return carray(_pointer(address), (n,), np.int64)


@njit(cache=True)
def norms(count: int, addresses: int, sizes: int, out: int) -> None:
    """Norm of each float32 tensor.

    Parameters
    ----------
    count : of tensors. addresses, sizes : where theirs stand, int64. out : where the norms go, float32.
    """
    at, size, found = _whole(addresses, count), _whole(sizes, count), _block(out, 0, count)
    for i in range(count):
        total = 0.0
        for start in range(0, size[i], _BLOCK):
            n = min(size[i] - start, _BLOCK)
            total += float(_square(_block(at[i], start, n), n))
        found[i] = np.sqrt(total)


@njit(cache=True)
def keep(count: int, addresses: int, sizes: int, kept: int) -> None:
    """Copy all tensors to one place."""
    at, size = _whole(addresses, count), _whole(sizes, count)
    start = 0
    for i in range(count):
        _copy(_block(at[i], 0, size[i]), _block(kept, start, size[i]), size[i])
        start += size[i]


@njit(cache=True)
def keep_and_norms(count: int, addresses: int, gradients: int, sizes: int, kept: int, out: int) -> None:
    """Both at once, since reaching compiled code takes as long as a small network's numbers."""
    keep(count, addresses, sizes, kept)
    norms(count, gradients, sizes, out)


@njit(cache=True)
def moved(count: int, addresses: int, sizes: int, kept: int, out: int) -> None:
    """Norm of the difference of each tensor to what was kept."""
    at, size, found = _whole(addresses, count), _whole(sizes, count), _block(out, 0, count)
    first = 0
    for i in range(count):
        total = 0.0
        for start in range(0, size[i], _BLOCK):
            n = min(size[i] - start, _BLOCK)
            before = _block(kept, first + start, n)
            total += float(_square_of_difference(_block(at[i], start, n), before, n))
        found[i] = np.sqrt(total)
        first += size[i]
