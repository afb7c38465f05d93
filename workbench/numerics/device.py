"""Where a primitive runs, and how much memory it may take there."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.device import Device as Device
from workbench.core.device import resolve
from workbench.core.errors import DataError

if TYPE_CHECKING:
    import torch

CPU_BUDGET = 2 << 30  # temporaries on a CPU; the rows themselves are the caller's
_STAGED = 32 << 20  # bytes that wait to be sent to a GPU at a time
_SPARE = 1 << 30  # left to the driver, Triton and whoever else is on the card


def choose(device: str | torch.device = "auto") -> torch.device:
    """Return the torch device that ``device`` names; "auto" is the GPU where there is one.

    Raises
    ------
    ParameterError, MissingError
        As `core.device.resolve`.
    """
    import torch

    where = device if isinstance(device, torch.device) else torch.device(resolve(device))
    if where.type == "cpu":
        _settle()
    return where


@cache
def _settle() -> None:
    """Call vector functions once in one thread.

    The library behind them chooses its code at the first call. Where two threads of a busy machine make that call at once, the
    first roots have other last bits than all later ones, and a layout that begins with them is another one.
    """
    import torch

    few = torch.ones(64)
    for function in (torch.sqrt, torch.exp, torch.log, torch.log1p, torch.expm1, torch.tanh):
        function(few)


def current(device: torch.device) -> AbstractContextManager[Any]:
    """Make a GPU the current one inside the block, where Triton launches its kernels; nothing for a CPU."""
    import torch

    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def borrowed(array: np.ndarray) -> torch.Tensor:
    """Return an array's memory as a tensor on the CPU that is only to be read.

    What subjects hold can't be written to, of which torch warns once, since a tensor can.
    """
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def uploaded(array: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """Return a copy of an array on a GPU, by way of two small pinned buffers: plain copies go at a fifth of the speed.

    Parameters
    ----------
    array : (n, ...); a memory map is read a few rows at a time.
    """
    import torch

    each = max(1, _STAGED * max(len(array), 1) // max(array.nbytes, 1))
    if array.nbytes < _STAGED or torch.device(device).type != "cuda":
        return borrowed(np.ascontiguousarray(array)).to(device)
    kind = borrowed(array[:1]).dtype
    out = torch.empty(array.shape, dtype=kind, device=device)
    staged = [torch.empty((each, *array.shape[1:]), dtype=kind, pin_memory=True) for _ in range(2)]
    sent = [torch.cuda.Event() for _ in staged]
    # block i goes through buffer i % 2, which is free again once block i - 2 has been sent
    for i, start in enumerate(range(0, len(array), each)):
        rows = borrowed(np.ascontiguousarray(array[start : start + each]))
        buffer = staged[i % 2][: len(rows)]
        sent[i % 2].synchronize()
        buffer.copy_(rows)
        out[start : start + each].copy_(buffer, non_blocking=True)
        sent[i % 2].record()
    torch.cuda.current_stream().synchronize()
    return out


def memory_budget(device: torch.device) -> int:
    """Bytes that may still be allocated on ``device``, with some left to others."""
    import torch

    if device.type != "cuda":
        return CPU_BUDGET
    free, total = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    index = torch.cuda.current_device() if device.index is None else device.index
    allowed = int(total * torch.cuda.get_per_process_memory_fraction(index)) - reserved
    room = min(free, allowed) + reserved - torch.cuda.memory_allocated(device)
    return max(0, room - min(_SPARE, room // 8))


def fits(array: np.ndarray, device: torch.device | str) -> bool:
    """Whether an array takes no more than a third of what is free on a device."""
    import torch

    return array.nbytes <= memory_budget(torch.device(device)) // 3


def refuse_beyond(needed: int, budget: int, rows: int, what: str) -> None:
    """Raise a `DataError` that names the number of rows that would fit, where ``needed`` bytes don't."""
    if needed > budget:
        fits = int(rows * budget / needed)
        raise DataError(
            f"{what} of {rows:,} rows needs {needed / 2**30:.1f} GiB and {budget / 2**30:.1f} GiB are free: "
            f"about {fits:,} rows would fit; select fewer, or use device='cpu'"
        )
