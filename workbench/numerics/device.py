"""Where a primitive runs, and how much memory it may take there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.core.errors import DataError, MissingError, ParameterError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]
CPU_BUDGET = 2 << 30  # temporaries on a CPU; the rows themselves are the caller's
_SPARE = 1 << 30  # left to the driver, Triton and whoever else is on the card


def choose(device: str | torch.device = "auto") -> torch.device:
    """Return the torch device that ``device`` names; "auto" is the GPU where there is one.

    Raises
    ------
    ParameterError
        The name is none of "auto", "cpu", "cuda", "cuda:N".
    MissingError
        A GPU was asked for and torch sees none.
    """
    import torch

    if isinstance(device, torch.device):
        return device
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device != "cpu" and device.partition(":")[0] != "cuda":
        raise ParameterError(f"device={device!r} must be 'auto', 'cpu' or 'cuda'")
    if device != "cpu" and not torch.cuda.is_available():
        raise MissingError(
            f"device={device!r} was asked for, but torch sees no GPU; use device='auto' or 'cpu'"
        )
    return torch.device(device)


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
