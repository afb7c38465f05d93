"""What the weights of a GPT's maps are made of: one file each, found by name. Another is one more file here.

A file's name is the reparametrization's. ``LINEAR`` in it makes a map without bias of so many numbers to so many, which draws its
weights itself (`geometry.mechanism.Drawn`); ``HEAD`` says whether the last map, to the logits, is one too; ``AGAIN`` whether a map may
be run a second time in the backward pass.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from workbench.core.discovery import modules
from workbench.core.errors import suggest

NAMES: tuple[str, ...] = ("none", *sorted(modules(__name__)))
"""Names of the reparametrizations, and ``none``: maps are as the kind of attention has them."""

if TYPE_CHECKING:
    ReparametrizationName = str
else:
    ReparametrizationName = Literal[NAMES]
"""A reparametrization's name, as the annotation of a parameter."""


def reparametrization_of(name: str) -> Any:
    """The file of that name; None of ``none``.

    Raises
    ------
    ValueError
        There is none; those that there are are named.
    """
    if name not in NAMES:
        raise ValueError(
            f"reparametrization: there is no {name!r}. {suggest(str(name), NAMES).removesuffix('.')}"
        )
    return None if name == "none" else import_module(modules(__name__)[name])
