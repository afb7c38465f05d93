"""Bookmarks in a recording's folder: ``bookmarks-NAME.safetensors``, each step's edges as gaps, compressed and checked."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workbench.recording import codecs
from workbench.recording.layout import listed
from workbench.recording.stored import described_by, opened, store
from workbench.subjects.descents.bookmarks import Bookmarks

_FILE = re.compile(r"bookmarks-([\w.-]+)\.safetensors")
_NEW = "new-bookmarks"


def is_name(name: str) -> bool:
    """Whether bookmarks may be called so: letters, digits, ``_``, ``-`` and ``.``."""
    return _FILE.fullmatch(f"bookmarks-{name}.safetensors") is not None


def write_bookmarks(folder: Path, bookmarks: Bookmarks, packed: Sequence[np.ndarray]) -> None:
    """Replace the file of bookmarks of this name, whole or not at all.

    Parameters
    ----------
    packed : each step's edges from `pack`.
    """
    steps = bookmarks.steps.tolist()
    header = {
        "source": bookmarks.source,
        "fraction": bookmarks.fraction,
        "scope": bookmarks.scope,
        "shapes": [[n, list(s)] for n, s in bookmarks.shapes.items()],
        "steps": steps,
        "counts": [len(e) for e in bookmarks.edges],
        "checks": [codecs.check(p) for p in packed],
    }
    arrays = {str(s): p for s, p in zip(steps, packed, strict=True)}
    new = folder / _NEW
    store(new, arrays, header)
    os.replace(new, folder / f"bookmarks-{bookmarks.name}.safetensors")


def read_bookmarks(folder: Path, *, checked: bool) -> dict[str, Bookmarks]:
    """All bookmarks of a recording, by name; ``checked`` as of its layout.

    Raises
    ------
    FormatError
        A file is damaged.
    """
    by_name = {}
    for file in listed(folder):
        match = _FILE.fullmatch(file.name)
        if match:
            by_name[match[1]] = _read(file, match[1], checked)
    return by_name


def _read(file: Path, name: str, checked: bool) -> Bookmarks:
    with opened(file) as held:
        header = described_by(held, file, checked=checked)
        shapes = {str(n): tuple(map(int, s)) for n, s in header["shapes"]}
        size = sum(int(np.prod(s)) for s in shapes.values())
        edges = []
        for step, count, check in zip(header["steps"], header["counts"], header["checks"], strict=True):
            packed = held.get_tensor(str(step))
            if codecs.check(packed) != check:
                raise ValueError(f"step {step} isn't what was stored")
            edges.append(_unpack(packed, count))
            if len(edges[-1]) and not 0 <= edges[-1][0] <= edges[-1][-1] < size:
                raise ValueError(f"step {step} has edges that there aren't")
        steps = np.array(header["steps"], np.int64)
        return Bookmarks(
            name,
            str(header["source"]),
            float(header["fraction"]),
            str(header["scope"]),
            shapes,
            steps,
            edges,
        )


def pack(edges: np.ndarray) -> np.ndarray:
    """Ascending numbers as gaps, compressed."""
    return codecs.pack(np.diff(edges, prepend=0).astype("<u4"))


def _unpack(packed: np.ndarray, count: int) -> np.ndarray:
    return np.cumsum(codecs.unpack(packed, count, 4).astype(np.int64))
