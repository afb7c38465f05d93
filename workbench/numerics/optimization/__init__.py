"""Optimizers of the geometry lab: one file each, found by name. Another is one more file here.

A file's name is the optimizer's, and ``optimizer_of`` in it makes one of a network and a learning rate, of which
``RATE`` is one to begin with.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.discovery import modules
from workbench.core.errors import suggest

NAMES: tuple[str, ...] = tuple(sorted(modules(__name__)))
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
    if name not in NAMES:
        raise ValueError(f"optimizer: there is no {name!r}. {suggest(str(name), NAMES)}")
    return import_module(modules(__name__)[name])
