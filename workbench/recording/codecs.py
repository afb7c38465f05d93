"""How weights are stored: whole, as lossless differences to an earlier step, or as differences of low rank.

A difference is taken between the bits as whole numbers (neighbouring floats are neighbouring integers), folded
so that small ones of either sign are small, its bytes sorted by significance, and compressed with zstd. Adam at
1e-3 leaves about 0.7 of the bytes: the low bits of a float32 that moved are noise, and noise doesn't compress.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, Literal

import numpy as np

Compress = Literal["delta", "low-rank", "none"]
KINDS = ("raw", "zstd", "delta", "same", "low-rank")
_LEVEL = 1  # at 3 the same to a thousandth, and slower


def bits(array: np.ndarray) -> np.ndarray:
    """The bytes of an array as unsigned whole numbers of the same width, flat."""
    return np.ascontiguousarray(array).reshape(-1).view(f"<u{array.dtype.itemsize}")


def check(*parts: np.ndarray) -> str:
    """Digest of stored content, by which reading it finds damage."""
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        h.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return h.hexdigest()


def pack(values: np.ndarray) -> np.ndarray:
    """Compress whole numbers: bytes of like significance together, then zstd."""
    width = values.dtype.itemsize
    planes = np.ascontiguousarray(values.view(np.uint8).reshape(-1, width).T)
    return np.frombuffer(_zstd().compress(planes), np.uint8)


def unpack(stored: np.ndarray, count: int, width: int) -> np.ndarray:
    """The inverse of `pack`.

    Raises
    ------
    ValueError
        The bytes are damaged, or of another length.
    """
    size = count * width
    raw = _zstd().decompress(stored.tobytes(), decompressed_size=size, asbytes=True) if size else b""
    if len(raw) != size:
        raise ValueError(f"{len(raw)} bytes instead of {size}")
    planes = np.frombuffer(raw, np.uint8).reshape(width, count)
    return np.ascontiguousarray(planes.T).reshape(-1).view(f"<u{width}")


def fold(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Differences of whole numbers, modulo their range, with the sign in the lowest bit."""
    moved = now - before
    top = moved >> np.array(8 * now.dtype.itemsize - 1, now.dtype)
    np.negative(top, out=top)
    np.left_shift(moved, np.array(1, now.dtype), out=moved)
    return np.bitwise_xor(moved, top, out=moved)


def unfold(folded: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The inverse of `fold`."""
    one = np.array(1, folded.dtype)
    return before + ((folded >> one) ^ (np.array(0, folded.dtype) - (folded & one)))


def low_rank(moved: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The best approximation of a difference by two factors, float32, and its relative error (Frobenius).

    Parameters
    ----------
    moved : (m, ...) a difference of weights; further dimensions are flattened.
    """
    matrix = moved.reshape(len(moved), -1).astype(np.float64)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    left, right = (u[:, :rank] * s[:rank]).astype(np.float32), vt[:rank].astype(np.float32)
    size = float(np.linalg.norm(matrix))
    error = float(np.linalg.norm(matrix - left.astype(np.float64) @ right)) / size if size else 0.0
    return left, right, error


@cache
def _zstd() -> Any:
    import pyarrow as pa

    return pa.Codec("zstd", compression_level=_LEVEL)
