"""GGUF: metadata and tensors, usually quantized in blocks, as llama.cpp writes them.

The header is walked here and the numbers are made by the gguf package. Its own reader believes every
count that a file gives (a lying one runs until memory ends) and builds some arrays for each of the
100,000 entries of a tokenizer, which takes seconds.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from workbench.core.errors import FormatError, MissingError
from workbench.core.lazy import LazyTensor
from workbench.io.files import (
    Weights,
    broken,
    is_shape,
    listed,
    mapped_rows,
    need,
    plain,
    shown,
    size_of,
    status,
    unreadable,
    widened,
)
from workbench.numerics.floats import CODED, decode
from workbench.subjects.checkpoint import TensorInfo

_VERSIONS = (2, 3)
# Type of a metadata value to its struct format.
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_MAX_PARTS = 10_000
_MAX_RANK = 4  # ggml's GGML_MAX_DIMS
_MAX_DEPTH = 4  # of arrays in arrays
_KEPT_ITEMS = 64  # a longer array (a vocabulary) doesn't belong into a configuration
_PLAIN = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}


class _DamageError(Exception):
    """What is wrong in the header, in words."""


@dataclass(frozen=True)
class _Entry:
    dtype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


def read_gguf(path: Path) -> Weights:
    """Read a file's header; ``config`` has its metadata, but for long arrays such as the vocabulary.

    A checkpoint that was split (``x-00001-of-00002.gguf``) is read whole, whichever of its parts is named.

    Raises
    ------
    FormatError
        The file is truncated, contradicts itself, or is of a version or byte order that isn't read.
    MissingError
        The package gguf isn't installed, or a part isn't there.
    """
    weights = _read_part(path)
    count = weights.config.get("split.count", 1)
    if count == 1:
        return weights
    if type(count) is not int or not 1 <= count <= _MAX_PARTS:
        raise broken(path, "GGUF", f"it says that it is one of {shown(count)} parts")
    return _joined(path, [_read_part(part) for part in parts_of(path, count)])


def parts_of(path: Path, count: int | None = None) -> list[Path]:
    """The files that a split checkpoint is in, in order, of which ``path`` is one.

    Parameters
    ----------
    count : how many parts the file says that there are; None where it wasn't asked.

    Raises
    ------
    FormatError
        It isn't called as parts are.
    MissingError
        One or more of them aren't there, by name.
    """
    match = _PART.fullmatch(path.name)
    if match is None or (count is not None and int(match[3]) != count):
        raise FormatError(
            f"{path} is one of {count} parts, and isn't called as they are (name-00001-of-{count or 2:05d}.gguf), so that the others "
            f"can't be found. Give them all their names back."
        )
    total = int(match[3])
    if not 1 <= total <= _MAX_PARTS:
        raise broken(path, "GGUF", f"its name says that it is one of {total:,} parts")
    names = [f"{match[1]}-{i:05d}-of-{match[3]}.gguf" for i in range(1, total + 1)]
    gone = [n for n in names if status(path.parent / n) != "file"]
    if gone:
        raise MissingError(
            f"{path} is one of {total} parts, of which {len(gone)} can't be found: {listed(gone)}. Download what is missing "
            f"into {path.parent}."
        )
    return [path.parent / n for n in names]


def _joined(path: Path, parts: list[Weights]) -> Weights:
    """The tensors of all parts, under the first one's metadata."""
    where: dict[str, Weights] = {}
    for i, part in enumerate(parts):
        file = part.files[0]
        if part.config.get("split.count") != len(parts) or part.config.get("split.no") != i:
            cause = f"it isn't part {i + 1} of {len(parts)}, as its name says"
            raise broken(
                file, "GGUF", cause, "The parts come from different checkpoints: download them together."
            )
        if twice := next((n for n in part.tensors if n in where), None):
            raise broken(file, "GGUF", f"its tensor {shown(twice)} stands in another part too")
        where |= dict.fromkeys(part.tensors, part)
    announced = parts[0].config.get("split.tensors.count", len(where))
    if announced != len(where):
        cause = f"its {len(parts)} parts hold {len(where):,} tensors, and {shown(announced)} are announced"
        raise broken(path, "GGUF", cause)
    return Weights(
        {n: part.tensors[n] for n, part in where.items()},
        lambda name: where[name].lazy(name),
        tuple(f for part in parts for f in part.files),
        {k: v for k, v in parts[0].config.items() if not k.startswith("split.")},
        stored=lambda name: where[name].stored(name),
    )


