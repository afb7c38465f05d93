"""Optimizers of the geometry lab: one file each, found by name. Another is one more file here.

A file's name is the optimizer's, and ``optimizer_of`` in it makes one of a network and a learning rate, of which
``RATE`` is one to begin with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from workbench.numerics.by_name import names, part

NAMES = names(__name__)
"""Names of the optimizers; none is imported by asking."""

if TYPE_CHECKING:
    GeometryOptimizer = str
else:
    GeometryOptimizer = Literal[NAMES]
"""An optimizer's name, as the annotation of a parameter."""


def optimizer_of(name: str, network: Any, learning_rate: float) -> Any:
    """The optimizer of that name, of all of a network's parameters.

    Raises
    ------
    ValueError
        There is none; those that there are are named.
    """
    return _file_of(name).optimizer_of(network, learning_rate)


def rate_of(name: str) -> float:
    """A learning rate to begin with; raises as `optimizer_of` does."""
    return float(_file_of(name).RATE)


def _file_of(name: str) -> Any:
    return part(__name__, "optimizer", name, NAMES)
