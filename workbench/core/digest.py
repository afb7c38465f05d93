"""Content digests: what makes a subject, a run and a cache entry the same as another."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

SAMPLED_ABOVE = 2 << 30  # bytes; a larger file is digested from samples, and its digest says so
_SAMPLES, _SAMPLE_BYTES = 256, 1 << 20
_TREE_ABOVE = (
    64 << 20
)  # bytes; a larger array counts by the digests of its blocks, which several threads make
_BLOCK = 8 << 20


def digest(*parts: Any) -> str:
    """Digest arrays, strings, numbers and JSON-like structures into 32 hexadecimal digits.

    Arrays count by dtype, shape and bytes; everything else by its canonical JSON.
    """
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            h.update(f"array {part.dtype.str} {part.shape} ".encode())
            if part.nbytes > _TREE_ABOVE and not part.dtype.hasobject:
                for leaf in _leaves(part):
                    h.update(leaf)
            else:
                for block in _blocks(part, 4096):
                    h.update(block)
        elif isinstance(part, bytes):
            h.update(b"bytes %d " % len(part) + part)
        else:
            text = json.dumps(part, sort_keys=True, default=str, ensure_ascii=False)
            h.update(f"json {len(text)} {text}".encode("utf-8", "surrogatepass"))
    return h.hexdigest()


def digest_file(path: Path) -> str:
    """Digest a file's bytes.

    Above 2 GiB (`SAMPLED_ABOVE`) the length and 256 evenly spaced MiB stand for the whole, and the digest starts with
    ``sampled-``: a change between samples goes unseen, which is the price of opening 40 GB at once.
    """
    size = path.stat().st_size
    h = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as f:
        if size <= SAMPLED_ABOVE:
            while block := f.read(_SAMPLE_BYTES):
                h.update(block)
            return h.hexdigest()
        for k in range(_SAMPLES):
            f.seek((size - _SAMPLE_BYTES) * k // (_SAMPLES - 1))
            h.update(f.read(_SAMPLE_BYTES))
    return f"sampled-{h.hexdigest()}"


def _leaves(array: np.ndarray) -> Iterator[bytes]:
    """Yield the digests of an array's blocks of about 8 MiB, in order."""
    rows = max(1, _BLOCK * len(array) // array.nbytes)

    def leaf(start: int) -> bytes:
        block = np.ascontiguousarray(array[start : start + rows])
        # as bytes, since dates and bfloat16 are no buffers of their own
        return hashlib.blake2b(block.reshape(-1).view(np.uint8).data, digest_size=16).digest()

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as threads:
        yield from threads.map(leaf, range(0, len(array), rows))


def _blocks(array: np.ndarray, rows: int) -> Iterator[bytes]:
    """Yield an array's bytes a few rows at a time, so that a memory-mapped one is never read whole."""
    if array.dtype.hasobject:
        yield json.dumps(array.tolist(), default=str).encode("utf-8", "surrogatepass")
        return
    flat = array.reshape(1) if array.ndim == 0 else array
    for start in range(0, len(flat), rows):
        yield np.ascontiguousarray(flat[start : start + rows]).tobytes()
