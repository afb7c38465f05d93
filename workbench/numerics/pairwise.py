"""All distances within a set of rows, in double precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.distances import PRECOMPUTED

if TYPE_CHECKING:
    from jaxtyping import Float

    from workbench.numerics.landmarks import MetricSpace

WIDE = 16  # columns, from which one product of matrices is faster than going through them
NEAR = 1e-4  # of the largest squared length: squares of shorter distances lose digits in the product
MOST_NEAR = 1 / 16  # of all pairs; beyond that going through all of them is faster


def pairwise(rows: Float[np.ndarray, "n d"], metric: MetricSpace) -> Float[np.ndarray, "n n"]:
    """Distances between all rows, to one part in 10⁹ or better; equal rows are at exactly 0.

    Of wide rows euclidean distances come from one product, |a|² + |b|² - 2ab around the mean, and those that are short
    beside the rows' lengths, where that cancels, from the rows' difference.

    Parameters
    ----------
    rows : float64. metric : as `scipy.spatial.distance.cdist` names it; "precomputed" gives the rows themselves back.
    """
    from scipy.spatial.distance import cdist

    if metric == PRECOMPUTED:
        return rows
    if metric == "euclidean" and rows.shape[1] >= WIDE:
        found = _by_product(rows)
        if found is not None:
            return found
    return cdist(rows, rows, metric)


def _by_product(rows: np.ndarray) -> np.ndarray | None:
    """None where too many rows are near each other."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large is infinite, here as in cdist
        x = rows - rows.mean(axis=0)
        squares = np.einsum("ij,ij->i", x, x)
        d = squares[:, None] + squares  # first, so that it is the same either way round
        d -= 2 * (x @ x.T)
        near = d <= NEAR * squares.max()
    np.fill_diagonal(near, False)
    if np.count_nonzero(near) > MOST_NEAR * near.size or not np.isfinite(squares).all():
        return None
    i, j = np.nonzero(near)
    d[i, j] = ((rows[i] - rows[j]) ** 2).sum(axis=1)
    np.fill_diagonal(d, 0)
    return np.sqrt(d, out=d)
