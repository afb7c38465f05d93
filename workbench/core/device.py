"""Which device answers: what "auto" stands for on this machine, and the device's name for a run's record."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Literal

from workbench.core.errors import MissingError, ParameterError

Device = Literal["auto", "cpu", "cuda"]


def resolve(device: str) -> str:
    """Return "cpu" or "cuda" ("cuda:N" as it is) for ``device``; "auto" is the GPU where there is one.

    Without a driver torch is not even imported, so that an answer from the cache comes at once.

    Raises
    ------
    ParameterError
        The name is none of "auto", "cpu", "cuda", "cuda:N".
    MissingError
        A GPU was asked for and there is none that torch can use.
    """
    if device == "cpu":
        return device
    if device != "auto" and device.partition(":")[0] != "cuda":
        raise ParameterError(f"device={device!r} must be 'auto', 'cpu' or 'cuda'.")
    if _usable():
        return "cuda" if device == "auto" else device
    if device == "auto":
        return "cpu"
    raise MissingError(
        f"device={device!r} was asked for, but torch sees no GPU: use device='auto' or 'cpu'; "
        f"workbench doctor says what is missing."
    )


def describe(device: str) -> str:
    """Return the device's name as a run records it: "cpu", or "cuda" and which GPU."""
    if device == "cpu":
        return device
    import torch

    return f"cuda ({torch.cuda.get_device_name(device)})"


@cache
def _usable() -> bool:
    for driver in ("libcuda.so.1", "nvcuda.dll"):
        try:
            ctypes.CDLL(driver)
        except OSError:
            continue
        import torch

        return torch.cuda.is_available()
    return False
