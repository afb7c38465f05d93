"""Rows brought near the origin in double precision, before single precision or a product of matrices rounds them.

Distances don't depend on where the origin lies. Their computation does: |a|² + |b|² - 2ab loses what the rows differ by
where that is small beside their lengths, and so does single precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

MOVABLE = ("euclidean", "manhattan", "chebyshev")
"""Metrics that don't see a move of all rows."""
FAR = 16  # times the spread; a product of matrices in single precision loses no more than 16² roundings up to there
SAMPLED = 1024  # rows from which a column's place is seen


def far_centre(x: np.ndarray | Tensor) -> Float[np.ndarray, " d"] | None:
    """What to subtract from each column: a value of its own where all lie much farther from 0 than from each other, else 0.

    None where no column does. A value that occurs keeps whole numbers whole, so that equal distances stay equal.

    Parameters
    ----------
    x : (n, d) finite; a memory map is read at up to `SAMPLED` rows.
    """
    some = x[:: max(1, len(x) // SAMPLED)]
    if not isinstance(some, np.ndarray):
        some = some.detach().cpu().double().numpy()
    some = np.asarray(some, np.float64)
    if not len(some) or not some.shape[1]:
        return None
    middle = np.partition(some, len(some) // 2, axis=0)[len(some) // 2]
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # infinite values are refused by whoever computes with them
        far = np.abs(middle) > FAR * np.abs(some - middle).max(axis=0)
    return np.where(far, middle, 0.0) if far.any() else None


def near_origin(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """The rows, moved to where single precision holds what they differ by; the same array where they lie there already."""
    centre = far_centre(x)
    return x if centre is None else (x - centre).astype(x.dtype)
