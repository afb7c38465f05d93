"""What a file is, from its first bytes; its ending decides between texts, and where those tell nothing."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from workbench.core.errors import FormatError
from workbench.io.files import head, size_of
from workbench.io.safetensors_files import MAX_HEADER
from workbench.io.word_vectors import WORD2VEC
from workbench.io.zips import DAMAGE

Format = Literal[
    "safetensors", "index", "gguf", "torch", "npz", "npy", "parquet", "csv", "jsonl", "txt", "word2vec"
]
ENDINGS: dict[str, Format] = {
    ".safetensors": "safetensors",
    ".gguf": "gguf",
    ".pth": "torch",
    ".pt": "torch",
    ".bin": "torch",
    ".ckpt": "torch",
    ".npz": "npz",
    ".npy": "npy",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".txt": "txt",
    ".vec": "txt",
}
INDEX_ENDINGS = (".safetensors.index.json", ".bin.index.json")
_MAGIC: dict[bytes, Format] = {b"GGUF": "gguf", b"\x93NUMPY": "npy", b"PAR1": "parquet"}


def format_of(path: Path) -> Format:
    """Return the format of a file that isn't empty.

    Raises
    ------
    FormatError
        It is none that is read.
    """
    size_of(path)
    if path.name.endswith(INDEX_ENDINGS):
        return "index"
    ending = ENDINGS.get(path.suffix.lower())
    found = _by_content(path, head(path, 32)) or ending
    if found is None:
        known = f"Files that are read: {', '.join(ENDINGS)}."
        advice = "Open the folder that it lies in." if path.suffix == ".json" else known
        raise FormatError(f"{path} is of a kind that isn't read, by its first bytes and its ending. {advice}")
    return found


def _by_content(path: Path, start: bytes) -> Format | None:
    for magic, found in _MAGIC.items():
        if start.startswith(magic):
            return found
    if start.startswith(b"PK"):
        return _zipped(path)
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "torch"  # a pickle; its reader says what to do with one that isn't torch's
    if path.suffix == ".bin" and WORD2VEC.match(start):
        return "word2vec"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= MAX_HEADER:
        return "safetensors"
    return None


def _zipped(path: Path) -> Format | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, *DAMAGE):
        return None  # the reader that its ending names says what is wrong
    if any(n.endswith("data.pkl") for n in names):
        return "torch"
    return "npz" if any(n.endswith(".npy") for n in names) else None
