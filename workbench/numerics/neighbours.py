"""Exact nearest neighbours and blocks of distances; no n x n array is ever held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from workbench.numerics.distances import PRECOMPUTED

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Real

Metric = Literal["euclidean", "cosine", "correlation", "manhattan", "chebyshev"]
AnyMetric = Literal[Metric, "precomputed"]
"""With what says that the rows are distances already."""
BLOCK_CELLS = 1 << 23  # distances held at a time: 64 MiB
_CDIST_NAMES: dict[str, Literal["cityblock", "chebyshev"]] = {
    "manhattan": "cityblock",
    "chebyshev": "chebyshev",
}
LIBRARY_FROM = 1000  # rows from which scikit-learn's fused search is faster than blocks
_ASKED_AT_ONCE = 4096  # so that the search can be interrupted
_SPARE = 8  # candidates beyond k, so that rounding in a matrix product can't push a neighbour out
_COARSE = 1e8  # distances below so many times the product's rounding are computed again from differences


def k_nearest(
    x: Real[np.ndarray, "n d"],
    k: int,
    metric: AnyMetric = "euclidean",
    queries: Int[np.ndarray, " q"] | None = None,
    *,
    library_from: int = LIBRARY_FROM,
) -> tuple[Int[np.ndarray, "q k"], Float[np.ndarray, "q k"]]:
    """Return every row's ``k`` nearest other rows, nearest first.

    Parameters
    ----------
    x : (n, d) finite.
    k : at least 1 and less than n; a row is never its own neighbour.
    metric : as in scikit-learn; "precomputed" for ``x`` (n, n) distances.
        A row without length (cosine) or variation (correlation) lies at distance
        1 from every other.
    queries : positions of the rows asked about; None asks about all.
    library_from : rows from which scikit-learn searches; the same neighbours either way.

    Returns
    -------
    indices : (q, k) int64 positions in ``x``; of rows at the same distance the earlier comes first.
    distances : (q, k) float64, ascending.

    Raises
    ------
    ValueError
        ``k`` is out of range.
    """
    n = len(x)
    if not 1 <= k < n:
        raise ValueError(f"k={k} must be at least 1 and less than the number of rows, {n}")
    space = _Space(x, metric)
    query_rows = np.arange(n) if queries is None else np.asarray(queries)
    indices = np.empty((len(query_rows), k), np.int64)
    distances = np.empty((len(query_rows), k))
    left = np.arange(len(query_rows))
    if n >= max(library_from, k + _SPARE + 2) and space.plain:
        indices, distances, settled = _by_library(space, query_rows, k)
        left = np.flatnonzero(~settled)
    done = 0
    for rows, block in _blocks(space, query_rows[left]):
        part = left[done : done + len(rows)]
        indices[part], distances[part] = _smallest(space, rows, block, k)
        done += len(rows)
    return indices, space.true(distances)


def distance_blocks(
    x: Real[np.ndarray, "n d"], metric: AnyMetric = "euclidean", queries: Int[np.ndarray, " q"] | None = None
) -> Iterator[tuple[Int[np.ndarray, " b"], Float[np.ndarray, "b n"]]]:
    """Yield some rows' positions and their distances to all rows; a row's distance to itself is infinite.

    The parameters are those of `k_nearest`. Only the order of a row's distances is promised, not their
    scale (euclidean ones come squared).
    """
    yield from _blocks(_Space(x, metric), np.arange(len(x)) if queries is None else np.asarray(queries))


class _Space:
    """Rows made ready, so that most metrics are the squared euclidean distance of ``rows``."""

    def __init__(self, x: np.ndarray, metric: AnyMetric):
        if metric not in get_args(AnyMetric):
            raise ValueError(f"metric={metric!r} must be one of {', '.join(get_args(AnyMetric))}")
        self.metric = metric
        self.scale = 1.0
        rows = np.array(x, dtype=np.float64)
        if metric == "correlation":
            rows -= rows.mean(axis=1, keepdims=True)
        if metric in ("cosine", "correlation"):
            length = np.linalg.norm(rows, axis=1, keepdims=True)
            # what a row far from 0 varies by is as real as its own precision
            kind = np.float64 if metric == "correlation" and x.dtype.itemsize > 4 else np.float32
            rows /= np.where(length > np.finfo(kind).eps * np.abs(x).max(initial=0), length, np.inf)
        elif metric != PRECOMPUTED:
            rows -= rows.mean(axis=0)  # what the matrix product loses grows with the distance from the origin
            # a power of two, which rounds nothing
            self.scale = 2.0 ** np.ceil(np.log2(np.abs(rows).max(initial=0) or 1))
            rows /= self.scale
        self.rows = rows
        self.squares = np.einsum("ij,ij->i", rows, rows)
        self.by_product = metric not in _CDIST_NAMES and metric != PRECOMPUTED
        self.rounding = (
            4 * rows.shape[1] * np.finfo(float).eps * self.squares.max(initial=0) if self.by_product else 0.0
        )

    @property
    def plain(self) -> bool:
        """Whether all distances are the squared euclidean ones of `rows`, without an exception."""
        return self.by_product and (self.metric == "euclidean" or bool((self.squares > 0).all()))

    def block(self, at: np.ndarray) -> np.ndarray:
        if self.metric == PRECOMPUTED:
            return self.rows[at].copy()
        if not self.by_product:
            from scipy.spatial.distance import cdist

            return cdist(self.rows[at], self.rows, _CDIST_NAMES[self.metric])
        out = self.rows[at] @ self.rows.T
        out *= -2
        out += self.squares[at][:, None]
        out += self.squares
        if self.metric != "euclidean":
            out[(self.squares[at] == 0)[:, None] | (self.squares == 0)] = 2
        return np.maximum(out, 0, out=out)

    def exact(self, at: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The distances of pairs without the rounding of the matrix product."""
        out = np.empty(len(at))
        for part in _parts(len(at), self.rows.shape[1]):
            difference = self.rows[others[part]] - self.rows[at[part]]
            out[part] = np.einsum("ij,ij->i", difference, difference)
        if self.metric != "euclidean":
            out[(self.squares[at] == 0) | (self.squares[others] == 0)] = 2
        return out

    def true(self, distances: np.ndarray) -> np.ndarray:
        """What `block` gives, on the metric's own scale."""
        if not self.by_product:
            return distances * self.scale
        return np.sqrt(distances) * self.scale if self.metric == "euclidean" else distances / 2


