"""Inputs: the positional arguments of a method. The annotation of each says what it takes."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np
from typing_extensions import Doc

from workbench.core.errors import DataError, MissingError, ViewError
from workbench.core.result import Result
from workbench.core.subject import Subject, as_subject, subjects
from workbench.core.view import Rows, View


class Unpaired:
    """Marks an input whose rows are not those of the others: ``Annotated[Points, Unpaired]``."""


@dataclass(frozen=True)
class Input:
    """One positional argument of a method.

    Attributes
    ----------
    name : as written in the signature.
    takes : a view, a class of subject (`Checkpoint`), or a kind of result (`Ranking`).
    optional : whether it may be left out (its default is None).
    paired : whether its rows are brought to those of the other paired inputs; see `align`.
    help : what it is for, where the method says so (``Doc``).
    """

    name: str
    takes: type[View] | type[Subject] | type[Result]
    optional: bool = False
    paired: bool = True
    help: str = ""

    @property
    def needs(self) -> str:
        """What it takes, in words."""
        return self.takes.needs + (", or nothing" if self.optional else "")

    @property
    def in_columns(self) -> bool:
        """Whether it takes samples in rows and what was measured of them in columns, as scikit-learn's ``X`` is."""
        return issubclass(self.takes, Rows) and self.takes.in_columns

    def accept(self, thing: Any, method: str) -> Subject | Result:
        """Return what a user passed as a subject or a result, if the method can be asked of it.

        Raises
        ------
        ViewError
            It can't give what is needed; what it does hold is said.
        """
        found = thing if isinstance(thing, Result) else as_subject(thing)
        if isinstance(found, self.takes) or hasattr(type(found), f"as_{self.takes.__name__.lower()}"):
            return found
        if issubclass(self.takes, View):
            found.view(self.takes)  # which refuses
        else:
            raise ViewError(f"{method} takes {self.needs} as {self.name}; {found.called} is {found.holds}.")
        return found

    def of(self, found: Subject | Result) -> Any:
        """Return what the method's function is called with: the thing itself where it is what is taken, or the view."""
        return found if isinstance(found, self.takes) else found.view(self.takes)


def seen_digest(value: Any) -> str:
    """Digest of what a method sees: of a network what it is now, since a module can be changed by anybody."""
    return getattr(value, "identity", "") or value.digest


def example(spec: Input, variant: int = 0) -> Subject | Result:
    """Return a small thing that an input can be asked of, as the subjects and kinds give them of themselves.

    Raises
    ------
    MissingError
        No subject that is known gives such a view.
    """
    if not issubclass(spec.takes, View):
        found = spec.takes.example(variant)
        if found is not None:
            return found
    else:
        for cls in sorted(
            subjects(), key=lambda c: c.__module__ != spec.takes.__module__
        ):  # beside the view first
            if not hasattr(cls, f"as_{spec.takes.__name__.lower()}") and cls.parts is Subject.parts:
                continue
            made = cls.example(variant)
            if made is not None and (part := _giving(made, spec.takes)) is not None:
                return part
    raise MissingError(f"No subject gives an example of {spec.needs}: its class has to define example().")


def _giving(made: Subject, kind: type[View]) -> Subject | None:
    """The subject, or its likeliest part, that gives a view."""
    names = made.parts(kind)
    found = made.at(names[-1]) if names else made
    return found if kind.__name__ in found.gives else None


