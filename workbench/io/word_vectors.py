"""Vectors as lines of text: numbers alone (``numpy.savetxt``), or a word and its numbers (GloVe, word2vec, fastText).

word2vec also writes each word with its numbers in binary (single precision, little-endian).
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import numpy as np

from workbench.io.files import broken, head, shown, size_of, unreadable
from workbench.io.tables import MAX_TABLE

_LOOKED_AT = 20  # lines from which it is seen what a file is
_START = 1 << 20  # bytes in which they lie
WORD2VEC = re.compile(rb"(\d{1,10}) (\d{1,6})\n")  # how many, how long
_LONGEST_WORD = 1000  # bytes
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


def read_word2vec(path: Path) -> tuple[np.ndarray, list[str]]:
    """Return the rows of a binary word2vec file, (n, d) float32, and their words.

    Raises
    ------
    FormatError
        It has less room than it says, or ends early.
    """
    try:
        with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            first = WORD2VEC.match(raw[:32])
            if first is None:
                raise broken(
                    path, "word2vec", "its first line isn't two numbers, how many words and how long"
                )
            n, width = int(first.group(1)), int(first.group(2))
            if not n or not width or n * (4 * width + 2) > len(raw):
                cause = f"its first line says {n:,} words of {width:,} numbers, and it has {len(raw):,} bytes"
                raise broken(path, "word2vec", cause)
            values, words, at = np.empty((n, width), np.float32), [], first.end()
            for row in range(n):
                space = raw.find(b" ", at, at + _LONGEST_WORD)
                at, word = space + 1, raw[at:space]
                if space < 0 or at + 4 * width > len(raw):
                    raise broken(
                        path, "word2vec", f"it ends, or loses its order, in word {row + 1:,} of {n:,}"
                    )
                values[row] = np.frombuffer(raw, "<f4", width, at)
                words.append(word.lstrip(b"\n").decode("utf-8", "replace"))
                at += 4 * width
    except OSError as e:
        raise unreadable(path, e) from None
    return values, words
