"""Lineage: how a subject or a result came to be, as runs, and as the Python that makes it again.

What a subject came from is written down when it is made and turned into a `Run` when somebody asks, since the digest of
a large input is computed only then.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import numpy as np

from workbench.core.digest import digest
from workbench.core.run import Given, Run, now

P = ParamSpec("P")
R = TypeVar("R")

_OBJECTS = itertools.count(1)
_ARM = "\x1f"  # between an arm's number and a name in it
ITEMS_KEPT, CHARACTERS_KEPT = 100, 2000  # of a list and of a text; more of them are an input of their own
IDS_KEPT = 5000  # of a selection; a larger one is known by its digest
OBJECT = "object "  # begins the digest of what has none
SEVERAL = ("analysis", "list", "dict", "arms")  # verbs of what is made of all its inputs alike


class Made(Protocol):
    """What has a lineage: a subject, a result, an edit."""

    @property
    def called(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def run(self) -> Run | None: ...


@dataclass(frozen=True)
class InMemory:
    """Something that was given and has no lineage: a module, an array, batches."""

    called: str
    digest: str
    kind: str
    run: None = None

    @classmethod
    def of(cls, thing: Any) -> InMemory:
        """Whatever it is; an array is known by its digest, anything else by a number of its own."""
        if isinstance(thing, np.ndarray):
            return cls(f"array {thing.shape} of {thing.dtype}", digest(thing), "ndarray")
        return cls(type(thing).__name__, f"{OBJECT}{next(_OBJECTS)}", type(thing).__name__)


@dataclass(frozen=True)
class Origin:
    """What made a subject, before digests are known; see `Run` for what each is."""

    method: str
    inputs: Mapping[str, Made] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    verb: str = "function"
    chosen: tuple[str, ...] | None = None
    started: str = field(default_factory=now)

    def run(self) -> Run:
        """The run that this stands for; digests of the inputs are computed now."""
        return Run(
            method=self.method,
            inputs=tuple(given(name, thing) for name, thing in self.inputs.items()),
            parameters=dict(self.parameters),
            chosen=tuple(self.parameters) if self.chosen is None else self.chosen,
            verb=self.verb,
            started=self.started,
        )


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function of the package a step of lineage: what it returns says what it was called with.

    Arguments with a lineage of their own, and whatever can't be written down as a text or numbers, are its inputs; the
    rest are its parameters.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        made = function(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        chosen = tuple(
            n for n, v in bound.arguments.items() if _plain(v) and v is not signature.parameters[n].default
        )
        bound.apply_defaults()
        parameters = {n: _written(v) for n, v in bound.arguments.items() if _plain(v)}
        inputs = {
            n: v if hasattr(v, "made_by") else InMemory.of(v)
            for n, v in bound.arguments.items()
            if not _plain(v)
        }
        cast("Any", made).made_by(Origin(function.__name__, inputs, parameters, chosen=chosen))
        return made

    return call


def _plain(value: Any) -> bool:
    """Whether a value can be written down in a line of Python."""
    if isinstance(value, list | tuple):
        return len(value) <= ITEMS_KEPT and all(map(_plain, value))
    if isinstance(value, str) and len(value) > CHARACTERS_KEPT:
        return False
    return value is None or isinstance(value, str | int | float | bool | os.PathLike)


def _written(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_written, value))
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def given(name: str, thing: Made, digest: str = "") -> Given:
    """One input of a run: what it is called, its digest (or that of what was seen of it) and how it came to be."""
    kind = thing.kind if isinstance(thing, InMemory) else type(thing).__name__
    return Given(name, thing.called, kind, digest or thing.digest, thing.run)


def roots(run: Run) -> list[str]:
    """Return what an answer was asked of in the end: digests of what was opened, made or given in memory, each once."""
    return list(dict.fromkeys(root for item in run.inputs for root in _roots(item)))


def _followed(run: Run | None) -> tuple[Given, ...]:
    """The inputs whose rows and numbers something is: the network of a capture and not its texts, a selection's whole."""
    return () if run is None else run.inputs if run.verb in SEVERAL else run.inputs[:1]


def _roots(item: Given) -> list[str]:
    found = [root for further in _followed(item.run) for root in _roots(further)]
    # a module is known by a number of its own in this process: what was made with it has a digest
    return found or ([] if item.digest.startswith(OBJECT) else [item.digest])


def _steps(item: Given) -> Iterator[Run]:
    """Every step between a root and what was given, the latest first."""
    if item.run is not None:
        yield item.run
    for further in _followed(item.run):
        yield from _steps(further)