def _parts(n: int, cells_each: int) -> list[slice]:
    step = max(1, BLOCK_CELLS // max(cells_each, 1))
    return [slice(s, s + step) for s in range(0, n, step)]


def _blocks(space: _Space, query_rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for part in _parts(len(query_rows), len(space.rows)):
        rows = query_rows[part]
        block = space.block(rows)
        block[np.arange(len(rows)), rows] = np.inf
        yield rows, block


def _by_library(space: _Space, query_rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ``k`` nearest by scikit-learn's search, and for which rows they are settled: the rest have ties at the edge."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(algorithm="brute", metric="sqeuclidean").fit(space.rows)
    indices = np.empty((len(query_rows), k), np.int64)
    distances = np.empty((len(query_rows), k))
    settled = np.empty(len(query_rows), bool)
    for start in range(0, len(query_rows), _ASKED_AT_ONCE):
        part = slice(start, start + _ASKED_AT_ONCE)
        rows = query_rows[part]
        squared, near = search.kneighbors(space.rows[rows], k + _SPARE + 1)
        own = near == rows[:, None]
        # among many equal rows the row itself may not be listed: the last, whose place it took, goes
        own[~own.any(axis=1), -1] = True
        near = near[~own].reshape(len(rows), -1)
        squared = squared[~own].reshape(len(rows), -1)
        edge = squared.max(axis=1)
        near, squared = _measured_again(space, rows, near, squared)
        indices[part], distances[part] = near[:, :k], squared[:, :k]
        settled[part] = squared[:, k - 1] < edge - space.rounding
    return indices, distances, settled


def _smallest(space: _Space, rows: np.ndarray, block: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    n = block.shape[1]
    wide = min(k + _SPARE, n - 1)
    candidates = np.argpartition(block, wide - 1, axis=1)[:, :wide]
    distances = np.take_along_axis(block, candidates, axis=1)
    edge = distances.max(axis=1)
    candidates, distances = _measured_again(space, rows, candidates, distances)
    candidates, distances = candidates[:, :k].copy(), distances[:, :k].copy()
    if wide < n - 1:
        for row in map(int, np.flatnonzero(distances[:, -1] >= edge - space.rounding)):
            # rows tied at the edge were chosen at random by argpartition: look at all that may belong
            maybe = np.flatnonzero(block[row] <= distances[row, -1] + space.rounding)
            if distances[row, -1] == 0 and space.by_product:
                candidates[row] = _first_equal(space.rows, int(rows[row]), maybe, k)
                continue
            true = (
                space.exact(np.full(len(maybe), rows[row]), maybe) if space.by_product else block[row, maybe]
            )
            first = np.lexsort((maybe, true))[:k]
            candidates[row], distances[row] = maybe[first], true[first]
    return candidates, distances


def _measured_again(
    space: _Space, rows: np.ndarray, candidates: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates in order, those that the product's rounding may have exchanged measured from differences."""
    candidates, distances = _ordered(candidates, distances)
    if not space.by_product:
        return candidates, distances
    close = np.diff(distances, axis=1) <= space.rounding
    doubtful = distances <= space.rounding * _COARSE
    doubtful[:, 1:] |= close
    doubtful[:, :-1] |= close
    r, c = np.nonzero(doubtful)
    distances[r, c] = space.exact(rows[r], candidates[r, c])
    return _ordered(candidates, distances)


def _first_equal(x: np.ndarray, row: int, maybe: np.ndarray, k: int) -> np.ndarray:
    """The first ``k`` of ``maybe`` whose rows equal ``row``, of which there are so many, without looking at all."""
    found = np.empty(0, np.int64)
    while len(found) < k:
        some, maybe = maybe[: 2 * k], maybe[2 * k :]
        found = np.concatenate([found, some[np.square(x[some] - x[row]).sum(axis=1) == 0]])
    return found[:k]


def _ordered(candidates: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((candidates, distances))
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(distances, order, axis=1)
