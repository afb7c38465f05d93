"""Room for answers as a descent uses it up: two curves that close on each other, and start anew where one renormalizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

POWERS = {"lines": 1.0, "quadratics": 2.0}
LENGTH = 10.0  # where the two curves meet, if nothing is renormalized


def room(
    x: Float[np.ndarray, " n"], shape: str, renormalized_at: float | None = None
) -> Float[np.ndarray, " n"]:
    """How far either curve is from the middle: 1 at the start, 0 from ``LENGTH`` on.

    ``(1 - x / 10)``, squared for quadratics; from where it is renormalized, the same curve from its start.

    Parameters
    ----------
    shape : one of `POWERS`. renormalized_at : None for never.
    """
    x = np.asarray(x, dtype=np.float64)
    since = x if renormalized_at is None else np.where(x >= renormalized_at, x - renormalized_at, x)
    return np.maximum(1 - since / LENGTH, 0) ** POWERS[shape]
