"""Edits: changes of a network, as values. Each kind lies in a file of `workbench.edits`.

An edit is kept apart from what it changes: ``net + edit`` is the changed network, computed when it is read; ``- edit``
takes it away again, wherever in the stack it lies, and the base has the bytes that it always had, because nobody
wrote to them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import numpy as np

from workbench.core.digest import digest
from workbench.core.discovery import import_all, named
from workbench.core.errors import FormatError, MissingError, ViewError
from workbench.core.lazy import LazyTensor, Tensors
from workbench.core.run import Run
from workbench.core.storage import writing
from workbench.core.stored import is_sealed, open_plain, read_json, sealed, unsealed
from workbench.core.tensor_files import StoredTensors, entry, write_safetensors

if TYPE_CHECKING:
    import torch

E = TypeVar("E")

KINDS: dict[str, type[Edit]] = {}
"""Every kind that was imported, by name; `kind_named` finds those that weren't."""
PACKAGE = "workbench.edits"
MAX_TITLES = 3  # of a stack, in a name
_FACTS, _ARRAYS = "edit.json", "arrays.safetensors"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Edit:
    """Base of every change of a network.

    A kind is a frozen dataclass in a file of its own. It says which ``tensors`` it touches and what becomes of each
    (`on`), or at which ``sites`` it acts and how (`at_site`). Fields that are `Tensors` or arrays are saved as such and
    the rest as JSON, with nothing else to be written for a new kind.

    Attributes
    ----------
    title : what it does, in words; ``words`` where it is empty.
    run : what made it; None for an edit made by hand.
    """

    kind: ClassVar[str]
    title: str = ""
    run: Run | None = field(default=None)

    def __init_subclass__(cls) -> None:
        if "kind" in cls.__dict__:
            KINDS[cls.kind] = cls

    @property
    def tensors(self) -> Collection[str]:
        """Names of the tensors that it touches."""
        return ()

    @property
    def sites(self) -> Collection[str]:
        """Names of the modules whose output it changes; patterns (see `core.patterns`) may be among them."""
        return ()

    @property
    def words(self) -> str:
        """What it does, where nobody gave it a title."""
        count = len(self.tensors) or len(self.sites)
        return f"{self.kind.replace('_', ' ')} of {count:,} {'tensors' if self.tensors else 'sites'}"

    def fits(self, name: str, shape: tuple[int, ...]) -> None:
        """Raise `DataError` where a tensor of this shape can't be changed so; nothing is read for it."""

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        """What becomes of one of ``tensors``, computed when it is read; shape and dtype stay."""
        raise NotImplementedError

    def on_bits(self, name: str, stored: LazyTensor, dtype: str) -> LazyTensor | None:
        """What becomes of the numbers of one of ``tensors`` as they lie in a file, for an edit that says it to the last bit.

        Parameters
        ----------
        stored : the numbers, of bfloat16 and the like the codes. dtype : the format's name of it (``BF16``).

        Returns
        -------
        LazyTensor or None
            None where it is the numbers that are changed (`on`) and rounded when they are written.
        """
        return None

    def at_site(self, site: str) -> Callable[[torch.Tensor], torch.Tensor]:
        """What becomes of the first tensor that one of ``sites`` puts out."""
        raise NotImplementedError

    def scaled(self, factor: float) -> Edit:
        """The edit ``factor`` times over, for those that add something.

        Raises
        ------
        ViewError
            It doesn't add: there is no multiple of it, and no negative.
        """
        raise ViewError(
            f"{self.label} ({self.kind}) has no negative or multiple: it keeps nothing of what it takes away. "
            f"Subtract it from something that it was added to, where it is left out of the stack, or keep the base."
        )

    @property
    def parts(self) -> tuple[Edit, ...]:
        """The edits that it consists of, in the order in which they are applied."""
        return (self,)

    @property
    def label(self) -> str:
        """The title, or the words."""
        return self.title or self.words

    @property
    def called(self) -> str:
        """What it is called in a lineage."""
        return self.label

    def with_run(self, run: Run) -> Edit:
        """Say how this came to be; for whoever makes it."""
        return dataclasses.replace(self, run=run)

    @cached_property
    def digest(self) -> str:
        """Digest of what it does; title and run don't count."""
        facts, arrays = self.packed()
        about = {k: v for k, v in facts.items() if k not in ("title", "run")}
        return digest("edit", about, {name: tensor.digest for name, tensor in arrays.items()})

    def packed(self) -> tuple[dict[str, Any], dict[str, LazyTensor]]:
        """The edit as JSON and arrays; `unpacked` reads it."""
        facts: dict[str, Any] = {"kind": self.kind, "title": self.title}
        facts["run"] = self.run.to_json() if self.run else None
        fields: dict[str, Any] = {}
        arrays: dict[str, LazyTensor] = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.name in ("title", "run") or not f.init:
                continue
            if isinstance(value, Tensors):
                arrays |= {f"{f.name}/{name}": value.lazy(name) for name in value}
            elif isinstance(value, np.ndarray):
                arrays[f.name] = LazyTensor.of(value)
            else:
                fields[f.name] = dict(value) if isinstance(value, Mapping) else value
        return {**facts, "fields": fields, "tensors": _fields_of(self, Tensors)}, arrays

    def save(self, path: str | Path) -> Path:
        """Write the edit to a folder (``edit.json`` and ``arrays.safetensors``), whole or not at all; `load` reads it.

        Raises
        ------
        StorageError
            The folder can't be written; what was there before is untouched.
        ViewError
            It holds a function of Python, which can't be saved.
        """
        facts, arrays = self.packed()
        path = Path(path)
        with writing(path) as temporary:
            temporary.mkdir()
            entries = [entry(name, tensor) for name, tensor in arrays.items()]
            write_safetensors(temporary / _ARRAYS, entries, f"writing {path.name}")
            (temporary / _FACTS).write_text(sealed(facts, [temporary / _ARRAYS]), encoding="utf-8")
        return path

    def __add__(self, other: Edit) -> Edit:
        return stacked(self, as_edit(other))

    def __sub__(self, other: Edit) -> Edit:
        return stacked(*without(self.parts, as_edit(other)))

    def __neg__(self) -> Edit:
        return self.scaled(-1.0)

    def __mul__(self, factor: float) -> Edit:
        return self.scaled(float(factor))

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"


