"""Curves of fewer points, each the mean of several that follow one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def averaged(
    steps: np.ndarray, values: np.ndarray, most: int, *, log: bool
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], int]:
    """At most ``most`` points, each the mean of equally many that follow one another, and how many that is.

    What is left over at the end is a mean of fewer.
    """
    k = -(-len(values) // most)
    if k == 1:
        return steps.astype(float), values, 1
    starts = np.arange(0, len(values), k)
    count = np.diff(np.append(starts, len(values)))
    y = np.add.reduceat(np.log(values) if log else values, starts) / count
    return np.add.reduceat(steps.astype(float), starts) / count, np.exp(y) if log else y, k