def inputs_of(function: Callable[..., Any]) -> tuple[Input, ...]:
    """Read the positional parameters of a method.

    Raises
    ------
    TypeError
        One is annotated with something that is no view, subject or kind of result: a mistake of the method's author.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.KEYWORD_ONLY:
            continue
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) or p.default not in (p.empty, None):
            raise TypeError(
                f"{function.__name__}: {p.name} must be one input, with no default or None; parameters stand behind a *"
            )
        found.append(_read(p.name, hints.get(p.name), p.default is None, function.__name__))
    return tuple(found)


def _read(name: str, annotation: Any, optional: bool, method: str) -> Input:
    metadata: list[Any] = []
    while (origin := get_origin(annotation)) in (Annotated, Union, types.UnionType):
        if origin is Annotated:
            annotation, *rest = get_args(annotation)
            metadata += rest
        else:
            annotation = next(a for a in get_args(annotation) if a is not type(None))
    if not (isinstance(annotation, type) and issubclass(annotation, View | Subject | Result)):
        raise TypeError(
            f"{method}: the input {name} must be annotated with a view, a subject or a kind of result, not {annotation!r}"
        )
    help_text = next((m.documentation for m in metadata if isinstance(m, Doc)), "")
    return Input(name, annotation, optional, Unpaired not in metadata, help_text)


def align(views: Sequence[Any], names: Sequence[str]) -> tuple[list[Any], str]:
    """Bring several inputs to the same rows, in the first one's order.

    Rows of one set of ids (two captures of one corpus, a selection and its whole) are brought together by id. Rows of
    other sets (an array and a table) have only their order in common, and must be equally many.

    Parameters
    ----------
    views : what the function is to be called with; those without rows are left as they are.
    names : what each is called, for refusals.

    Returns
    -------
    list, str
        The views with the same rows, and how they were brought together, in words; "" where fewer than two have rows.

    Raises
    ------
    DataError
        They have no row in common, or other numbers of rows and nothing that says which belong together.
    """
    rowed = [i for i, v in enumerate(views) if getattr(v, "rowwise", ()) and len(getattr(v, "ids", ()))]
    if len(rowed) < 2:
        return list(views), ""
    first = views[rowed[0]]
    out = list(views)
    if all(views[i].space == first.space for i in rowed):
        common = first.ids
        for i in rowed[1:]:
            common = common[np.isin(common, views[i].ids)]
        if not len(common):
            raise DataError(
                f"{' and '.join(names[i] for i in rowed)} have no row in common: their ids are disjoint."
            )
        for i in rowed:
            if not np.array_equal(views[i].ids, common):
                out[i] = views[i].take(_positions(views[i].ids, common))
        whole = max(len(views[i].ids) for i in rowed)
        left = f" of {whole:,}" if whole != len(common) else ""
        return out, f"by row id, {len(common):,}{left} rows in common"
    counts = {len(views[i].ids) for i in rowed}
    if len(counts) > 1:
        said = ", ".join(f"{names[i]} {len(views[i].ids):,}" for i in rowed)
        raise DataError(
            f"Rows of different ids are brought together by their order, and these are not equally many: {said}. "
            "Select the same rows of each first."
        )
    return out, f"by order, since their row ids are of different sets ({counts.pop():,} rows each)"


def _positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(ids, kind="stable")
    return order[np.searchsorted(ids[order], wanted)]


def bind(inputs: Sequence[Input], args: Sequence[Any], method: str) -> list[Subject | Result | None]:
    """Match what a user passed to the inputs of a method, None for those that are left out.

    Raises
    ------
    TypeError
        Too few or too many.
    ViewError
        One of them can't be asked; see `Input.accept`.
    """
    needed = sum(not i.optional for i in inputs)
    if not needed <= len(args) <= len(inputs):
        takes = "nothing" if not inputs else " and ".join(f"{i.name} ({i.needs})" for i in inputs)
        raise TypeError(f"{method} takes {takes}, and then keywords; it was given {len(args)} inputs.")
    found: list[Subject | Result | None] = [
        None if thing is None and spec.optional else spec.accept(thing, method)
        for spec, thing in zip(inputs, args, strict=False)
    ]
    return found + [None] * (len(inputs) - len(args))


def rows_of(views: Sequence[Any]) -> tuple[str, Any]:
    """The set of row ids that an answer about these views speaks of, and the row table: those of the first that has rows."""
    for view in views:
        if isinstance(view, Rows):
            return view.space, view.table
    spaces = [getattr(v, "space", "") for v in views]
    return (spaces[0] if spaces else ""), next((v.table for v in views if hasattr(v, "table")), None)