@dataclass(frozen=True, eq=False, repr=False)
class Stack(Edit):
    """Several edits, applied in order; see `stacked`."""

    kind: ClassVar[str] = "stack"
    edits: tuple[Edit, ...] = ()

    @property
    def parts(self) -> tuple[Edit, ...]:
        return self.edits

    @cached_property
    def digest(self) -> str:
        return digest("edits", [part.digest for part in self.edits])

    @property
    def tensors(self) -> Collection[str]:
        return dict.fromkeys(name for part in self.edits for name in part.tensors)

    @property
    def sites(self) -> Collection[str]:
        return dict.fromkeys(site for part in self.edits for site in part.sites)

    @property
    def words(self) -> str:
        return titles(self.edits) or "nothing"

    def fits(self, name: str, shape: tuple[int, ...]) -> None:
        for part in self.edits:
            if name in part.tensors:
                part.fits(name, shape)

    def on(self, name: str, tensor: LazyTensor) -> LazyTensor:
        return changed(name, tensor, self.edits)

    def scaled(self, factor: float) -> Edit:
        if factor != -1.0:
            raise ViewError("A stack has a negative and no other multiple: scale the edits in it.")
        return stacked(*(-part for part in reversed(self.edits)))

    def packed(self) -> tuple[dict[str, Any], dict[str, LazyTensor]]:
        packed = [part.packed() for part in self.edits]
        arrays = {f"{i}/{name}": a for i, (_, held) in enumerate(packed) for name, a in held.items()}
        return {"kind": self.kind, "title": self.title, "parts": [facts for facts, _ in packed]}, arrays


def stacked(*edits: Edit) -> Edit:
    """The edits one after the other; of one, that one, and stacks among them count as what they consist of."""
    parts = tuple(part for one in edits for part in one.parts)
    return parts[0] if len(parts) == 1 else Stack(parts)


def without(parts: Sequence[Edit], edit: Edit) -> list[Edit]:
    """The parts less an edit: left out where it is among them (the last of equal ones), else with its negative behind.

    Raises
    ------
    ViewError
        It is not among them and has no negative.
    """
    left = list(parts)
    for gone in reversed(edit.parts):
        at = next((i for i in reversed(range(len(left))) if left[i].digest == gone.digest), None)
        if at is None:
            left.append(-gone)
        else:
            del left[at]
    return left


