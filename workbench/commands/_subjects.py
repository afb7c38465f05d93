"""From what is typed as the inputs of a method to what it is asked of."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import click

from workbench.commands._options import option
from workbench.commands.console import clean

if TYPE_CHECKING:
    from workbench.core.inputs import Input
    from workbench.core.method import Method
    from workbench.subjects.checkpoint import Checkpoint

LISTED = 40  # parts that are named where one is to be chosen


def arguments(method: Method) -> list[click.Argument]:
    """What stands behind the method's name: its inputs, in order."""
    return [
        click.Argument(
            [f"_input{i}"],
            metavar=f"[{spec.name.upper()}]" if spec.optional else spec.name.upper(),
            required=not spec.optional,
        )
        for i, spec in enumerate(method.inputs)
    ]


def options(method: Method) -> list[click.Option]:
    """The options that say what exactly of the inputs is asked about; which there are depends on what can give them."""
    if method.verb != "analysis":
        return []
    from workbench import asking
    from workbench.core.subject import Rowed, subjects
    from workbench.subjects.activations import Activations
    from workbench.subjects.points import PointCloud

    givers = {cls for spec in method.inputs for cls in asking.givers(spec)}
    parts = [
        cls.narrows[view]
        for spec in method.inputs
        for cls in subjects()
        if (view := asking.view_of(spec)) is not None and view in cls.narrows
    ]
    found = [_at(method, list(dict.fromkeys(parts)))] if parts else []
    if Activations in givers:
        found += [option(p, method.name) for p in asking.READING.values()]
    elif any(map(asking.looks_inside, method.inputs)):
        found += [option(p, method.name) for p in asking.TEXTS.values()]
    rowed = [cls for cls in givers if issubclass(cls, Rowed)]
    able = [p for n, p in asking.ROWS.items() if any(hasattr(cls, n) for cls in rowed)]
    if PointCloud in givers:
        found += [option(p, method.name) for p in asking.TABLE.values()]
    return found + [option(p, method.name) for p in able]


def _at(method: Method, examples: Sequence[str]) -> click.Option:
    said = f"Which part is asked about, such as {' or '.join(examples)}."
    if len(method.inputs) > 1:
        said += (
            f" Of one input alone: --at {method.inputs[0].name}={examples[0]}; may be given several times."
        )
    return click.Option(["--at"], multiple=True, metavar="[NAME=]PART", help=said)


def open_for(what: str, spec: Input, table: Mapping[str, Any] | None = None) -> Any:
    """Open what was typed for one input: a file that could be several things as one that suits.

    ``table`` says which columns are what, where it is a table.
    """
    from workbench import asking
    from workbench.core.errors import WorkbenchError
    from workbench.io.opening import Kind, is_table
    from workbench.io.opening import open as open_subject

    if table and is_table(what):
        return open_subject(what, **table)
    opened = asking.open_named(what)
    if asking.suits(spec, opened) or not os.path.isfile(what):
        return opened
    for kind in get_args(Kind):
        try:
            other = asking.open_named(what, kind=kind)
        except WorkbenchError:  # it isn't that
            continue
        if asking.suits(spec, other):
            return other
    return opened


def prepare(
    method: Method, typed: Sequence[str | None], *, at: Sequence[str] = (), **asked: Any
) -> list[Any]:
    """Open what was typed and narrow it to what a method is asked about, one an input.

    Raises
    ------
    ParameterError
        An option that none of these has a use for.
    """
    from workbench import asking

    table = {n: v for n, v in asked.items() if n in asking.TABLE}
    things = [
        None if what is None else open_for(what, spec, table)
        for what, spec in zip(typed, method.inputs, strict=True)
    ]
    there = [(spec, thing) for spec, thing in zip(method.inputs, things, strict=True) if thing is not None]
    for spec, thing in there:
        asking.require(spec, thing, method.name)
    if table and not any(asking.has_columns(thing) for _, thing in there):
        _refuse(there[0][1], "has no columns to choose from", table)
    reading = {n: v for n, v in asked.items() if n in asking.READING}
    if reading and not any(asking.reads(spec, thing) for spec, thing in there):
        _refuse(there[0][1], "reads no text", reading)
    return asking.prepare(
        method,
        things,
        lambda *args: _choose(method, *args),
        places=_places(method, there, at),
        reading=reading,
        rows={n: v for n, v in asked.items() if n in asking.ROWS},
    )


