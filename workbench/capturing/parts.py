"""What objects are made of beside attributes: slots, what C code hides, and what TorchScript keeps."""

from __future__ import annotations

import io
import itertools
import re
import struct
import types
import warnings
import zipfile
from typing import Any

_POINTER = struct.calcsize("P")
_DECLARATION = re.compile(rb"  \w+ : ")


def slots_of(kind: type) -> list[types.MemberDescriptorType]:
    """The slots that a class and its bases were written with."""
    written = [base for base in kind.__mro__ if "__slots__" in vars(base)]
    return [d for base in written for d in vars(base).values() if isinstance(d, types.MemberDescriptorType)]


def has_hidden_state(kind: type, base: type) -> bool:
    """Whether objects of a class hold more than their base does, attributes and slots: what was written in C may."""
    pointers = len(slots_of(kind)) + (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0)
    known = base.__basicsize__ + _POINTER * pointers
    return kind.__itemsize__ != base.__itemsize__ or kind.__basicsize__ > known


def script_parts(value: Any) -> list[tuple[str, bytes]]:
    """What a TorchScript module or function would write of itself: by name, the code, constants and tensors.

    But for where its source stood and the file's own number, which say nothing of what it computes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = io.BytesIO(value.save_to_buffer())
    with zipfile.ZipFile(raw) as held:
        named = {n.partition("/")[2]: n for n in sorted(held.namelist())}  # all begin with the archive's name
        kept = {n: full for n, full in named.items() if not n.endswith((".debug_pkl", "serialization_id"))}
        return [(name, _in_order(held.read(full))) for name, full in kept.items()]


def _in_order(code: bytes) -> bytes:
    """Sort the declarations of attributes that follow each other, which TorchScript writes in any order."""
    lines = itertools.groupby(code.split(b"\n"), key=lambda line: bool(_DECLARATION.match(line)))
    return b"\n".join(x for declared, group in lines for x in (sorted(group) if declared else group))
