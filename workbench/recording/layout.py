"""A recording on disk: what lies where, and the parts that may be believed only when they have been checked.

A folder with ``recording.json`` (what is recorded), ``steps-AAAA-SSSSSSSSSS.safetensors`` (rows from step S on),
``weights-AAAA-SSSSSSSSSS.safetensors`` (all tensors at some steps, the first of them S), ``attempt-AAAA.json`` (the
step that a run went on from; rows and weights of earlier attempts from there on no longer count), where they were
given ``probe.safetensors`` and ``training.safetensors``, and, once it has ended or diverged, ``outcome.json``. Every
file appears whole, by renaming, and none is changed afterwards but the last.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from workbench.core.errors import FormatError, MissingError
from workbench.numerics.objectives import LOSSES

FORMAT = "workbench recording 1"
MANIFEST, OUTCOME, PROBE, TRAINING = (
    "recording.json",
    "outcome.json",
    "probe.safetensors",
    "training.safetensors",
)
LOCK, NEW = "lock", "new"
STEPS_FILE = re.compile(r"steps-(\d{4})-(\d{10})\.safetensors")
WEIGHTS_FILE = re.compile(r"weights-(\d{4})-(\d{10})\.safetensors")
ATTEMPT_FILE = re.compile(r"attempt-(\d{4})\.json")
DTYPES = {
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "bool": "BOOL",
}
"""Torch's names of the dtypes that are recorded, and safetensors'."""
WIDTHS = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "U8": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "BOOL": 1}
_MAX_JSON = 64 << 20
_MAX_TENSORS = 1_000_000


@dataclass(frozen=True)
class Tensor:
    """One tensor of every step.

    Attributes
    ----------
    dtype : safetensors' name. role : ``parameter`` (trained), ``buffer``, or ``frozen`` (kept once).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: str

    @property
    def count(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """What is recorded.

    Attributes
    ----------
    every : a row every so many steps. groups : parameter groups of the optimizer, each with its learning rate.
    loss : of the probe, a name from `LOSSES`, or "".
    about : class names and the optimizer's settings, for people.
    """

    name: str
    every: int
    tensors: tuple[Tensor, ...]
    groups: int
    compress: str
    loss: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        """Names of the trained parameters; per-parameter columns have this order."""
        return [t.name for t in self.tensors if t.role == "parameter"]

    def to_json(self) -> dict[str, Any]:
        """As the manifest stores it."""
        tensors = [[t.name, list(t.shape), t.dtype, t.role] for t in self.tensors]
        return {
            "format": FORMAT,
            "name": self.name,
            "every": self.every,
            "tensors": tensors,
            "groups": self.groups,
            "compress": self.compress,
            "loss": self.loss,
            "about": self.about,
        }

    def difference(self, other: Layout) -> str:
        """What another layout has that this one has not, in words; "" where they record the same."""
        mine, theirs = ({t.name: t for t in x.tensors} for x in (self, other))
        for name in [*mine, *theirs]:
            if mine.get(name) != theirs.get(name):
                a, b = mine.get(name), theirs.get(name)
                entries = [f"{t.shape} {t.dtype} ({t.role})" if t else "absent" for t in (a, b)]
                return f"{name} is {entries[0]} there and {entries[1]} here"
        for part in ("every", "groups", "compress", "loss"):
            if getattr(self, part) != getattr(other, part):
                return f"{part} is {getattr(self, part)!r} there and {getattr(other, part)!r} here"
        return ""


def is_recording(folder: Path) -> bool:
    """Whether a folder is one, by its manifest."""
    return (folder / MANIFEST).is_file()


def read_layout(folder: Path) -> Layout:
    """Read the manifest, checked field by field.

    Raises
    ------
    MissingError
        The folder holds no recording.
    FormatError
        It is damaged.
    """
    if not is_recording(folder):
        raise MissingError(f"{folder} is not a recording: it has no {MANIFEST}.")
    manifest = read_json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise damaged(folder, f"its manifest is not of the format {FORMAT!r}")
    name, compress, loss, about = (manifest.get(k) for k in ("name", "compress", "loss", "about"))
    if not isinstance(name, str) or not isinstance(compress, str) or not isinstance(about, dict):
        raise damaged(folder, "its manifest lacks its name or what it is about")
    if not isinstance(loss, str) or (loss and loss not in LOSSES):
        raise damaged(folder, "its loss is none that is known")
    every, groups = manifest.get("every"), manifest.get("groups")
    if not _whole(every, 1) or not _whole(groups, 1) or groups > _MAX_TENSORS:
        raise damaged(folder, "its manifest doesn't say how often it was recorded")
    entries = manifest.get("tensors")
    if not isinstance(entries, list) or not 0 < len(entries) <= _MAX_TENSORS:
        raise damaged(folder, "its manifest names no tensors")
    tensors = tuple(_tensor(folder, entry) for entry in entries)
    if len({t.name for t in tensors}) < len(tensors):
        raise damaged(folder, "a tensor stands in its manifest twice")
    return Layout(name, every, tensors, groups, compress, loss, about)


def attempts(folder: Path) -> list[int]:
    """The step that each attempt began with, in their order.

    Raises
    ------
    FormatError
        One is missing or damaged.
    """
    files = sorted(f for f in folder.iterdir() if ATTEMPT_FILE.fullmatch(f.name))
    starts = []
    for i, file in enumerate(files):
        start = read_json(file).get("start")
        if file.name != attempt_file(i) or not _whole(start, 0):
            raise damaged(folder, f"{file.name} is out of place")
        starts.append(start)
    return starts


def attempt_file(attempt: int) -> str:
    """Name of the file that says where an attempt began."""
    return f"attempt-{attempt:04d}.json"


def steps_file(attempt: int, first: int) -> str:
    """Name of the file of rows from step ``first`` on."""
    return f"steps-{attempt:04d}-{first:010d}.safetensors"


def weights_file(attempt: int, step: int) -> str:
    """Name of the file of weights whose first step is this."""
    return f"weights-{attempt:04d}-{step:010d}.safetensors"


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object of bounded size."""
    try:
        with file.open("rb") as f:
            raw = f.read(_MAX_JSON + 1)
        content = json.loads(raw) if len(raw) <= _MAX_JSON else None
    except OSError as e:
        raise MissingError(f"{file} can't be read ({e.strerror}).") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise damaged(file.parent, f"{file.name} is not a JSON object of a sensible size")
    return content


def damaged(folder: Path, cause: str) -> FormatError:
    """The refusal of a folder that is no whole recording."""
    return FormatError(
        f"{folder} can't be opened as a recording: {cause}. Restore the file from a copy, or record again."
    )


def _whole(value: Any, low: int) -> TypeGuard[int]:
    return type(value) is int and low <= value < 2**53


def _tensor(folder: Path, entry: Any) -> Tensor:
    if isinstance(entry, list) and len(entry) == 4:
        name, shape, dtype, role = entry
        sized = isinstance(shape, list) and len(shape) <= 64 and all(_whole(n, 0) for n in shape)
        known = dtype in WIDTHS and role in ("parameter", "buffer", "frozen")
        if isinstance(name, str) and sized and known and math.prod(max(n, 1) for n in shape) < 2**58:
            return Tensor(name, tuple(shape), dtype, role)
    raise damaged(folder, "its manifest doesn't say which tensors it has, their shapes and dtypes")