def _read_part(path: Path) -> Weights:
    """Read one file."""
    size = size_of(path)
    gguf = need("gguf", f"Reading {path.name} (GGUF)")
    try:
        with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
            config, entries, at = _walk(_Cursor(data, size), gguf)
        if not entries and config.get("split.count", 1) == 1:  # a first part may hold the metadata alone
            raise _DamageError("it holds no tensor")
        entries = _placed(entries, at, size)
    except _DamageError as e:
        raise broken(path, "GGUF", str(e)) from None
    except OSError as e:
        raise unreadable(path, e) from None
    tensors = {
        n: TensorInfo(n, e.shape, e.dtype, e.nbytes, path.name, _noise(e.dtype)) for n, e in entries.items()
    }
    return Weights(
        tensors,
        lambda name: _tensor(path, name, entries[name], gguf),
        (path,),
        config,
        stored=lambda name: _stored(path, entries[name]),
    )


def _stored(path: Path, entry: _Entry) -> LazyTensor | None:
    """A tensor's numbers as they lie there; None where they are quantized in blocks."""
    code = _PLAIN.get(entry.dtype) or CODED.get(entry.dtype)
    return None if code is None else mapped_rows(path, code, entry.offset, entry.shape)


def _tensor(path: Path, name: str, entry: _Entry, gguf: ModuleType) -> LazyTensor:
    if (stored := _stored(path, entry)) is not None:
        return _plain_rows(stored, entry.dtype)
    if 0 in entry.shape:
        return LazyTensor.of(np.empty(entry.shape, np.float32))
    kind = gguf.GGMLQuantizationType[entry.dtype]
    per_block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    rows = (*entry.shape[:-1], entry.shape[-1] // per_block * block_bytes)
    blocks = mapped_rows(path, "u1", entry.offset, rows)

    return _block_rows(blocks, entry.shape, lambda raw: _dequantized(path, name, raw, kind, gguf))


def _block_rows(
    blocks: LazyTensor, shape: tuple[int, ...], numbers: Callable[[np.ndarray], np.ndarray]
) -> LazyTensor:
    def read(start: int, stop: int) -> np.ndarray:
        if len(shape) == 1:  # a vector's blocks are not its numbers
            return numbers(blocks.whole())[start:stop]
        return numbers(blocks.read(start, stop))

    return LazyTensor(shape, read, lambda i: _block_rows(blocks.part(i), shape[1:], numbers))


def _plain_rows(stored: LazyTensor, dtype: str) -> LazyTensor:
    def read(start: int, stop: int) -> np.ndarray:
        return _plain_numbers(stored.read(start, stop), dtype)

    return LazyTensor(stored.shape, read, lambda i: _plain_rows(stored.part(i), dtype))


def _plain_numbers(raw: np.ndarray, dtype: str) -> np.ndarray:
    return decode(raw, dtype) if dtype in CODED else widened(raw)


def _dequantized(path: Path, name: str, blocks: np.ndarray, kind: Any, gguf: ModuleType) -> np.ndarray:
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # a scale may be infinite; the methods tell
            return gguf.quants.dequantize(blocks, kind)
    except NotImplementedError:
        raise FormatError(
            f"{path}: {name} is stored as {kind.name}, which the gguf package can't turn into numbers. "
            f"Requantize the file to Q8_0 or F16 with llama.cpp's llama-quantize."
        ) from None


def _noise(dtype: str) -> str:
    bits = re.match(r"(?:I?Q|TQ|MXFP|NVFP)(\d)", dtype)
    return f"{bits[1]}-bit blocks: values carry quantization noise" if bits else ""


class _Cursor:
    """Reads forward through a file; whatever would lie beyond its end is damage."""

    def __init__(self, data: mmap.mmap, size: int):
        self.data, self.size, self.at = data, size, 0

    def skip(self, n: int) -> int:
        """Step over ``n`` bytes and return where they began."""
        start = self.at
        if n > self.size - start:
            cause = f"{n:,} bytes are announced at byte {start:,} and the file ends at {self.size:,}"
            raise _DamageError(f"{cause} (truncated?)")
        self.at += n
        return start

    def number(self, code: str) -> Any:
        return struct.unpack_from("<" + code, self.data, self.skip(struct.calcsize("<" + code)))[0]

    def text(self) -> str:
        n = self.number("Q")
        start = self.skip(n)
        try:
            return self.data[start : start + n].decode()
        except UnicodeDecodeError:
            raise _DamageError(f"text before byte {self.at:,} isn't UTF-8") from None


def _walk(c: _Cursor, gguf: ModuleType) -> tuple[dict[str, Any], dict[str, _Entry], int]:
    """Metadata, tensors with offsets that count from the data section, and where that section begins."""
    if c.size < 24 or c.data[:4] != b"GGUF":
        raise _DamageError("it doesn't begin as a GGUF file does")
    c.skip(4)
    version = c.number("I")
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in _VERSIONS
        if swapped:
            raise _DamageError("it is big-endian, which gguf-convert-endian converts")
        raise _DamageError(f"its version is {version}; versions 2 and 3 are read")
    n_tensors, n_fields = c.number("Q"), c.number("Q")
    config: dict[str, Any] = {}
    seen: set[str] = set()
    for _ in range(n_fields):
        key = c.text()
        if key in seen or not plain(key):
            cause = "stands twice" if key in seen else "is not plain text"
            raise _DamageError(f"the key {shown(key)} {cause}")
        seen.add(key)
        value = _value(c, c.number("I"), 0)
        if value is not None:
            config[key] = value
    entries: dict[str, _Entry] = {}
    for _ in range(n_tensors):
        name = c.text()
        if name in entries or not plain(name):
            cause = "stands twice" if name in entries else "is not plain text"
            raise _DamageError(f"the tensor name {shown(name)} {cause}")
        entries[name] = _entry(c, name, gguf)
    alignment = config.get("general.alignment", 32)
    if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
        raise _DamageError(f"its alignment is {shown(alignment)}, not a power of two")
    return config, entries, -(-c.at // alignment) * alignment


def _value(c: _Cursor, kind: int, depth: int) -> Any:
    """A value, or None for an array too long to keep; the cursor ends behind it either way."""
    if kind in _FORMATS:
        return c.number(_FORMATS[kind])
    if kind == _STRING:
        return c.text()
    if kind != _ARRAY or depth == _MAX_DEPTH:
        raise _DamageError(f"a value before byte {c.at:,} has the unknown type {kind}")
    item, n = c.number("I"), c.number("Q")
    if n <= _KEPT_ITEMS:
        return [_value(c, item, depth + 1) for _ in range(n)]
    if item in _FORMATS:
        c.skip(n * struct.calcsize("<" + _FORMATS[item]))
    elif item == _STRING:
        for _ in range(n):
            c.skip(c.number("Q"))
    else:
        for _ in range(n):
            _value(c, item, depth + 1)
    return None


def _entry(c: _Cursor, name: str, gguf: ModuleType) -> _Entry:
    rank = c.number("I")
    if rank > _MAX_RANK:
        raise _DamageError(f"tensor {shown(name)} claims {rank} dimensions; at most {_MAX_RANK} are possible")
    shape = tuple(c.number("Q") for _ in range(rank))[::-1]  # the file counts the fastest dimension first
    code, offset = c.number("I"), c.number("Q")
    try:
        kind = gguf.GGMLQuantizationType(code)
    except ValueError:
        raise _DamageError(
            f"tensor {shown(name)} has the type number {code}, which this version of gguf doesn't know"
        ) from None
    per_block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    if not is_shape(shape):
        raise _DamageError(f"tensor {shown(name)} has the shape {shape}, which is none")
    if per_block > 1 and (not shape or shape[-1] % per_block):
        raise _DamageError(
            f"tensor {shown(name)} of shape {shape} can't be cut into {kind.name} blocks of {per_block}"
        )
    return _Entry(kind.name, shape, offset, math.prod(shape) // per_block * block_bytes)


def _placed(entries: dict[str, _Entry], data_at: int, size: int) -> dict[str, _Entry]:
    """The entries with offsets from the file's beginning; each within the file, none over another."""
    end = 0
    for name, e in sorted(entries.items(), key=lambda item: (item[1].offset, item[1].nbytes)):
        if e.offset < end:
            raise _DamageError(f"tensor {shown(name)} overlaps the one before it")
        end = e.offset + e.nbytes
        if end > size - data_at:
            ends = f"ends at byte {data_at + end:,} and the file at {size:,}"
            raise _DamageError(f"tensor {shown(name)} {ends} (truncated?)")
    return {n: _Entry(e.dtype, e.shape, data_at + e.offset, e.nbytes) for n, e in entries.items()}
