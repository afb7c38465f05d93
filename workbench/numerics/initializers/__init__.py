"""Initializers of the geometry lab: one file each, found by name. Another is one more file here.

A file's name is the initializer's. ``fill(weight, std, **options)`` in it draws a matrix (out, in) in place, with entries of mean 0
and that standard deviation, from torch's generator; ``check(options)`` gives all options, defaults with them, or raises ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from workbench.numerics.by_name import names, part

NAMES = names(__name__, "normal")
"""Names of the initializers, the usual one first; none is imported by asking."""

if TYPE_CHECKING:
    InitializerName = str
else:
    InitializerName = Literal[NAMES]
"""An initializer's name, as the annotation of a parameter."""


def initializer_of(name: str) -> Any:
    """The file of that name, which has ``fill`` and ``check``.

    Raises
    ------
    ValueError
        There is none; those that there are are named.
    """
    return part(__name__, "initializer", name, NAMES)


def no_options(name: str, options: Mapping[str, Any]) -> dict[str, int]:
    """`check` of an initializer without options."""
    for option in options:
        raise ValueError(f"initializer_options: {name} has no {option!r}; it has none. Leave it out")
    return {}
