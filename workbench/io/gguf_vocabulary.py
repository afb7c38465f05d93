"""The long lists in a GGUF file's metadata (its vocabulary), which the reader of weights passes over."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.io.files import broken, size_of, unreadable
from workbench.io.gguf_files import _ARRAY, _FORMATS, _STRING, _Cursor, _DamageError, _value

_COUNTS_AT = 8  # bytes of magic and version before the numbers of tensors and of metadata fields


def read_lists(path: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return metadata lists by name, in the order asked for.

    Raises
    ------
    FormatError
        The file is damaged, or a name has no list.
    """
    size = size_of(path)
    found: dict[str, list[Any]] = {}
    try:
        with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
            c = _Cursor(data, size)
            c.skip(_COUNTS_AT)
            _, fields = c.number("Q"), c.number("Q")
            for _ in range(fields):
                key, kind = c.text(), c.number("I")
                if key in names and kind == _ARRAY:
                    found[key] = _list(c)
                else:
                    _value(c, kind, 0)
                if len(found) == len(names):
                    break
    except _DamageError as e:
        raise broken(path, "GGUF", str(e)) from None
    except OSError as e:
        raise unreadable(path, e) from None
    for name in names:
        if name not in found:
            raise broken(path, "GGUF", f"its metadata has no list {name}", "It was made without a tokenizer.")
    return {name: found[name] for name in names}


def _list(c: _Cursor) -> list[Any]:
    item, n = c.number("I"), c.number("Q")
    if item == _STRING:
        return [c.text() for _ in range(n)]  # a count that lies ends at the file's end
    if item not in _FORMATS:
        raise _DamageError(f"a list before byte {c.at:,} holds items of the unknown type {item}")
    return [c.number(_FORMATS[item]) for _ in range(n)]
