"""Kinds of attention: one file each, found by name. Another is one more file here.

A file's name is the kind's, and ``MECHANISM`` in it is a `geometry.mechanism.Mechanism`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.discovery import modules
from workbench.core.errors import suggest

NAMES: tuple[str, ...] = tuple(sorted(modules(__name__), key=lambda name: (name != "standard", name)))
"""Names of the kinds, the standard one first; none is imported by asking."""

if TYPE_CHECKING:
    MechanismName = str
else:
    MechanismName = Literal[NAMES]
"""A kind's name, as the annotation of a parameter."""


def mechanism_of(name: str) -> Any:
    """The `Mechanism` of that name.

    Raises
    ------
    ValueError
        There is none; those that there are are named.
    """
    if name not in NAMES:
        raise ValueError(f"mechanism: there is no {name!r}. {suggest(str(name), NAMES).removesuffix('.')}")
    return import_module(modules(__name__)[name]).MECHANISM