def part_asked(run: Run) -> tuple[str, str]:
    """Which part (layer, step, head: what ``at`` chose) of which whole a run was asked of.

    Returns
    -------
    whole, part : digests. Runs of one method whose wholes are equal were asked of parts of one thing, come to alike.
    """
    steps = [link for item in run.inputs for link in _steps(item)]
    places = [link.parameters for link in steps if link.method == "at"]
    others = [[link.method, {} if link.method == "at" else link.parameters] for link in steps]
    return digest(run.method, roots(run), others), digest(places)


def chosen_by_looking(run: Run) -> str:
    """Say why what a run asks can't be tested on its data, where they are what it was chosen by; "" where it can.

    Rows that were chosen by their ids, as a lasso or a click does, were chosen by what they look like: that they lie
    together is no news. A query, a sample, and a selection that says its reason are none of that. Nor can labels that were
    found in rows be tested on these rows.
    """
    columns = {v for v in run.parameters.values() if isinstance(v, str)}
    for item in run.inputs:
        queried: set[str] = set()
        for link in (one for one in _steps(item) if one.verb == "call"):
            said = link.parameters
            if link.method == "select" and isinstance(said.get("rows"), str):
                queried |= set(re.findall(r"\w+", said["rows"]))
            elif link.method == "select" and not said.get("reason"):
                many = f"{len(said['rows']):,} " if "rows" in said else ""  # else too many to be written down
                return (
                    f"these rows were chosen by looking at them: {many}rows of {link.inputs[0].title}, by their ids. Choose "
                    "by a query or sample() to test, or say select(ids, reason=...) where their numbers weren't the reason"
                )
            if link.method == "with_label" and said.get("name") in columns | queried:
                labels = link.inputs[1]
                if set(_roots(labels)) & set(_roots(item)):
                    return f"the labels {said['name']!r} were found in these rows: {labels.title}"
    return ""


def code(run: Run) -> str:
    """Return the Python that makes an answer again from the files and sources that it began with.

    What was made in memory has no code: its line says what belongs there.
    """
    lines = ["import workbench as wb", ""]
    names: dict[str, str] = {}
    chain = list(run.chain())
    for link in chain:
        arguments = []
        for item in link.inputs:
            if item.run is not None:
                arguments.append(names[item.run.key])
                continue
            if item.digest not in names:
                names[item.digest] = f"given{1 + sum(n.startswith('given') for n in names.values())}"
                what = " ".join(item.title.split())  # one line, whatever a stranger called it
                lines.append(f"{names[item.digest]} = ...  # {item.kind} {what}, made in memory: put it here")
            arguments.append(names[item.digest])
        count = 1 + sum(n.startswith("step") for n in names.values())
        names[link.key] = "result" if link is chain[-1] else f"step{count}"
        lines.append(f"{names[link.key]} = {_call(link, arguments)}")
    return "\n".join(lines) + "\n"


def _call(link: Run, arguments: list[str]) -> str:
    values = {name: link.parameters[name] for name in link.chosen if name in link.parameters}
    rest = [repr(v) for v in values.pop("*", ())] + [f"{k}={v!r}" for k, v in values.items()]
    if link.verb == "loop":
        return (
            f"...  # a loop of your own inside wb.{link.method}({', '.join(rest)}): put its trajectory here"
        )
    if link.verb == "sum":
        return " + ".join(arguments)
    if link.verb == "list":
        return f"wb.{link.method}([{', '.join(arguments)}]{''.join(f', {r}' for r in rest)})"
    if link.verb == "dict":
        named = dict(zip((i.name for i in link.inputs), arguments, strict=True))
        return f"wb.{link.method}({_dict(named)}{''.join(f', {r}' for r in rest)})"
    if link.verb == "arms":
        own, arms = _arms(link, arguments)
        return f"wb.{link.method}({_dict(own)}, untrained=[{', '.join(map(_dict, arms))}]{''.join(f', {r}' for r in rest)})"
    if link.verb == "call":
        owner, *others = arguments
        return f"{owner}.{link.method}({', '.join([*others, *rest])})"
    return f"wb.{link.method}({', '.join([*arguments, *rest])})"


def arm(i: int, name: str) -> str:
    """What an input is called that is one of the ``i``-th further arm, in a run of the verb ``arms``."""
    return f"{i}{_ARM}{name}"


def _arms(link: Run, arguments: list[str]) -> tuple[dict[str, str], list[dict[str, str]]]:
    own: dict[str, str] = {}
    arms: dict[str, dict[str, str]] = {}
    for item, argument in zip(link.inputs, arguments, strict=True):
        i, separator, name = item.name.rpartition(_ARM)
        if separator:
            arms.setdefault(i, {})[name] = argument
        else:
            own[name] = argument
    return own, list(arms.values())


def _dict(named: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{n!r}: {a}' for n, a in named.items())}}}"
