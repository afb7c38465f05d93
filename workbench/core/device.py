"""Which device answers: what "auto" stands for on this machine, and the device's name for a run's record."""

from __future__ import annotations

import ctypes
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal

from workbench.core.errors import DataError, MissingError, ParameterError

Device = Literal["auto", "cpu", "cuda"]
Devices = Literal["auto", "cpu", "cuda", "cuda:0"]
SHARED_FROM = 4_000_000  # rows beyond which several GPUs share work: predicted, benchmarks/LOG.md says how


def resolve(device: str) -> str:
    """Return "cpu" or "cuda" ("cuda:N" as it is) for ``device``; "auto" is the GPU where there is one.

    Without a driver torch is not even imported, so that an answer from the cache comes at once.

    Raises
    ------
    ParameterError
        The name is none of "auto", "cpu", "cuda", "cuda:N".
    MissingError
        A GPU was asked for and there is none that torch can use, or none of that number.
    """
    if device == "cpu":
        return device
    kind, numbered, number = device.partition(":")
    if device != "auto" and (kind != "cuda" or (numbered and not number.isdecimal())):
        raise ParameterError(f"device={device!r} must be 'auto', 'cpu', 'cuda', or 'cuda:0' and so on.")
    if _usable():
        if numbered:
            _require_number(device, int(number))
        return "cuda" if device == "auto" else device
    if device == "auto":
        return "cpu"
    raise MissingError(
        f"device={device!r} was asked for, but torch sees no GPU: use device='auto' or 'cpu'; "
        f"workbench doctor says what is missing."
    )


def _require_number(device: str, number: int) -> None:
    import torch

    count = torch.cuda.device_count()
    if number >= count:
        raise MissingError(
            f"device={device!r} was asked for, and torch sees {count} GPU{'s' if count > 1 else ''}: use 'cuda:0'"
            f"{f' to {count - 1}' if count > 1 else ''}, or 'cuda'."
        )


def sharing(device: str | Sequence[str], rows: int) -> tuple[str, ...]:
    """Return the devices that share work on so many rows, the first of which leads.

    "auto" and "cuda" are, for more than `SHARED_FROM` rows, every GPU of the current one's kind of which half the memory is
    free; the current one alone for fewer. "cuda:N" is that one alone. A list is taken as it is, and may name one twice.

    Raises
    ------
    ParameterError
        A list is empty or names both processors and GPUs.
    ParameterError, MissingError
        As `resolve`.
    """
    if not isinstance(device, str):
        names = tuple(resolve(name) for name in device)
        if len({name.partition(":")[0] for name in names}) != 1:
            raise ParameterError(
                f"device={list(device)!r} must name one device or several of one kind, such as ['cuda:0', 'cuda:1']."
            )
        return names
    name = resolve(device)
    if name != "cuda" or rows <= SHARED_FROM:
        return (name,)
    import torch

    own, count = torch.cuda.current_device(), torch.cuda.device_count()
    kind = torch.cuda.get_device_name(own)
    after = ((own + i) % count for i in range(1, count))
    others = [i for i in after if torch.cuda.get_device_name(i) == kind and _half_free(i)]
    return tuple(f"cuda:{i}" for i in (own, *others)) if others else (name,)


def _half_free(index: int) -> bool:
    """Whether this process may have half of a GPU's memory, what it holds counted."""
    import torch

    free, total = torch.cuda.mem_get_info(index)
    return bool(2 * (free + torch.cuda.memory_reserved(index)) >= total)


def describe(device: str, rows: int = 0) -> str:
    """Return the device's name as a run records it: "cpu", or "cuda" and which GPU, and how many where they share ``rows``."""
    if device == "cpu":
        return device
    import torch

    names = sharing(device, rows)
    said = torch.cuda.get_device_name(names[0])
    return f"cuda ({said})" if len(names) == 1 else f"cuda ({len(names)} × {said})"


@contextmanager
def refusing_what_does_not_fit(device: str, rows: int, what: str) -> Iterator[None]:
    """Turn running out of GPU memory inside the block into a refusal that names what would fit, and free what was held.

    Methods estimate beforehand what they need; this is for what no estimate foresees, such as another process that
    takes the memory meanwhile.

    Parameters
    ----------
    device : as resolved; nothing is done for "cpu". rows : of the subject, for the number that would fit.
    what : the work, as a message begins.

    Raises
    ------
    DataError
        With the bytes that were lacking and about how many rows would fit.
    MissingError
        The GPU doesn't answer any more, whatever it is asked.
    """
    if not device.startswith("cuda"):
        yield
        return
    import torch

    try:
        torch.cuda.init()
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)
        yield
    except torch.OutOfMemoryError as e:
        message = _too_large(str(e), device, rows, what)
        traceback.clear_frames(e.__traceback__)  # they hold the tensors that filled the memory
    except RuntimeError as e:
        if "CUDA error" not in str(e) or _answers(device):
            raise
        raise MissingError(
            f"{what} of {rows:,} rows: the GPU doesn't answer any more ({str(e).splitlines()[0]}). Nothing on it can be used by "
            f"this process: restart the kernel or the command, or ask with device='cpu'. If it happens again, see what "
            f"nvidia-smi says of it."
        ) from e
    else:
        return
    torch.cuda.empty_cache()
    raise DataError(message)


def _answers(device: str) -> bool:
    """Whether the GPU still does what it is asked."""
    import torch

    try:
        torch.zeros(1, device=device).cpu()
    except RuntimeError:
        return False
    return True


def _too_large(said: str, device: str, rows: int, what: str) -> str:
    """What didn't fit; memory is taken to grow as the rows do, which errs towards more rows where it grows faster."""
    import torch

    index = torch.device(device).index
    index = torch.cuda.current_device() if index is None else index
    where = re.search(
        r"GPU (\d+) has a total capacity", said
    )  # of several that share the work, one has the least room
    index = int(where[1]) if where else index
    asked = re.search(r"Tried to allocate ([\d.]+) ([KMG]i)B", said)
    more = float(asked[1]) * 2 ** {"Ki": 10, "Mi": 20, "Gi": 30}[asked[2]] if asked else 0.0
    free = torch.cuda.mem_get_info(index)[0] + torch.cuda.memory_reserved(index)
    total = torch.cuda.get_device_properties(index).total_memory
    room = int(min(free, total * torch.cuda.get_per_process_memory_fraction(index)))
    needed = torch.cuda.max_memory_allocated(index) + more
    fits = int(rows * min(1.0, room / needed) * 0.9) if needed else rows // 2
    return (
        f"{what} of {rows:,} rows ran out of the GPU's memory: it needs at least {needed / 2**30:.2g} GiB and "
        f"{room / 2**30:.2g} GiB can be had. About {fits:,} rows may fit: select fewer (subject.sample({fits})), end what "
        f"else uses the GPU, or use device='cpu'."
    )


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
