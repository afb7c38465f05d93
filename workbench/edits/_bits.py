"""Whole numbers beside a tensor, packed small: planes of bytes, compressed; and what a tensor's bits must be."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np

from workbench.core.errors import DataError, FormatError
from workbench.core.lazy import LazyTensor


def packed(numbers: np.ndarray) -> np.ndarray:
    """Pack numbers, whose high bytes are mostly alike, as bytes."""
    planes = np.ascontiguousarray(numbers).reshape(-1).view(np.uint8).reshape(-1, numbers.dtype.itemsize).T
    return np.frombuffer(zlib.compress(np.ascontiguousarray(planes).tobytes(), 6), np.uint8)


def unpacked(name: str, data: np.ndarray, shape: tuple[int, ...], dtype: str | np.dtype) -> np.ndarray:
    """The numbers again.

    Raises
    ------
    FormatError
        There are more or fewer than the shape takes.
    """
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    stream = zlib.decompressobj()
    raw = stream.decompress(data.tobytes(), expected + 1) if expected else b""
    if len(raw) != expected:
        raise FormatError(
            f"{name}: what was kept of its bits isn't what the shape {shape} takes. Make the edit again."
        )
    planes = np.frombuffer(raw, np.uint8).reshape(np.dtype(dtype).itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(shape)


def require_bits(
    name: str,
    stored: LazyTensor,
    dtype: str,
    dtypes: Mapping[str, str],
    digests: Mapping[str, list[str]],
    label: str,
) -> None:
    """Refuse a tensor that isn't the one that an edit was made for, before anything is written.

    Raises
    ------
    DataError
        Its bits are others; where they are what the edit leads to, that is said.
    """
    if dtype != dtypes[name]:
        raise DataError(f"{label}: {name} is stored as {dtype}, and the edit was made for {dtypes[name]}.")
    wanted, made = digests[name]
    digest = stored.digest
    if digest == wanted:
        return
    if digest == made:
        raise DataError(
            f"{label}: {name} is already what this edit gives, so that there is nothing to do. A patch goes back by its "
            f"negative (--back)."
        )
    raise DataError(
        f"{label}: {name} isn't the tensor that this was made for (its digest is {digest[:12]}, not {wanted[:12]}): it is the "
        f"wrong base. Nothing was written."
    )
