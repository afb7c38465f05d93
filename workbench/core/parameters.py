"""Parameters: declared once as ``Annotated`` on a method, from which everything else derives.

The bounds (:mod:`annotated_types`), the type and the help (:class:`Doc`) give the validation and its
message, the command-line option, the widget, the documentation row and the values that the conformance
tests try.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
from annotated_types import Ge, Gt, Interval, Le, Lt
from typing_extensions import Doc

from workbench.core.device import SHARED_FROM, Device, Devices
from workbench.core.errors import ParameterError, suggest


@dataclass(frozen=True)
class Few:
    """Declared beside a parameter that takes long: how much of it is enough to try the method with."""

    value: Any


@dataclass(frozen=True)
class Shared:
    """Declared beside a device: several GPUs share the work on many rows (`workbench.core.device.sharing`)."""


Seed = Annotated[
    int,
    Interval(ge=0, le=2**32 - 1),
    Doc("Seed of every random choice; the same seed gives the same answer."),
]
NullDraws = Annotated[
    int,
    Interval(ge=0, le=9999),
    Few(3),
    Doc("Draws from the null; the smallest p-value is 1 / (draws + 1). 0 leaves the null out."),
]
"""Draws are sequential (`workbench.numerics.controls.draw_until_clear`), so that a default that is high costs little but where
something is there. A page's correction (`workbench.numerics.multiplicity.hierarchical`, level 0.05) needs so many:

========================================  ============  =====================
one effect on a page of this many         at all its    at one layer of six
questions                                 layers        (of twelve)
========================================  ============  =====================
1                                         99            199 (399)
5                                         99            999 (1999)
10                                        199           1999 (3999)
20                                        399           3999 (9999)
30                                        999           3999 (9999)
========================================  ============  =====================

and about twice as many for a two-sided alternative. So 399 is a default for what is asked of a whole, and 999 where it is
two-sided or cheap; a finding that more draws might change says so."""
BootstrapDraws = Annotated[
    int, Interval(ge=0, le=9999), Few(3), Doc("Resamples behind the interval. 0 leaves the interval out.")
]

OnDevice = Annotated[
    Device, Doc("Where it is computed: 'cpu', 'cuda' (an NVIDIA GPU), or 'auto', the GPU where there is one.")
]
OnDevices = Annotated[
    Devices,
    Shared(),
    Doc(
        f"Where it is computed: 'cpu', 'cuda' (NVIDIA GPUs: all that there are beyond {SHARED_FROM:,} rows), 'cuda:0' (the "
        f"first alone), or 'auto', GPUs where there are some."
    ),
]


@dataclass(frozen=True)
class Parameter:
    """One keyword of a method: its type, legal range, default and help.

    Attributes
    ----------
    name : as typed in Python (``n_neighbors``) and, with dashes, at the command line.
    base : ``int``, ``float``, ``bool`` or ``str``; the element's type for a sequence.
    choices : legal values, if they are a closed set.
    low, high, open_low, open_high : bounds; an open bound is itself illegal.
    optional : whether ``None`` is legal.
    sequence : whether the value is a tuple of ``base``.
    few : what the method is tried with where the default takes long (`Few`); None elsewhere.
    shared : of a device, whether several GPUs share the work on many rows (`Shared`).
    """

    name: str
    annotation: Any
    default: Any
    help: str
    base: type
    choices: tuple[Any, ...] | None = None
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    optional: bool = False
    sequence: bool = False
    few: Any = None
    shared: bool = False

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import ConfigDict, TypeAdapter

        return TypeAdapter(self.annotation, config=ConfigDict(allow_inf_nan=False))

    def validate(self, value: Any, method: str) -> Any:
        """Return ``value`` as the declared type, or raise `ParameterError` naming it and what is legal."""
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(_plain(value), strict=True)
        except ValidationError:
            raise ParameterError(
                f"{method}: {self.name}={value!r} is not legal. It takes {self.legal} (default {self.default!r})."
            ) from None

    def parse(self, text: str, method: str) -> Any:
        """Return the value that ``text`` spells at the command line."""
        from pydantic import TypeAdapter, ValidationError

        if self.optional and text.lower() in ("none", "null", ""):
            return None
        if self.choices is not None:
            spelled = {str(c): c for c in self.choices}
            return self.validate(spelled.get(text, text), method)
        try:
            one: TypeAdapter[Any] = TypeAdapter(self.base)
            if self.sequence:
                parts = text.split(",") if text.strip() else []
                return self.validate(tuple(one.validate_strings(t.strip()) for t in parts), method)
            return self.validate(one.validate_strings(text), method)
        except ValidationError:
            return self.validate(text, method)

    @property
    def legal(self) -> str:
        """What is legal, in words: ``an integer from 2 to 1000, or None``."""
        if self.choices is not None:
            said = "one of " + ", ".join(repr(c) for c in self.choices)
        else:
            noun = {int: "an integer", float: "a number", bool: "True or False", str: "a string"}[self.base]
            said = f"a list of values, each {noun}" if self.sequence else noun
            said += self._range_words()
        return said + (", or None" if self.optional else "")

    def _range_words(self) -> str:
        low, high = _number(self.low), _number(self.high)
        if low is not None and high is not None and not (self.open_low or self.open_high):
            return f" from {low} to {high}"
        parts = []
        if low is not None:
            parts.append(f"above {low}" if self.open_low else f"at least {low}")
        if high is not None:
            parts.append(f"below {high}" if self.open_high else f"at most {high}")
        return " " + " and ".join(parts) if parts else ""

    def endpoints(self) -> list[Any]:
        """Legal values at the edges of the range (an open edge is approached), for tests and sliders."""
        if self.choices is not None:
            values: list[Any] = list(self.choices)
        elif self.base is bool:
            values = [True, False]
        else:
            values = [self._inside(self.low, self.open_low, +1), self._inside(self.high, self.open_high, -1)]
            values = [v for v in values if v is not None]
        if self.sequence:
            values = [(v,) for v in values]
        return values + ([None] if self.optional else [])

    def illegal(self) -> list[Any]:
        """Values that must be refused: of another type, just outside the range, outside the choices."""
        wrong: list[Any] = [object(), {"a": 1}]
        if self.base is not str:
            wrong.append("not a value")
        if self.choices is not None:
            wrong.append("no-such-choice")
        if self.base in (int, float) and self.choices is None:
            wrong.append(math.nan)
            for edge, is_open, step in ((self.low, self.open_low, -1), (self.high, self.open_high, +1)):
                if edge is not None:
                    value = edge if is_open else edge + step
                    wrong.append((self.base(value),) if self.sequence else self.base(value))
        return wrong

    def _inside(self, edge: float | None, is_open: bool, step: int) -> Any:
        if edge is None:
            return None
        if self.base is int:
            return int(edge) + (step if is_open else 0)
        return edge + step * 1e-3 * max(1.0, abs(edge)) if is_open else float(edge)


def parameters_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Read the keyword-only parameters of a method.

    Raises
    ------
    TypeError
        A parameter lacks a default, a help text (``Doc``) or a type that the workbench knows how to
        validate and draw: a mistake of the method's author, found when the method is registered.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    found = {}
    for name, p in inspect.signature(function).parameters.items():
        if p.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if p.default is inspect.Parameter.empty:
            raise TypeError(f"{function.__name__}: parameter {name} needs a default")
        found[name] = _read(name, hints[name], p.default, function.__name__)
    return found


def validate_all(method: str, declared: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every declared parameter's value, given or default; refuse unknown names."""
    for name in given:
        if name not in declared:
            raise ParameterError(f"{method} has no parameter {name!r}. {suggest(name, declared)}")
    return {
        name: p.validate(given[name], method) if name in given else p.default for name, p in declared.items()
    }