def changed(name: str, tensor: LazyTensor, parts: Iterable[Edit]) -> LazyTensor:
    """A tensor under those of the edits that touch it, in order."""
    for part in parts:
        if name in part.tensors:
            tensor = part.on(name, tensor)
    return tensor


def titles(parts: Sequence[Edit]) -> str:
    """What the edits do, in words, the last few of them."""
    said = ", then ".join(part.label for part in parts[-MAX_TITLES:])
    more = len(parts) - MAX_TITLES
    return f"{more} earlier edit{'s' * (more > 1)}, then {said}" if more > 0 else said


def as_edit(thing: Any) -> Edit:
    """Return an edit, or say what one is.

    Raises
    ------
    ViewError
        It is none.
    """
    if isinstance(thing, Edit):
        return thing
    import_all(PACKAGE)
    raise ViewError(
        f"What is added to a network or taken from it is an edit, not a {type(thing).__name__}. An edit is what a method such "
        f"as workbench.prune gives, or one of these made by hand: {', '.join(sorted(k.__name__ for k in KINDS.values()))}."
    )


class Editable(Generic[E]):
    """What edits are added to: ``+`` and ``-``, without a copy.

    Attributes
    ----------
    base : what was edited; itself where nothing was. edits : what was added to it, in order.
    """

    edits: tuple[Edit, ...] = ()

    @property
    def base(self) -> E:
        """What was edited; itself where nothing was."""
        return cast("E", self)

    def with_edits(self, edits: tuple[Edit, ...]) -> E:
        """Return the base under these edits, and under these alone.

        Raises
        ------
        MissingError, DataError
            An edit touches a tensor or a site that isn't there, or doesn't fit its shape.
        """
        raise NotImplementedError

    def undo(self) -> E:
        """Return what was there before the last edit.

        Raises
        ------
        MissingError
            There is none.
        """
        if not self.edits:
            raise MissingError("Nothing was edited here, so that there is nothing to undo.")
        return self.with_edits(self.edits[:-1])

    def __add__(self, edit: Edit) -> E:
        return self.with_edits((*self.edits, *as_edit(edit).parts))

    def __sub__(self, edit: Edit) -> E:
        return self.with_edits(tuple(without(self.edits, as_edit(edit))))


def edited_digest(base: str, edits: Sequence[Edit]) -> str:
    """Digest of something under edits."""
    return digest("edited", base, [part.digest for part in edits])


def kind_named(name: str) -> type[Edit]:
    """Return a kind of edit by its name: one that this process knows, a file of that name, or another package's.

    Raises
    ------
    MissingError
        There is none; near names are suggested.
    """
    return named(name, KINDS, PACKAGE, "kind of edit")


def load(path: str | Path) -> Edit:
    """Read an edit that `Edit.save` wrote; its arrays stay on disk until they are used.

    Raises
    ------
    FormatError
        The folder isn't an edit, its parts don't fit together, or they were changed after they were stored.
    """
    path = Path(path)
    try:
        facts = read_json(path / _FACTS)
        if is_sealed(facts):  # those of earlier versions aren't
            facts = unsealed(facts, path)
        os.close(open_plain(path / _ARRAYS))
        return _unpacked(facts, StoredTensors(path / _ARRAYS))
    except Exception as e:
        raise FormatError(
            f"{path} is not a saved edit ({type(e).__name__}: {e}). Make it again and save it."
        ) from e


def is_edit(path: str | Path) -> bool:
    """Whether a folder says that it is a saved edit."""
    return (Path(path) / _FACTS).is_file()


def _unpacked(facts: dict[str, Any], arrays: StoredTensors) -> Edit:
    if "parts" in facts:
        return Stack(
            tuple(_unpacked(part, arrays.under(f"{i}/")) for i, part in enumerate(facts["parts"])),
            title=facts["title"],
        )
    kind = kind_named(facts["kind"])
    values: dict[str, Any] = {}
    for f in dataclasses.fields(kind):
        if f.name in facts["tensors"]:
            values[f.name] = arrays.under(f"{f.name}/")
        elif f.name in facts["fields"]:
            value = facts["fields"][f.name]
            values[f.name] = tuple(value) if isinstance(value, list) else value
        elif f.name in arrays:
            values[f.name] = arrays[f.name]
    run = Run.from_json(facts["run"]) if facts["run"] else None
    return kind(**values, title=facts["title"], run=run)


def _fields_of(edit: Edit, cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(edit) if isinstance(getattr(edit, f.name), cls)]
