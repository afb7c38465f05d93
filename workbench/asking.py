"""What the inputs of a method are asked of: which part of a subject, what a network computes on texts, which rows.

A command and a panel are given things as a person has them, a network or a capture of many layers; a method wants one
layer's rows. Both go this way, so that what the one captured the other finds again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from workbench.core.errors import MissingError, ParameterError, ViewError, nearest
from workbench.core.inputs import Input
from workbench.core.method import Method
from workbench.core.parameters import Parameter, parameters_of
from workbench.core.patterns import matching
from workbench.core.registry import method as registered
from workbench.core.registry import methods, names
from workbench.core.result import Result
from workbench.core.subject import Rowed, Subject, as_subject, subjects
from workbench.core.view import View
from workbench.subjects.activations import Activations
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.network import Network
from workbench.subjects.points import PointCloud
from workbench.subjects.reading import Reading, Tokens

AUTO = "auto"  # all blocks of a network
SAMPLE = 1500  # rows that are drawn of a network's, where nobody says otherwise
TOGETHER = "the rows that the inputs have together"
Thing = Subject | Result | Network
Choose = Callable[[Input, Any, Any, str | None], str | None]
"""Called as ``choose(input, thing, narrowed, place)``: which of the parts of what is left after ``place`` was named, if it was;
None for the one that the subject itself takes."""


def captured(
    network: Checkpoint | Network,
    at: str = AUTO,
    *,
    corpus: Annotated[
        str, Doc("The texts that a network reads: a file, or 'default', which comes along.")
    ] = "default",
    column: Annotated[str, Doc("The column of the corpus that holds the text.")] = "text",
    split: Annotated[
        Literal["auto", "lines", "paragraphs"],
        Doc("Of a text file: what a text is; 'auto' takes paragraphs where empty lines part some."),
    ] = "auto",
    max_texts: Annotated[int, Ge(1), Doc("Texts that a network reads.")] = 400,
    capture_rows: Annotated[
        Literal["auto", "position", "sample"],
        Doc("Whether a row is a token ('position'), or a text averaged over its tokens ('sample')."),
    ] = "auto",
    capture_max_length: Annotated[int, Ge(4), Doc("Tokens of a text that are read.")] = 64,
) -> Activations:
    """Return what a network computes on texts, at its blocks or at what a pattern names."""
    from workbench.capturing import capture
    from workbench.io import corpus as open_corpus

    texts = open_corpus(corpus, column=column, split=split, max_texts=max_texts)
    return capture(network, texts, at=at, rows=capture_rows, max_length=capture_max_length)


def read(
    network: Checkpoint | Network,
    *,
    corpus: Annotated[
        str, Doc("The texts that a network reads: a file, or 'default', which comes along.")
    ] = "default",
    column: Annotated[str, Doc("The column of the corpus that holds the text.")] = "text",
    max_texts: Annotated[int, Ge(1), Doc("Texts that a network reads.")] = 400,
    capture_max_length: Annotated[int, Ge(4), Doc("Tokens of a text that are read.")] = 64,
) -> Reading:
    """Return a network with the texts that it reads, for a method that looks inside while it does."""
    from workbench.capturing import reading
    from workbench.io import corpus as open_corpus

    texts = open_corpus(corpus, column=column, max_texts=max_texts)
    return reading(network, texts, max_length=capture_max_length)


def chosen_rows(
    inputs: Sequence[Input],
    things: Sequence[Any],
    read: Collection[str] = (),
    *,
    select: Annotated[str | None, Doc("Only rows where this holds: 'position > 3'.")] = None,
    drop_nonfinite: Annotated[bool, Doc("Leave out rows with NaN or infinities.")] = False,
    sample: Annotated[
        int | None,
        Ge(1),
        Doc(f"At most so many rows, drawn at random; of a network's {SAMPLE:,} without it, else all."),
    ] = None,
    group_by: Annotated[
        str | None,
        Doc("Rows with the same value in this column belong together; by default text_id, sample or group."),
    ] = None,
) -> list[Any]:
    """Return the inputs with the rows that are asked about, the same ones of all whose rows belong together.

    Parameters
    ----------
    things : one an input, None where it was left out; those without rows stay as they are.
    read : names of the inputs that a network computed.

    Raises
    ------
    ParameterError
        Rows are to be chosen and nothing has any.
    MissingError
        No input has the columns that ``select`` asks about, or one lacks that of ``group_by``.
    """
    rowed = [i for i, thing in enumerate(things) if isinstance(thing, Rowed)]
    asked = {"select": select, "drop_nonfinite": drop_nonfinite, "sample": sample, "group_by": group_by}
    idle = [n for n, v in asked.items() if v and not any(hasattr(things[i], n) for i in rowed)]
    if idle:
        first = next(t for t in things if t is not None)
        raise ParameterError(
            f"{first.called} has no rows to choose from so ({first.holds}): leave {' and '.join(idle)} out."
        )
    out = list(things)
    together = [i for i in rowed if inputs[i].paired]
    for group in filter(None, [together, *([i] for i in rowed if not inputs[i].paired)]):
        drawn = sample or (SAMPLE if any(inputs[i].name in read for i in group) else None)
        made = _rows([things[i] for i in group], select, drop_nonfinite, drawn)
        for i, thing in zip(group, made, strict=True):
            out[i] = thing if group_by is None else thing.group_by(group_by)
    return out


def chosen_columns(
    thing: Any,
    *,
    columns: Annotated[
        tuple[str, ...] | None,
        Doc(
            "Columns of a table that are coordinates; by default one of vectors, else numbers that are no ids, times or labels."
        ),
    ] = None,
    labels: Annotated[
        tuple[str, ...] | None,
        Doc("Columns of a table to keep as labels; by default all that are no coordinates."),
    ] = None,
    id: Annotated[str | None, Doc("Column of a table that names the rows.")] = None,
) -> Any:
    """Return a cloud that was a table with other columns as coordinates; anything else as it is."""
    if not has_columns(thing):
        return thing
    return thing.with_columns(columns, labels, id)


def has_columns(thing: Any) -> bool:
    """Whether it was a table, whose columns can be chosen."""
    return isinstance(thing, PointCloud) and bool(thing.columns)


READING: dict[str, Parameter] = parameters_of(captured)
"""How a network is read whose activations are captured, for whoever asks a person."""
TEXTS: dict[str, Parameter] = parameters_of(read)
"""How one is read that a method looks into itself."""
ROWS: dict[str, Parameter] = parameters_of(chosen_rows)
"""Which rows are asked about."""
TABLE: dict[str, Parameter] = parameters_of(chosen_columns)
"""Which columns of a table are coordinates."""


def open_named(what: Any, *, kind: str | None = None, **columns: Any) -> Any:
    """Open whatever a person names: a path, a captured store, a kept answer, a bundled network, or a source, which is run.

    What is no name is opened as it is: a table, an array, a module.

    Parameters
    ----------
    kind, columns : as keywords of `workbench.open`.

    Raises
    ------
    MissingError
        It is none of these.
    """
    from workbench.capturing.store import MANIFEST, TABLE, open_store
    from workbench.core.result import load
    from workbench.io import open as open_subject

    if not isinstance(what, str | os.PathLike):
        return open_subject(what, kind=kind, **columns)
    what = os.fspath(what)
    name = what.replace("-", "_")
    if all(os.path.isfile(os.path.join(what, part)) for part in (MANIFEST, TABLE)):
        return open_store(what)
    if os.path.isfile(os.path.join(what, "result.json")):
        return load(what)
    if not os.path.exists(what) and name in names() and (source := registered(name)).verb == "source":
        return source()
    try:
        return open_subject(what, kind=kind, **columns)
    except MissingError as e:
        if Path(what).suffix or "/" in what:
            raise
        near = nearest(what, [m.name for m in methods() if m.verb == "source"])
        raise MissingError(f"{e} Among the sources: {near}" if near else str(e)) from None


def taken(thing: Any) -> Thing:
    """Return what a user passes as something that can be asked.

    Raises
    ------
    ViewError
        It is none.
    """
    from workbench.io.series import is_series

    if is_series(thing):
        return open_named(thing)
    return thing if isinstance(thing, Result | Network) else as_subject(thing)


def called(thing: Thing) -> str:
    """What it is called, in titles and messages."""
    return thing.name if isinstance(thing, Network) else thing.called


def view_of(spec: Input) -> type[View] | None:
    """The view that an input takes, or None for one that takes a subject or a result itself."""
    return spec.takes if issubclass(spec.takes, View) else None


def givers(spec: Input) -> list[type[Subject]]:
    """The classes of subject that can be asked as this input, whole."""
    return [cls for cls in subjects() if _gives(spec, cls)]


def reads(spec: Input, thing: Any) -> bool:
    """Whether it is a network, and the input is asked of what it computes."""
    callable_network = isinstance(thing, Network) or (isinstance(thing, Checkpoint) and thing.has_network)
    return (
        callable_network
        and not _gives(spec, type(thing))
        and (looks_inside(spec) or _gives(spec, Activations))
    )


def looks_inside(spec: Input) -> bool:
    """Whether it takes a network together with the texts that it reads, rather than what was captured of that."""
    return issubclass(spec.takes, Tokens)


def parts(spec: Input, thing: Any) -> tuple[str, ...]:
    """What there is to choose from, where the input is of one part of several."""
    view = view_of(spec)
    return thing.parts(view) if view is not None and isinstance(thing, Subject) else ()


def narrows(spec: Input, thing: Any) -> bool:
    """Whether a part, or several by a pattern, can be named of it."""
    captures = reads(spec, thing) and not looks_inside(spec)
    return captures or (isinstance(thing, Subject) and view_of(spec) in thing.narrows)


def suits(spec: Input, thing: Any) -> bool:
    """Whether a method can be asked of it as this input: whole, of a part, or of what it computes."""
    return _gives(spec, type(thing)) or bool(parts(spec, thing)) or reads(spec, thing)


def require(spec: Input, thing: Any, method: str) -> None:
    """Refuse what doesn't suit.

    Raises
    ------
    ViewError
        With what the input takes, what this holds instead, and where to get the other.
    """
    if suits(spec, thing):
        return
    if isinstance(thing, Checkpoint) and _gives(spec, Activations):
        thing.network()  # which says that its architecture isn't known
    if issubclass(spec.takes, Result) and not isinstance(thing, Network):
        makers = [m.name for m in methods() if isinstance(m.gives, type) and issubclass(m.gives, spec.takes)]
        shown = ", ".join(makers[:8]) + (" ..." if len(makers) > 8 else "")
        raise ViewError(
            f"{method} takes {spec.needs} as {spec.name}; {thing.called} is {thing.holds}. "
            + (f"One comes from: {shown}." if makers else "No method here gives one.")
        )
    spec.accept(thing, method)


def expected(spec: Input, thing: Any) -> Any:
    """What `parts` and a default are known of beforehand: the thing, or for a network that is read what a capture will hold."""
    if not reads(spec, thing) or looks_inside(spec):
        return thing
    import pandas as pd

    if thing.digest not in _blocks:
        from workbench.numerics.hooks import blocks

        network = thing.shared_network() if isinstance(thing, Checkpoint) else thing
        _blocks[thing.digest] = tuple(blocks(network.module))
    return Activations(
        {site: np.empty((0, 1), np.float32) for site in _blocks[thing.digest]},
        pd.DataFrame(index=pd.RangeIndex(0)),
        name=thing.name,
    )


_blocks: dict[str, tuple[str, ...]] = {}
"""By digest of the network: building one takes seconds."""


def prepare(
    method: Method,
    things: Sequence[Any],
    choose: Choose,
    *,
    places: Mapping[str, str] | None = None,
    reading: Mapping[str, Any] | None = None,
    rows: Mapping[str, Any] | None = None,
    table: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Return what a method is called with.

    Parameters
    ----------
    things : one an input, as `taken` gives it; None for one that is left out.
    choose : asked where an input is of one part and several are left.
    places : name of an input to what `Subject.at` takes, for those where a part was named.
    reading, rows, table : keywords of `captured` (or `read`), `chosen_rows` and `chosen_columns`.

    Raises
    ------
    ViewError
        One of the things doesn't suit.
    MissingError
        There is no such place; near names are suggested.
    """
    found: list[Any] = []
    captures: list[str] = []
    if any(v is not None for v in (table or {}).values()):
        things = [None if thing is None else chosen_columns(thing, **(table or {})) for thing in things]
    for spec, thing in zip(method.inputs, things, strict=True):  # all of them, before the first is captured
        if thing is not None:
            require(spec, thing, method.name)
            _require_place(spec, thing, (places or {}).get(spec.name))
    for spec, thing in zip(method.inputs, things, strict=True):
        if thing is None:
            found.append(None)
            continue
        place = (places or {}).get(spec.name)
        narrowed = thing
        if reads(spec, thing) and looks_inside(spec):
            found.append(read(thing, **{n: v for n, v in (reading or {}).items() if n in TEXTS}))
            continue
        if reads(spec, thing):
            captures.append(spec.name)
            place = _one_of(spec, thing, place, choose)
            narrowed = captured(thing, place or AUTO, **(reading or {}))
        elif place is not None:
            narrowed = thing.at(place)
        left = parts(spec, narrowed)
        if left:
            part = left[0] if len(left) == 1 else choose(spec, thing, narrowed, place)
            narrowed = narrowed.at(part or narrowed.default_part(view_of(spec)) or left[-1])
        found.append(narrowed)
    return chosen_rows(method.inputs, found, captures, **(rows or {}))