def require_integer(value: Any, name: str, owner: str, *, low: int) -> int:
    """Return ``value`` as an integer of at least ``low``, for a function that is no method of the registry.

    Raises
    ------
    ParameterError
        With the name and what is legal.
    """
    value = _plain(value)
    if type(value) is not int or value < low:
        raise ParameterError(
            f"{owner}: {name}={value!r} is not legal. It takes an integer of at least {low}."
        )
    return value


def _read(name: str, annotation: Any, default: Any, method: str) -> Parameter:
    base, metadata = annotation, []
    if get_origin(base) is Annotated:
        base, *metadata = get_args(base)
    help_text = next((m.documentation for m in metadata if isinstance(m, Doc)), None)
    if help_text is None:
        raise TypeError(f"{method}: parameter {name} needs Annotated[..., Doc('what it does')]")
    optional = sequence = False
    if get_origin(base) in (Union, types.UnionType):
        rest = [a for a in get_args(base) if a is not type(None)]
        optional = len(rest) < len(get_args(base))
        if len(rest) != 1:
            raise TypeError(f"{method}: parameter {name} may be one type, or that type or None")
        base = rest[0]
        if get_origin(base) is Annotated:
            base, *inner = get_args(base)
            metadata = [*metadata, *inner]
    choices = None
    if get_origin(base) is Literal:
        choices = get_args(base)
        base = type(choices[0])
    if get_origin(base) is tuple:
        sequence, base = True, get_args(base)[0]
        if get_origin(base) is Annotated:
            base, *inner = get_args(base)
            metadata = [*metadata, *inner]
    if base not in (int, float, bool, str):
        raise TypeError(f"{method}: parameter {name} has the type {base!r}, which has no control")
    return Parameter(
        name=name,
        annotation=annotation,
        default=default,
        help=help_text,
        base=base,
        choices=choices,
        optional=optional,
        sequence=sequence,
        few=next((m.value for m in metadata if isinstance(m, Few)), None),
        shared=any(isinstance(m, Shared) for m in metadata),
        **_bounds(metadata),
    )


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    flat = [m for item in metadata for m in (item if isinstance(item, Interval) else [item])]
    for m in flat:
        if isinstance(m, Ge):
            bounds["low"] = m.ge
        elif isinstance(m, Gt):
            bounds.update(low=m.gt, open_low=True)
        elif isinstance(m, Le):
            bounds["high"] = m.le
        elif isinstance(m, Lt):
            bounds.update(high=m.lt, open_high=True)
    return bounds


def _plain(value: Any) -> Any:
    """NumPy scalars and lists become what they stand for, so that ``n_neighbors=ks[3]`` works."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | np.ndarray):
        return tuple(_plain(v) for v in value)
    return value


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}" if abs(value) < 1e6 else str(value)
