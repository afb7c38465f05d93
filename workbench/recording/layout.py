"""A recording on disk: what lies where, and the parts that may be believed only when they have been checked.

A folder with ``recording.json`` (what is recorded), ``steps-AAAA-SSSSSSSSSS.safetensors`` (rows from step S on),
``weights-AAAA-SSSSSSSSSS.safetensors`` (all tensors at some steps, the first of them S), ``attempt-AAAA.json`` (the
step that a run went on from; rows and weights of earlier attempts from there on no longer count), where they were
given ``probe.safetensors`` and ``training.safetensors``, and, once it has ended or diverged, ``outcome.json``. Every
file appears whole, by renaming. Only the outcome is replaced later, and the manifest where further weights come to be trained.
Each holds a digest of its content, which reading compares; recordings of the first format have one of their weights alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

from workbench.core.digest import digest
from workbench.core.errors import FormatError, MissingError
from workbench.core.stored import read_json as stored_json
from workbench.numerics.objectives import LOSSES

FORMAT = "workbench recording 2"
_UNCHECKED = "workbench recording 1"
CHECK, SELF = "check", "workbench"
"""Where a file has the digest of its content, and a safetensors file its own description."""
MANIFEST, OUTCOME, PROBE, TRAINING = (
    "recording.json",
    "outcome.json",
    "probe.safetensors",
    "training.safetensors",
)
LOCK, NEW = "lock", "new"
HALF_WRITTEN = re.compile(r"\.tmp[A-Za-z0-9]{6}")
"""What a kill leaves of a file that safetensors hadn't renamed yet."""
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
_LONGEST_CAUSE = 400  # letters


@dataclass(frozen=True)
class Tensor:
    """One tensor of every step.

    Attributes
    ----------
    dtype : safetensors' name. role : ``parameter`` (trained by the recorded optimizer), ``buffer``, or ``frozen`` (not trained by
        it; others may, and then it is recorded as it changes).
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
    every : a row every so many steps. groups : parameter groups that the optimizer began with.
    loss : of the probe, a name from `LOSSES`, or "".
    checked : whether all files hold a digest of their content.
    about : class names and the optimizer's settings, for people.
    """

    name: str
    every: int
    tensors: tuple[Tensor, ...]
    groups: int
    compress: str
    loss: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    checked: bool = True

    @property
    def parameters(self) -> list[str]:
        """Names of the trained parameters; per-parameter columns have this order."""
        return [t.name for t in self.tensors if t.role == "parameter"]

    @property
    def names(self) -> list[str]:
        """Names of all tensors."""
        return [t.name for t in self.tensors]

    def to_json(self) -> dict[str, Any]:
        """As the manifest stores it."""
        tensors = [[t.name, list(t.shape), t.dtype, t.role] for t in self.tensors]
        return {
            "format": FORMAT if self.checked else _UNCHECKED,
            "name": self.name,
            "every": self.every,
            "tensors": tensors,
            "groups": self.groups,
            "compress": self.compress,
            "loss": self.loss,
            "about": self.about,
        }

    def with_trained(self, names: Iterable[str]) -> Layout:
        """This layout, with further tensors that are trained."""
        trained = set(names)
        tensors = (replace(t, role="parameter") if t.name in trained else t for t in self.tensors)
        return replace(self, tensors=tuple(tensors))

    def difference(self, other: Layout) -> str:
        """What another layout has that this one has not, in words; "" where they can record the same.

        Which parameters are trained, and in which groups, may change on the way.
        """
        mine, theirs = ({t.name: t for t in x.with_trained(x.names).tensors} for x in (self, other))
        for name in [*mine, *theirs]:
            if mine.get(name) != theirs.get(name):
                a, b = mine.get(name), theirs.get(name)
                entries = [f"{t.shape} {t.dtype}" if t else "absent" for t in (a, b)]
                return f"{name} is {entries[0]} there and {entries[1]} here"
        for part in ("every", "compress", "loss"):
            if getattr(self, part) != getattr(other, part):
                return f"{part} is {getattr(self, part)!r} there and {getattr(other, part)!r} here"
        return ""


def is_recording(folder: Path) -> bool:
    """Whether a folder is one, by its manifest."""
    return (folder / MANIFEST).is_file()


def lacks_manifest(folder: Path) -> bool:
    """Whether a folder is what a recording leaves, without the manifest that says how it is to be read."""
    return not is_recording(folder) and (folder / attempt_file(0)).is_file()


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
    manifest = read_json(folder / MANIFEST, checked=False)
    checked = manifest.get("format") == FORMAT
    if not checked and manifest.get("format") != _UNCHECKED:
        raise damaged(folder, f"its manifest is not of the format {FORMAT!r}")
    if checked:
        require_check(folder / MANIFEST, manifest)
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
    return Layout(name, every, tensors, groups, compress, loss, about, checked)


def listed(folder: Path) -> list[Path]:
    """What lies in a folder, in order.

    Raises
    ------
    MissingError
        It can't be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as e:
        raise MissingError(f"{folder} can't be read ({e.strerror}).") from None


def attempts(folder: Path, *, checked: bool) -> list[int]:
    """The step that each attempt began with, in their order.

    Raises
    ------
    FormatError
        One is missing or damaged.
    """
    files = [f for f in listed(folder) if ATTEMPT_FILE.fullmatch(f.name)]
    starts = []
    for i, file in enumerate(files):
        start = read_json(file, checked=checked).get("start")
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


def with_check(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the digest of its content."""
    return {**content, CHECK: digest(dict(content))}


def require_check(file: Path, content: Mapping[str, Any]) -> None:
    """Refuse a JSON object that isn't what was stored.

    Raises
    ------
    FormatError
        Its digest is missing or another.
    """
    if content.get(CHECK) != digest({k: v for k, v in content.items() if k != CHECK}):
        raise damaged(file.parent, f"{file.name} isn't what was stored")


def read_json(file: Path, *, checked: bool) -> dict[str, Any]:
    """A JSON object of bounded size, as it was stored where that can be told (``checked``)."""
    try:
        content = stored_json(file, _MAX_JSON)
    except OSError as e:
        raise MissingError(f"{file} can't be read ({e.strerror}).") from None
    except FormatError:
        raise damaged(file.parent, f"{file.name} is not a JSON object of a sensible size") from None
    if checked:
        require_check(file, content)
    return content


def damaged(folder: Path, cause: str) -> FormatError:
    """The refusal of a folder that is no whole recording; the cause may quote what is in a damaged file."""
    return FormatError(
        f"{folder} can't be opened as a recording: {as_cause(cause)}. Restore the file from a copy, or record again."
    )


def as_cause(text: str) -> str:
    """A text that may quote what is in a damaged file, short and printable."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return shown if len(shown) <= _LONGEST_CAUSE else f"{shown[:_LONGEST_CAUSE]}…"


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
