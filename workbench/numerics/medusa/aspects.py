"""What a head sees of the rates and displacements that it looks at: how high they are, how they move, or where they go far out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.numerics.medusa.names import Aspect

if TYPE_CHECKING:
    from jaxtyping import Float

BEYOND = 0.5  # where a rate or a displacement counts as extreme, unless it is said
SLOWER = 10.0  # a head of the level forgets so many times more slowly than the others


def filtered(
    aspect: Aspect,
    after: Float[torch.Tensor, " *shape"],
    before: Float[torch.Tensor, " *shape"],
    h: float,
    beyond: torch.Tensor,
) -> Float[torch.Tensor, " *shape"]:
    """See one aspect of a state.

    ``level`` is the state itself, which a head that forgets slowly averages. ``change`` is its rate over the step, (after - before)
    / h. ``extremes`` is by how much it lies outside ±``beyond``, with its sign. ``events`` is 1 there, and 0 within.

    Parameters
    ----------
    h : length of the step. beyond : above 0, of a shape that broadcasts.
    """
    if aspect == "level":
        return after
    if aspect == "change":
        return (after - before) / h
    if aspect == "extremes":
        return after - torch.minimum(torch.maximum(after, -beyond), beyond)
    return (after.abs() > beyond).to(after.dtype)


def leak(aspect: Aspect | None, forgetting: float) -> float:
    """How much of a head of an aspect is new each step."""
    return forgetting / SLOWER if aspect == "level" else forgetting