def _require_place(spec: Input, thing: Any, place: str | None) -> None:
    """Refuse a place that isn't there before anything is computed."""
    if place is None or place == AUTO:
        return
    if reads(spec, thing):
        from workbench.capturing.sites import wanted

        network = thing.shared_network() if isinstance(thing, Checkpoint) else thing
        wanted(network.module, [place], attention=False)
    else:
        thing.at(place)


def _one_of(spec: Input, thing: Any, place: str | None, choose: Choose) -> str | None:
    """Narrow a pattern that means several blocks where one is asked for, before all of them are captured."""
    ahead = expected(spec, thing)
    if place is None or not matching(ahead.sites, place):
        return place
    narrowed = ahead.at(place)
    several = len(parts(spec, narrowed)) > 1
    return (choose(spec, thing, narrowed, place) if several else None) or place


def _gives(spec: Input, cls: type) -> bool:
    """Whether things of a class are what the input takes, or give it."""
    view = view_of(spec)
    return issubclass(cls, spec.takes) if view is None else hasattr(cls, f"as_{view.__name__.lower()}")


def _rows(group: list[Any], select: str | None, drop_nonfinite: bool, sample: int | None) -> list[Any]:
    """Choose rows of several things at once."""
    made = group if select is None else _selected(group, select)
    if drop_nonfinite:
        made = [t.drop_nonfinite() if hasattr(t, "drop_nonfinite") else t for t in made]
    if len(group) == 1:
        return made if sample is None else [made[0].sample(sample)]
    by_id = len({t.space for t in group}) == 1
    if made is not group and not by_id and len({len(t) for t in group}) == 1:
        # rows that belong together by their order: what one has lost, none keeps
        kept = np.logical_and.reduce([np.isin(t.ids, m.ids) for t, m in zip(group, made, strict=True)])
        made = [
            m if len(m) == kept.sum() else m.select(t.ids[kept], reason=TOGETHER)
            for t, m in zip(group, made, strict=True)
        ]
    if sample is None:
        return made
    if not by_id or all(np.array_equal(m.ids, made[0].ids) for m in made):
        return [m.sample(sample) for m in made]
    drawn = made[0].select(reduce(np.intersect1d, [m.ids for m in made]), reason=TOGETHER).sample(sample)
    return [drawn, *(m.select(drawn.ids, reason=TOGETHER) for m in made[1:])]


def _selected(group: list[Any], query: str) -> list[Any]:
    """The rows of a query, of each thing that has its columns."""
    made, refusals = [], []
    for thing in group:
        try:
            made.append(thing.select(query))
        except MissingError as e:
            refusals.append(e)
            made.append(thing)
    if len(refusals) == len(group):
        raise refusals[0]
    return made