def _places(method: Method, there: list[tuple[Input, Any]], at: Sequence[str]) -> dict[str, str]:
    """What ``--at`` says of each input: of the one that it names, else of all that have parts."""
    from workbench import asking
    from workbench.core.errors import ParameterError

    named: dict[str, str] = {}
    for_all = []
    for place in at:
        name, equals, part = place.partition("=")
        if equals and name in (spec.name for spec in method.inputs):
            named[name] = part
        else:
            for_all.append(place)
    if len(for_all) > 1:
        first = shlex.quote(f"{method.inputs[0].name}={for_all[0]}")
        raise ParameterError(
            f"--at {' and --at '.join(for_all)} are said of the same inputs. Say which is meant: --at {first}."
        )
    able = {spec.name: thing for spec, thing in there if asking.narrows(spec, thing)}
    for spec, thing in there:
        if spec.name in named and spec.name not in able:
            _refuse(thing, "has no parts to choose from", {"at": named[spec.name]})
    if absent := [name for name in named if name not in (spec.name for spec, _ in there)]:
        raise ParameterError(f"--at {absent[0]}={named[absent[0]]}: {absent[0]} was left out.")
    if for_all and not able:
        _refuse(there[0][1], "has no parts to choose from", {"at": for_all[0]})
    return {**{name: place for place in for_all for name in able}, **named}


def _choose(method: Method, spec: Input, thing: Any, narrowed: Any, place: str | None) -> str:
    """Take the part that the subject itself takes where none was named, and say so; refuse where it takes none."""
    from workbench import asking
    from workbench.core.errors import ParameterError

    left = asking.parts(spec, narrowed)
    of = f"{spec.name}=" if len(method.inputs) > 1 else ""
    names = ", ".join(left[:LISTED]) + (" ..." if len(left) > LISTED else "")
    example = f"for example --at {shlex.quote(of + (asking.parts(spec, thing) or left)[-1])}"
    if place is not None:
        raise ParameterError(
            f"--at {of}{place} means {len(left)} parts ({names}) and {method.name} is asked of one: name it, {example}."
        )
    chosen = narrowed.default_part(spec.takes)
    if chosen is None:
        raise ParameterError(
            f"{narrowed.called} holds {len(left)} parts that {method.name} can be asked of, one at a time: choose it with --at, "
            f"{example}."
        )
    told = f"Asked of {chosen}, one of {len(left)} parts of {narrowed.called}; --at {of}PART chooses another: {names}."
    click.echo(clean(told), err=True)
    return chosen


def _refuse(thing: Any, why: str, given: dict[str, Any]) -> None:
    from workbench.core.errors import ParameterError

    wrong = [f"--{k.replace('_', '-')}" for k in given]
    if wrong:
        raise ParameterError(f"{thing.called} {why} ({thing.holds}): leave {' and '.join(wrong)} out.")


def open_checkpoint(what: str) -> Checkpoint:
    """Open a file or folder of named weights, or a bundled network by its name.

    Raises
    ------
    ViewError
        It is something else.
    """
    from workbench import asking
    from workbench.core.errors import ViewError
    from workbench.subjects.checkpoint import Checkpoint

    opened = asking.open_named(what)
    if not isinstance(opened, Checkpoint):
        raise ViewError(
            f"{opened.called} is {opened.holds}; this takes a checkpoint (a file or folder of named weights, or minilm)."
        )
    return opened
