"""Kinds of attention: one file each, found by name. Another is one more file here.

A file's name is the kind's, and ``MECHANISM`` in it is a `geometry.mechanism.Mechanism`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from workbench.numerics.by_name import names, part

NAMES = names(__name__, "standard")
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
    return part(__name__, "mechanism", name, NAMES).MECHANISM
