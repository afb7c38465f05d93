"""Landmarks: a few rows that leave no other row far away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.numerics.distances import PRECOMPUTED

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MetricSpace = Literal["euclidean", "cityblock", "chebyshev", "precomputed"]


def farthest_first(
    rows: Float[np.ndarray, "n d"], m: int, metric: MetricSpace = "euclidean"
) -> tuple[Int[np.ndarray, " k"], float]:
    """Choose at most ``m`` rows, each the farthest from those before it (maxmin), and say what they cover.

    Parameters
    ----------
    rows : (n, d) finite. The first landmark is the row farthest from the mean.
    m : at least 1.
    metric : as `scipy.spatial.distance.cdist` names it, or "precomputed" for ``rows`` (n, n) distances, whose first landmark
        has the largest mean distance; the triangle inequality must hold.

    Returns
    -------
    positions : in the order chosen; all rows if there are no more than ``m``, and fewer than ``m`` once
        every row equals a landmark (to single precision).
    radius : no row is farther than this from its landmark. At most twice the best possible.

    References
    ----------
    Gonzalez 1985, Clustering to minimize the maximum intercluster distance, Theor. Comput. Sci. 38.
    """
    n = len(rows)
    if m >= n:
        return np.arange(n), 0.0
    distances_to = _euclidean(rows) if metric == "euclidean" else _any(rows, metric)
    from_mean = distances_to(None)
    same = 8 * float(np.finfo(np.float32).eps) * float(from_mean.max())
    positions: list[int] = []
    nearest, owner = from_mean, np.zeros(n, np.int64)
    while len(positions) < m and nearest.max() > same:
        at = int(nearest.argmax())
        d = distances_to(at)
        d[at] = 0
        closer = d < nearest if positions else np.ones(n, bool)
        nearest, owner = np.where(closer, d, nearest), np.where(closer, at, owner)
        positions.append(at)
    return np.array(positions, np.int64), _radius(rows, owner, metric)


def _euclidean(rows: np.ndarray) -> Callable[[int | None], np.ndarray]:
    x = rows - rows.mean(axis=0)
    # in single precision there is half as much memory to walk through; only the order of distances counts
    x = (x / max(float(np.abs(x).max()), np.finfo(float).tiny)).astype(np.float32)
    squares = np.einsum("ij,ij->i", x, x)

    def distances_to(at: int | None) -> np.ndarray:
        return squares if at is None else squares + squares[at] - 2 * (x @ x[at])

    return distances_to


def _any(rows: np.ndarray, metric: MetricSpace) -> Callable[[int | None], np.ndarray]:
    from scipy.spatial.distance import cdist

    mean = rows.mean(axis=0, keepdims=True)
    if metric == PRECOMPUTED:
        return lambda at: mean[0].copy() if at is None else rows[at].copy()

    def distances_to(at: int | None) -> np.ndarray:
        return cdist(rows, mean if at is None else rows[at : at + 1], metric)[:, 0]

    return distances_to


def _radius(rows: np.ndarray, owner: np.ndarray, metric: MetricSpace) -> float:
    if metric == PRECOMPUTED:
        return float(rows[np.arange(len(rows)), owner].max())
    difference = rows - rows[owner]
    if metric == "euclidean":
        return float(np.sqrt(np.einsum("ij,ij->i", difference, difference).max()))
    size = np.abs(difference)
    return float(size.sum(axis=1).max() if metric == "cityblock" else size.max())
