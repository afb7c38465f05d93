"""What the inputs of a method are asked of: what was given, or what the notebook holds, and which part of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets

from widgets import _html
from widgets.controls import NAME_WIDTH, WIDTH
from workbench import asking
from workbench.core.errors import ParameterError
from workbench.core.inputs import Input
from workbench.core.method import Method
from workbench.core.result import Result
from workbench.core.subject import Subject

LEFT_OUT = "(left out)"


@dataclass(frozen=True)
class Choice:
    """One thing that an input may be asked of, and the part of it, where it has several."""

    label: str
    thing: Any
    part: str | None = None

    @property
    def said(self) -> str:
        """What it is, in words."""
        return asking.called(self.thing) + (f" · {self.part}" if self.part else "")


class Chooser:
    """One input's choice.

    Attributes
    ----------
    spec : the input.
    dropdown : what to choose from; None where nothing is left to choose.
    """

    def __init__(self, spec: Input, choices: Sequence[Choice], at: int = 0, description: str = ""):
        self.spec = spec
        self._choices = choices
        self.dropdown: ipywidgets.Dropdown | None = None
        if description:
            self.dropdown = part_dropdown([c.label for c in choices], at, description)

    @property
    def chosen(self) -> Choice:
        """What the input is asked of at present."""
        return self._choices[0 if self.dropdown is None else self.dropdown.index]


def part_dropdown(labels: Sequence[str], at: int, description: str) -> ipywidgets.Dropdown:
    """Return the list from which a part is chosen."""
    return ipywidgets.Dropdown(
        options=labels,
        index=at,
        description=description,
        style={"description_width": NAME_WIDTH},
        layout=WIDTH,
    )


def choosers(method: Method, given: Sequence[Any]) -> dict[str, Chooser]:
    """Return a chooser for each input, by its name; what doesn't suit is refused now rather than when the method is run.

    Raises
    ------
    ParameterError
        More was given than there are inputs, or one is missing that nothing in the notebook can stand for.
    ViewError
        What was given can't give what an input takes.
    """
    if len(given) > len(method.inputs):
        raise ParameterError(
            f"{method.name} is a source: it makes a subject and is asked of none."
            if not method.inputs
            else f"{method.name} is asked of {_takes(method)}; {len(given)} things were given."
        )
    things = [None if thing is None else asking.taken(thing) for thing in given]
    things += [None] * (len(method.inputs) - len(given))
    return {
        spec.name: _held(method, spec) if thing is None else _of(method, spec, thing)
        for spec, thing in zip(method.inputs, things, strict=True)
    }


def _of(method: Method, spec: Input, thing: Any) -> Chooser:
    """A chooser among the parts of what was given."""
    asking.require(spec, thing, method.name)
    known = asking.expected(spec, thing)
    parts = asking.parts(spec, known)
    if len(parts) < 2:
        return Chooser(spec, [Choice(asking.called(thing), thing)])
    likely = known.default_part(asking.view_of(spec)) or parts[-1]
    description = "at" if len(method.inputs) == 1 else f"{spec.name} at"
    return Chooser(spec, [Choice(part, thing, part) for part in parts], parts.index(likely), description)


def _held(method: Method, spec: Input) -> Chooser:
    """A chooser among the notebook's own variables, the last of them first."""
    held = [c for name, thing in _variables() for c in _choices(spec, name, thing)]
    if spec.optional:
        held.insert(0, Choice(LEFT_OUT, None))
    elif not held:
        arguments = ", ".join(i.name for i in method.inputs)
        raise ParameterError(
            f"{method.name} is asked of {_takes(method)}, and no variable here can be {spec.name}: "
            f"widgets.panel({method.name!r}, {arguments}), with what workbench.open, workbench.capture or a method gives, an "
            f"array or a table."
        )
    return Chooser(spec, held, 0, spec.name)  # shown where there is one alone, too: nobody named it


def _choices(spec: Input, name: str, thing: Any) -> Iterator[Choice]:
    if not asking.suits(spec, thing) or asking.reads(spec, thing):  # a network is captured where it is given
        return
    parts = asking.parts(spec, thing)
    if len(parts) < 2:
        yield Choice(f"{name}: {asking.called(thing)}", thing)
    for part in reversed(parts):
        if len(parts) > 1:
            yield Choice(f"{name} at {part}", thing, part)


def _variables() -> Iterator[tuple[str, Any]]:
    """The subjects and results that the notebook's variables hold, and what its panels have answered; the latest first."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    seen: list[Any] = []
    for name, value in reversed(list(shell.user_ns.items()) if shell is not None else []):
        thing = value.static_result() if isinstance(value, _html.Static) else value
        if name.startswith("_") or not isinstance(thing, Subject | Result) or any(thing is s for s in seen):
            continue
        seen.append(thing)
        yield name, thing


def _takes(method: Method) -> str:
    return " and ".join(f"{i.name} ({i.needs})" for i in method.inputs)
