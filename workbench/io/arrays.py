"""NumPy's files: ``.npy`` mapped from disk, ``.npz`` as one cloud or as named weights."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from workbench.core.errors import DataError, FormatError
from workbench.core.lazy import LazyTensor
from workbench.io.files import (
    Weights,
    broken,
    is_shape,
    mapped,
    native,
    plain,
    shown,
    size_of,
    unreadable,
    widened,
)
from workbench.io.zips import DAMAGE, content, data_offset, members
from workbench.subjects.checkpoint import TensorInfo

EXPANDS_TO = 1 << 30  # bytes that a compressed archive may always unpack to
EXPANDS_BY = 20  # times its own size that a larger one may
_LONGEST_HEADER = 1 << 16  # bytes; numpy refuses headers above a sixth of that
_NUMBERS = "FIUBC"  # the first letters of the names of dtypes that weights may have


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str
    length: int

    @property
    def nbytes(self) -> int:
        return self.length + math.prod(self.shape) * self.dtype.itemsize

    @property
    def description(self) -> str:
        return f"its header announces {self.dtype} of shape {self.shape}, {self.nbytes:,} bytes in all"


def read_npy(path: Path) -> np.ndarray:
    """Return the array of an ``.npy`` file, left on disk.

    Raises
    ------
    FormatError
        The header is damaged or doesn't fit the file's size, or the file holds Python objects.
    """
    size = size_of(path)
    try:
        with path.open("rb") as f:
            header = _header(f, path, "npy", path.name)
    except OSError as e:
        raise unreadable(path, e) from None
    if header.nbytes != size:
        raise broken(path, "npy", f"{header.description}, and the file has {size:,}")
    return native(mapped(path, header.dtype, header.length, header.shape, header.order))


def read_npz(path: Path) -> Weights:
    """Return the arrays of an ``.npz`` archive as they are stored, texts and records among them.

    Arrays that were saved uncompressed (``np.savez``) stay on disk.

    Raises
    ------
    FormatError
        The archive is damaged, would unpack to more than the cap (1 GiB, or 20 times its size if that is
        more), holds Python objects, or a member's header doesn't fit its size.
    """
    infos = members(path, "npz")
    allowed = max(EXPANDS_TO, EXPANDS_BY * size_of(path))
    total = sum(i.file_size for i in infos)
    if total > allowed:
        cause = f"it claims to unpack to {total:,} bytes, and {allowed:,} are allowed for a file of its size"
        advice = "If that is what you expect, load it with numpy and save it with np.savez, uncompressed."
        raise broken(path, "npz", cause, advice)
    found: dict[str, tuple[zipfile.ZipInfo, _Header]] = {}
    for info in infos:
        if not info.filename.endswith(".npy") or not plain(info.filename):
            cause = f"its member {shown(info.filename)} is no array"
            raise broken(path, "npz", cause, "It may be another kind of archive.")
        found[info.filename.removesuffix(".npy")] = info, _member_header(path, info)
    if not found:
        raise broken(path, "npz", "it holds no array")
    tensors = {
        n: TensorInfo(n, h.shape, _dtype_name(h.dtype), math.prod(h.shape) * h.dtype.itemsize, path.name)
        for n, (_, h) in found.items()
    }
    return Weights(tensors, lambda name: _lazy(path, *found[name]), (path,))


def _lazy(path: Path, info: zipfile.ZipInfo, header: _Header) -> LazyTensor:
    return LazyTensor.later(header.shape, lambda: _member(path, info, header))


def _member_header(path: Path, info: zipfile.ZipInfo) -> _Header:
    start = content(path, info, "npz", most=_LONGEST_HEADER)
    header = _header(io.BytesIO(start), path, "npz", info.filename)
    if header.nbytes != info.file_size:
        cause = f"in {shown(info.filename)} {header.description}, and the member has {info.file_size:,}"
        raise broken(path, "npz", cause)
    return header


def _member(path: Path, info: zipfile.ZipInfo, header: _Header) -> np.ndarray:
    if info.compress_type == zipfile.ZIP_STORED:
        try:
            with path.open("rb") as f:
                start = data_offset(f, info) + header.length
        except OSError as e:
            raise unreadable(path, e) from None
        except DAMAGE as e:
            raise broken(path, "npz", f"its member {shown(info.filename)} is damaged ({shown(e)})") from None
        return native(mapped(path, header.dtype, start, header.shape, header.order))
    flat = np.frombuffer(content(path, info, "npz"), header.dtype, offset=header.length)
    return native(flat.reshape(header.shape[::-1]).T if header.order == "F" else flat.reshape(header.shape))


def _header(f: IO[bytes], path: Path, what: str, name: str) -> _Header:
    """Read the header of one array; ``f`` stands at its beginning."""
    try:
        version = np.lib.format.read_magic(f)
        if version > (2, 0):  # only records with names beyond latin-1 need it
            raise broken(path, what, f"{shown(name)} holds records", "Save the columns as arrays of numbers.")
        formats = np.lib.format
        read = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
        with warnings.catch_warnings():
            # Shapes as Python 2 wrote them (3L) are read after a second look, of which numpy warns.
            warnings.simplefilter("ignore", UserWarning)
            shape, fortran, dtype = read(f)
    except (ValueError, TypeError, SyntaxError, TokenError, MemoryError, RecursionError) as e:
        if isinstance(e, FormatError):
            raise
        raise broken(path, what, f"the header of {shown(name)} is damaged ({shown(e)})") from None
    if dtype.hasobject:
        cause = f"{shown(name)} holds Python objects, and loading those would run code from the file"
        advice = "If you trust it, load it with np.load(allow_pickle=True) and save the numbers with np.save."
        raise broken(path, what, cause, advice)
    if not is_shape(shape, dtype.itemsize) or dtype.itemsize == 0:
        cause = f"the header of {shown(name)} announces the shape {shape} of {dtype}, which is none"
        raise broken(path, what, cause)
    return _Header(dtype, shape, "F" if fortran else "C", f.tell())


def _dtype_name(dtype: np.dtype[Any]) -> str:
    if dtype.kind not in "fiubc":
        return str(dtype)
    return "BOOL" if dtype.kind == "b" else f"{dtype.kind.upper()}{8 * dtype.itemsize}"


def has_texts(archive: Weights) -> bool:
    """Whether some array of an archive holds texts or dates, which weights never are."""
    return any(t.dtype[0] not in _NUMBERS for t in archive.tensors.values())


def named_weights(weights: Weights, path: Path) -> Weights:
    """Return an archive's arrays read as a checkpoint's are; refused if one holds no numbers."""
    for name, info in weights.tensors.items():
        if info.dtype[0] not in _NUMBERS:
            raise DataError(
                f"{path}: {shown(name)} holds {info.dtype}, which is no weight. Leave it out, or open the "
                f"archive with kind='points'."
            )
    return replace(weights, lazy=lambda name: weights.lazy(name).map(widened), stored=weights.lazy)


def as_rows(weights: Weights, path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the one array of rows in an archive, and the columns of labels that go with it.

    Raises
    ------
    FormatError
        There is no array of rows, there are several, or another array isn't one value a row.
    """
    matrices = [n for n, t in weights.tensors.items() if len(t.shape) > 1]
    if not matrices and len(weights.tensors) == 1:
        matrices = list(weights.tensors)
    if len(matrices) != 1:
        said = ", ".join(f"{shown(n)} {t.shape}" for n, t in list(weights.tensors.items())[:8])
        raise FormatError(
            f"{path} holds {len(weights.tensors)} arrays ({said}), of which {len(matrices)} could be the rows "
            f"of a cloud. Save one matrix (and labels, one value a row), or open it with kind='checkpoint'."
        )
    (rows,) = matrices
    n = weights.tensors[rows].shape[0] if weights.tensors[rows].shape else 0
    for name, info in weights.tensors.items():
        if name != rows and info.shape != (n,):
            raise FormatError(
                f"{path}: {shown(name)} has the shape {info.shape}, not one value for each of the {n:,} rows "
                f"of {shown(rows)}. Leave it out, or open the archive with kind='checkpoint'."
            )
    return weights.read(rows), {n: weights.read(n) for n in weights.tensors if n != rows}
