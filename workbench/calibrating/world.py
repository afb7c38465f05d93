"""A world: what draws data of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from workbench.core.discovery import modules
from workbench.core.errors import MissingError, suggest
from workbench.core.method import Method

PACKAGE = "workbench.calibrating.worlds"


@dataclass(frozen=True)
class World:
    """What draws data with a known truth.

    Attributes
    ----------
    name : short, as the table of rates heads its column: ``texts``, ``heavy tails``.
    says : what is true in it, in a sentence.
    gives : names of the views that its subjects give, in order: what a method's inputs must ask for.
    make : draws the subjects, one an input.
    holds : method to the ids of the questions (or id@of) whose answer is yes in it: there, a null that is rejected is a hit. The
        null of every other question is true, and rejecting it a false claim.
    only : methods that it is for; empty for all that take what it gives.
    parameters : method to parameters that it is asked with in place of defaults.
    covers : whether intervals are checked in it too.
    own : methods whose intervals are of the one network or descent that was drawn, which no other run draws: whether they cover
        can't be told by other runs, and isn't counted.
    """

    name: str
    says: str
    gives: tuple[str, ...]
    make: Callable[[np.random.Generator], tuple[Any, ...]]
    holds: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    only: tuple[str, ...] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    covers: bool = False
    own: tuple[str, ...] = ()

    def suits(self, method: Method) -> bool:
        """Whether a method can be asked in it: it takes what the world gives, and where the world holds a truth, that one."""
        if self.only and method.name not in self.only:
            return False
        if self.holds and method.name not in self.holds:
            return False
        wanted = tuple(i.takes.__name__ for i in method.inputs if not i.optional)
        return method.verb == "analysis" and wanted == self.gives


def worlds() -> list[World]:
    """Every world there is: the tuple ``WORLDS`` of each file of `workbench.calibrating.worlds`."""
    import importlib

    return [
        w for _, module in sorted(modules(PACKAGE).items()) for w in importlib.import_module(module).WORLDS
    ]


def worlds_for(method: Method, names: tuple[str, ...] = ()) -> list[World]:
    """The worlds that a method can be asked in, all or those of these names.

    Raises
    ------
    MissingError
        There is none, or none of such a name.
    """
    suited = [w for w in worlds() if w.suits(method)]
    known = [w.name for w in suited]
    for name in names:
        if name not in known:
            raise MissingError(
                f"{method.name} has no world {name!r} to be calibrated in. {suggest(name, known)}"
            )
    return [w for w in suited if not names or w.name in names]
