"""Vectors as lines of text: numbers alone (``numpy.savetxt``), or a word and its numbers (GloVe, word2vec, fastText)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workbench.io.files import broken, head, shown, size_of, unreadable
from workbench.io.tables import MAX_TABLE

_LOOKED_AT = 20  # lines from which it is seen what a file is
_START = 1 << 20  # bytes in which they lie
_FEWEST = 2  # numbers behind a word that make it a vector; "chapter 12" is a text


def vectors_in(path: Path) -> tuple[np.ndarray, list[str] | None] | None:
    """Return the rows of a text file whose lines are vectors, and the words before them; None where it holds anything else.

    Numbers stand apart by spaces or tabs. Lines that begin with ``#`` are comments where no line begins with a word, and
    a first line of two numbers is word2vec's (how many, how long).

    Raises
    ------
    FormatError
        The first lines are vectors and a later one isn't.
    """
    if size_of(path) > MAX_TABLE:
        raise broken(
            path, "text", f"it is larger than {MAX_TABLE >> 30} GiB", "Split it, or save its numbers as npy."
        )
    text = head(path, _START).decode("utf-8-sig", "replace")
    lines = text.splitlines()[: 2 * _LOOKED_AT]
    if len(text) == _START and len(lines) < 2 * _LOOKED_AT:
        lines = lines[:-1]  # it may be cut
    some = [line for line in lines if line.strip()]
    numbers = [line for line in some if not line.lstrip().startswith("#")][:_LOOKED_AT]
    plain = _width(numbers, words=False)
    if plain is not None:
        return _read(path, plain, words=False)
    some = some[1:] if len(some) > 1 and _is_size(some[0]) else some
    worded = _width(some[:_LOOKED_AT], words=True)
    return None if worded is None or worded < _FEWEST else _read(path, worded, words=True)


def _width(lines: list[str], *, words: bool) -> int | None:
    """Numbers in each line; None where lines differ in that or hold something else."""
    if not lines:
        return None
    parts = lines[-1].split()
    width = (
        len(parts)
        if not words
        else next((k for k, p in enumerate(parts[::-1]) if not _is_number(p)), len(parts) - 1)
    )
    return width if width and all(_row(line, width, words=words) is not None for line in lines) else None


def _is_size(line: str) -> bool:
    parts = line.split()
    return len(parts) == 2 and all(p.isascii() and p.isdigit() for p in parts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _row(line: str, width: int, *, words: bool) -> tuple[str, np.ndarray] | None:
    """The word, which may hold spaces, and the numbers of a line."""
    parts = line.rsplit(None, width) if words else ["", *line.split()]
    if len(parts) != width + 1:
        return None
    try:
        return parts[0].strip(), np.array(parts[1:], np.float64)
    except ValueError:
        return None


def _read(path: Path, width: int, *, words: bool) -> tuple[np.ndarray, list[str] | None]:
    """All lines, in double precision, or in single as word vectors are trained."""
    kind = np.float32 if words else np.float64
    rows, names = [], []
    try:
        with path.open(encoding="utf-8-sig") as f:
            for number, line in enumerate(f, 1):
                if (
                    not line.strip()
                    or (not words and line.lstrip().startswith("#"))
                    or (number == 1 and words and _is_size(line))
                ):
                    continue
                if (row := _row(line, width, words=words)) is None:
                    vector = f"{'a word and ' if words else ''}{width} numbers"
                    cause = f"line {number} is {shown(line.strip(), 60)}, and those before it are {vector}"
                    raise broken(
                        path,
                        "vectors",
                        cause,
                        "Correct that line, or open it with kind='corpus' if these are texts.",
                    )
                names.append(row[0])
                rows.append(row[1].astype(kind))
    except UnicodeDecodeError as e:
        cause = f"byte {e.object[e.start]:#04x} in it is not UTF-8"
        raise broken(
            path,
            "vectors",
            cause,
            f"Convert it, for example: iconv -f latin1 -t utf-8 {path.name} > new.txt.",
        ) from None
    except OSError as e:
        raise unreadable(path, e) from None
    return np.stack(rows), names if words else None
