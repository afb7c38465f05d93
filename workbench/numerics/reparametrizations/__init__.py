"""What the weights of a GPT's maps are made of: one file each, found by name. Another is one more file here.

A file's name is the reparametrization's. ``LINEAR`` in it makes a map without bias of so many numbers to so many, which draws its
weights itself (`geometry.mechanism.Drawn`); ``HEAD`` says whether the last map, to the logits, is one too; ``AGAIN`` whether a map may
be run a second time in the backward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from workbench.numerics.by_name import names, part

NAMES = names(__name__, "none")
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
    return None if name == "none" else part(__name__, "reparametrization", name, NAMES)
