"""Where a primitive runs, and how much memory it may take there."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.device import Device as Device
from workbench.core.device import resolve
from workbench.core.errors import DataError

if TYPE_CHECKING:
    import torch

CPU_BUDGET = 2 << 30  # temporaries on a CPU; the rows themselves are the caller's
_SPARE = 1 << 30  # left to the driver, Triton and whoever else is on the card


def choose(device: str | torch.device = "auto") -> torch.device:
    """Return the torch device that ``device`` names; "auto" is the GPU where there is one.

    Raises
    ------
    ParameterError, MissingError
        As `core.device.resolve`.
    """
    import torch

    return device if isinstance(device, torch.device) else torch.device(resolve(device))


def borrowed(array: np.ndarray) -> torch.Tensor:
    """Return an array's memory as a tensor on the CPU that is only to be read.

    What subjects hold can't be written to, of which torch warns once, since a tensor can.
    """
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def memory_budget(device: torch.device) -> int:
    """Bytes that may still be allocated on ``device``, with some left to others."""
    import torch

    if device.type != "cuda":
        return CPU_BUDGET
    free = torch.cuda.mem_get_info(device)[0]
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(0, free + cached - _SPARE)


def refuse_beyond(needed: int, budget: int, rows: int, what: str) -> None:
    """Raise a `DataError` that names the number of rows that would fit, where ``needed`` bytes don't."""
    if needed > budget:
        fits = int(rows * budget / needed)
        raise DataError(
            f"{what} of {rows:,} rows needs {needed / 2**30:.1f} GiB and {budget / 2**30:.1f} GiB are free: "
            f"about {fits:,} rows would fit; select fewer, or use device='cpu'"
        )
