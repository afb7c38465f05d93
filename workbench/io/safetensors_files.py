"""Safetensors: a JSON header that says where each tensor lies, then the bytes.

The safetensors library reads such files too. The header is read here because a header that lies has to be
refused in words that help (the library says ``InvalidHeaderDeserialization``), because the library lets
a name that stands twice pass, and because its numpy reader knows neither bfloat16 nor the 8-bit floats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.errors import FormatError
from workbench.core.lazy import LazyTensor
from workbench.core.tensor_files import PLAIN
from workbench.io.files import (
    Weights,
    broken,
    is_shape,
    mapped_rows,
    parse_json,
    plain,
    shown,
    size_of,
    unreadable,
)
from workbench.numerics.floats import CODED, as_numbers, rounding
from workbench.subjects.checkpoint import TensorInfo

MAX_HEADER = 100_000_000  # bytes; the library's own limit
_STORED = {**PLAIN, **CODED}
_BITS = {**{k: 8 * np.dtype(v).itemsize for k, v in _STORED.items()}, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}


@dataclass(frozen=True)
class _Entry:
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_safetensors(path: Path) -> Weights:
    """Read a file's header and return what reads its tensors.

    A tensor that was shared when it was saved is there under each of its names: the library stores it once, and the
    other names in the metadata.

    Raises
    ------
    FormatError
        The file is truncated, or its header contradicts the file or itself.
    """
    entries, data_at = _header(path)
    tensors = {
        n: TensorInfo(n, e.shape, e.dtype, e.end - e.start, path.name, rounding(e.dtype))
        for n, e in entries.items()
    }

    def stored(name: str) -> LazyTensor:
        return _stored(path, name, entries[name], data_at)

    return Weights(tensors, lambda name: _numbers(stored(name), entries[name].dtype), (path,), stored=stored)


def _stored(path: Path, name: str, entry: _Entry, data_at: int) -> LazyTensor:
    if entry.dtype not in _STORED:
        raise FormatError(
            f"{path}: {name} is stored as {entry.dtype}, which is listed but not read. Convert it to BF16."
        )
    return mapped_rows(path, _STORED[entry.dtype], data_at + entry.start, entry.shape)


def _numbers(stored: LazyTensor, dtype: str) -> LazyTensor:
    def read(start: int, stop: int) -> np.ndarray:
        return as_numbers(stored.read(start, stop), dtype)

    return LazyTensor(stored.shape, read, lambda i: _numbers(stored.part(i), dtype))


def _header(path: Path) -> tuple[dict[str, _Entry], int]:
    """The entries, and where in the file the first tensor's bytes begin."""
    size = size_of(path)
    try:
        with path.open("rb") as f:
            length = int.from_bytes(f.read(8), "little")
            if length > min(size - 8, MAX_HEADER):
                cause = f"its header claims {length:,} bytes; the file has {size:,} and {MAX_HEADER:,} are allowed"
                raise broken(path, "safetensors", cause)
            raw = f.read(length)
    except OSError as e:
        raise unreadable(path, e) from None
    header = parse_json(raw, path, "safetensors")
    metadata = header.pop("__metadata__", None)
    entries = {name: _entry(path, name, fields) for name, fields in header.items()}
    _check_layout(path, entries, size - 8 - length)
    return entries | _shared(metadata, entries), 8 + length


def _shared(metadata: Any, entries: dict[str, _Entry]) -> dict[str, _Entry]:
    """Other names of stored tensors, as ``safetensors.torch.save_model`` writes them."""
    if not isinstance(metadata, dict):
        return {}
    return {
        other: entries[name]
        for other, name in metadata.items()
        if isinstance(name, str) and name in entries and other not in entries and plain(other)
    }


def _entry(path: Path, name: str, fields: Any) -> _Entry:
    def refuse(cause: str) -> FormatError:
        return broken(path, "safetensors", f"tensor {shown(name)} {cause}")

    if not plain(name):
        raise refuse("has a name that isn't plain text")
    if not isinstance(fields, dict):
        raise refuse("has no description")
    dtype = fields.get("dtype")
    shape, offsets = _counts(fields.get("shape")), _counts(fields.get("data_offsets"))
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise refuse(f"has the dtype {shown(dtype)}; known are {', '.join(_BITS)}")
    if shape is None or not is_shape(shape):
        raise refuse(f"has the shape {shown(fields.get('shape'))}, which is no list of sizes")
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise refuse(f"has the byte range {shown(fields.get('data_offsets'))}, which is none")
    bits = math.prod(shape) * _BITS[dtype]
    if bits != 8 * (offsets[1] - offsets[0]):
        given = offsets[1] - offsets[0]
        raise refuse(
            f"of shape {shape} and dtype {dtype} takes {bits / 8:,.0f} bytes, and is given {given:,}"
        )
    return _Entry(dtype, shape, *offsets)


def _counts(value: Any) -> tuple[int, ...] | None:
    """Whole numbers from 0 on, or None for anything else; True is no number here."""
    if isinstance(value, list) and all(type(v) is int and 0 <= v < 2**63 for v in value):
        return tuple(value)
    return None


def _check_layout(path: Path, entries: dict[str, _Entry], held: int) -> None:
    """Every byte after the header belongs to exactly one tensor."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start < end:
            raise broken(path, "safetensors", f"tensor {shown(name)} overlaps the one before it")
        if entry.start > end:
            cause = f"{entry.start - end:,} bytes before tensor {shown(name)} belong to none"
            raise broken(path, "safetensors", cause)
        end = entry.end
    if end > held:
        cause = f"its tensors take {end:,} bytes and the file holds {held:,} after the header"
        raise broken(path, "safetensors", cause, "It is truncated (an interrupted download?): get it again.")
    if end < held:
        raise broken(path, "safetensors", f"{held - end:,} bytes after its last tensor belong to none")
    if not entries:
        raise broken(path, "safetensors", "it holds no tensor", "Check how it was saved.")
