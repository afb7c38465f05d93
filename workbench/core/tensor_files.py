"""Safetensors, written a block at a time and read a tensor at a time.

The library writes a file from arrays that are all in memory at once, and its numpy side knows no bfloat16. The format
is simple: the header's length in 8 bytes, the header in JSON, the bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.errors import DataError
from workbench.core.lazy import LazyTensor, Tensors
from workbench.core.progress import tell

PLAIN = {
    "BOOL": "u1",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
}
"""Formats whose numbers numpy has, to its dtype."""
_NAMES = {np.dtype(code): name for name, code in PLAIN.items() if name != "BOOL"} | {np.dtype(bool): "BOOL"}


@dataclass(frozen=True, eq=False)
class Entry:
    """One tensor to be written.

    Attributes
    ----------
    dtype : the format's name of it (``BF16``). itemsize : bytes of a number.
    blocks : gives its numbers as they are to lie in the file, some rows at a time.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    itemsize: int
    blocks: Callable[[], Iterable[np.ndarray]]

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * self.itemsize


def entry(name: str, tensor: LazyTensor) -> Entry:
    """A tensor that is written as numpy has it.

    Raises
    ------
    DataError
        The format has no such numbers.
    """
    dtype = tensor.dtype
    if dtype not in _NAMES:
        raise DataError(
            f"{name} holds {dtype}, which safetensors doesn't have: convert it to one of {', '.join(PLAIN)}."
        )
    return Entry(name, _NAMES[dtype], tensor.shape, dtype.itemsize, lambda: (b for _, b in tensor.blocks()))


def write_safetensors(path: Path, entries: Sequence[Entry], what: str = "") -> None:
    """Write a file whose numbers are read (and computed) block by block as they are written.

    The widest numbers come first, so that each is aligned and can be mapped.

    Parameters
    ----------
    what : said in the progress, which counts bytes; nothing is said without it.
    """
    ordered = sorted(entries, key=lambda e: -e.itemsize)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for e in ordered:
        header[e.name] = {
            "dtype": e.dtype,
            "shape": list(e.shape),
            "data_offsets": [end, end := end + e.nbytes],
        }
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    done = 0
    with path.open("wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for e in ordered:
            written = 0
            for block in e.blocks():
                written += f.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
                if what:
                    tell(what, done + written, end)
            if written != e.nbytes:
                raise DataError(
                    f"{e.name} gave {written:,} bytes where its shape {e.shape} takes {e.nbytes:,}."
                )
            done += written


class StoredTensors(Tensors):
    """The tensors of a safetensors file of numpy's own types, read when asked for.

    Parameters
    ----------
    prefix : only those whose names begin so; their names are what follows.
    """

    def __init__(self, path: Path, prefix: str = ""):
        from safetensors import safe_open

        self._path, self._prefix = path, prefix
        self._file: Any = safe_open(path, framework="numpy")
        self._shapes = {
            name.removeprefix(prefix): tuple(self._file.get_slice(name).get_shape())
            for name in list(self._file.keys())
            if name.startswith(prefix)
        }

    def under(self, prefix: str) -> StoredTensors:
        """Those whose names begin so."""
        return StoredTensors(self._path, self._prefix + prefix)

    def lazy(self, name: str) -> LazyTensor:
        """One of them."""
        shape, full = self._shapes[name], self._prefix + name
        if not shape or 0 in shape:  # of which the library gives no slice
            return LazyTensor.later(shape, lambda: self._file.get_tensor(full))
        return LazyTensor(shape, lambda start, stop: self._file.get_slice(full)[start:stop])

    def __contains__(self, name: object) -> bool:
        return name in self._shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)
