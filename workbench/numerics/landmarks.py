"""Landmarks: a few rows that leave no other row far away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.numerics.device import fits, uploaded
from workbench.numerics.distances import PRECOMPUTED

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SAME = 8 * float(
    np.finfo(np.float32).eps
)  # of the square of the largest distance from the mean: rows nearer are equal
WORTH_SENDING = 1 << 21  # numbers; fewer are walked through sooner here
PART = 1 << 16  # rows whose distances from their landmarks are measured at a time on a GPU
MetricSpace = Literal["euclidean", "cityblock", "chebyshev", "precomputed"]


def farthest_first(
    rows: Float[np.ndarray, "n d"], m: int, metric: MetricSpace = "euclidean", device: str = "cpu"
) -> tuple[Int[np.ndarray, " k"], float]:
    """Choose at most ``m`` rows, each the farthest from those before it (maxmin), and say what they cover.

    Parameters
    ----------
    rows : (n, d) finite. The first landmark is the row farthest from the mean.
    m : at least 1.
    metric : as `scipy.spatial.distance.cdist` names it, or "precomputed" for ``rows`` (n, n) distances, whose first landmark
        has the largest mean distance; the triangle inequality must hold.
    device : a GPU takes many euclidean rows there, where walking through all of them takes no time.

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
    if device != "cpu" and metric == "euclidean" and rows.size >= WORTH_SENDING and fits(rows, device):
        return _there(rows, m, device)
    distances_to = _euclidean(rows) if metric == "euclidean" else _any(rows, metric)
    from_mean = distances_to(None)
    same = SAME * float(from_mean.max())
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


def _there(rows: np.ndarray, m: int, device: str) -> tuple[np.ndarray, float]:
    """What `farthest_first` gives of euclidean rows, step by step on a GPU, which isn't waited for until the end."""
    import torch

    whole = uploaded(rows, device).double()
    centred = whole - whole.mean(0)
    x = (centred / centred.abs().max().clamp(min=torch.finfo(torch.float64).tiny)).float()
    del centred
    squares = x.square().sum(1)
    same = SAME * squares.max()
    nearest, owner = squares, torch.zeros(len(x), dtype=torch.int64, device=x.device)
    chosen, left = [], []
    for i in range(m):
        at = nearest.argmax()
        left.append(nearest[at] > same)  # else all rows equal a landmark already
        distances = squares + squares[at] - 2 * (x @ x[at])
        distances[at] = 0
        closer = distances < nearest if i else torch.ones_like(distances, dtype=torch.bool)
        closer &= left[-1]
        nearest, owner = torch.where(closer, distances, nearest), torch.where(closer, at, owner)
        chosen.append(at)
    many = int(torch.stack(left).sum())
    parts = zip(whole.split(PART), owner.split(PART), strict=True)
    radius = torch.stack([(part - whole[of]).norm(dim=1).max() for part, of in parts]).max()
    return torch.stack(chosen)[:many].cpu().numpy(), float(radius)


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
