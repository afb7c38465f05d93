"""Sparse Vietoris-Rips filtrations: fewer simplices, and no birth or death later than by a factor of 1 + epsilon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError, ParameterError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MAX_SIMPLICES = 6_000_000  # of one dimension: a minute and a gigabyte
BLOCK_CELLS = 1 << 24


@dataclass(frozen=True)
class SparseBarcode:
    """A barcode and what it cost: ``pairs`` (m, 3) as `rips.rips` gives them, and simplices by dimension."""

    pairs: Float[np.ndarray, "m 3"]
    simplices: tuple[int, ...]


def sparse_rips(
    distances: Float[np.ndarray, "n n"],
    epsilon: float,
    *,
    max_dimension: int = 1,
    threshold: float = float("inf"),
) -> SparseBarcode:
    """Compute the barcode of a sparse filtration that stands for the Rips filtration, over Z/2.

    Points are put in greedy order, each the farthest from those before it. The ball around a point grows with
    the scale until that is (1 + epsilon) / epsilon times its insertion radius, stays, and vanishes after
    another factor of 1 + epsilon, when an earlier point's ball covers it. A simplex is there from the scale on
    at which all its balls are there and meet. The Rips complex at scale t / (1 + epsilon) lies in the space so
    covered at t, and this in the Rips complex at t: bars move to the right by a factor of at most 1 + epsilon, and
    only bars whose death is within that factor of their birth can come or go.

    Parameters
    ----------
    distances : (n, n) symmetric, of a metric: the triangle inequality must hold.
    epsilon : above 0; the smaller, the more simplices.
    threshold : longest edge, on the sparse filtration's scale.

    Raises
    ------
    ParameterError
        A parameter out of range.
    DataError
        More simplices than memory should be asked for, with what to change.

    References
    ----------
    Sheehy 2013, Linear-size approximations to the Vietoris-Rips filtration, Discrete Comput. Geom. 49;
    Cavanna, Jahanseir and Sheehy 2015, A geometric perspective on sparse filtrations, CCCG.
    """
    if not epsilon > 0:
        raise ParameterError(f"epsilon={epsilon} must be above 0")
    if max_dimension < 0:
        raise ParameterError(f"max_dimension={max_dimension} must be at least 0")
    order, radii = greedy_order(distances)
    edges, gone = _edges(distances[np.ix_(order, order)], radii, epsilon, threshold)
    vertices: np.ndarray = np.arange(len(order))[:, None]
    values = np.zeros(len(order))
    counts, pairs, cleared = [len(order)], [], np.empty(0, np.int64)
    for k in range(max_dimension + 1):
        above, above_values = _extended(edges, gone, vertices, values, epsilon)
        counts.append(len(above))
        found = _paired(k, vertices, values, above, above_values, cleared)
        births, deaths, cleared = found
        pairs.append(np.column_stack([births, deaths, np.full(len(births), k)]))
        vertices, values = above, above_values
    out = np.concatenate(pairs).astype(np.float32)
    out = out[out[:, 0] < out[:, 1]]
    return SparseBarcode(out[np.lexsort((out[:, 1], out[:, 0], out[:, 2]))], tuple(counts))


def greedy_order(
    distances: Float[np.ndarray, "n n"],
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """All points, each the farthest from those before it, and how far that is (infinite for the first)."""
    n = len(distances)
    order, radii = np.zeros(n, np.int64), np.full(n, np.inf)
    nearest = distances[0].astype(np.float64)
    nearest[0] = -1
    for i in range(1, n):
        order[i] = nearest.argmax()
        radii[i] = nearest[order[i]]
        nearest = np.minimum(nearest, distances[order[i]])
        nearest[order[i]] = -1
    return order, radii


def _edges(
    d: np.ndarray, radii: np.ndarray, epsilon: float, threshold: float
) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, " n"]]:
    """When each pair's balls meet (twice the scale; infinite: never), and when each point's ball vanishes."""
    full = 2 * radii * (1 + epsilon) / epsilon  # as wide as a ball gets
    gone = full * (1 + epsilon)
    # in greedy order a pair's later point has the smaller radius
    less, more = np.minimum(full[:, None], full), np.maximum(full[:, None], full)
    with np.errstate(invalid="ignore"):
        at = np.where(d <= less, d, 2 * d - less).astype(np.float64)
        at[(at > more) | (at > np.minimum(gone[:, None], gone)) | (at > threshold)] = np.inf
    np.fill_diagonal(at, np.inf)
    return at, gone


def _extended(
    edges: np.ndarray, gone: np.ndarray, vertices: np.ndarray, values: np.ndarray, epsilon: float
) -> tuple[Int[np.ndarray, "s k"], Float[np.ndarray, " s"]]:
    """The simplices of one vertex more (falling order, by filtration), each there before its first ball is gone."""
    n = len(edges)
    some, whens, count = [], [], 0
    step = max(1, BLOCK_CELLS // n)
    for start in range(0, len(vertices), step):
        part = vertices[start : start + step]
        when = np.broadcast_to(values[start : start + step, None], (len(part), n)).copy()
        for column in part.T:
            np.maximum(when, edges[column], out=when)
        when[np.arange(n) >= part[:, -1:]] = np.inf
        parent, vertex = np.nonzero(when <= np.minimum(gone[part[:, :1]], np.finfo(np.float64).max))
        some.append(np.column_stack([part[parent], vertex]))
        whens.append(when[parent, vertex])
        count += len(parent)
        if count > MAX_SIMPLICES:
            raise DataError(
                f"the sparse filtration of {n:,} points has more than {MAX_SIMPLICES:,} simplices of dimension "
                f"{vertices.shape[1]} at epsilon={epsilon:g}: raise epsilon, or take fewer points (landmarks) or a lower dimension"
            )
    out, when = np.concatenate(some), np.concatenate(whens)
    rising = np.lexsort((*out.T[::-1], when))
    return out[rising], when[rising]


def _paired(
    k: int,
    vertices: np.ndarray,
    values: np.ndarray,
    above: np.ndarray,
    above_values: np.ndarray,
    cleared: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Births and deaths in dimension k, and the simplices above that end something."""
    from workbench.numerics.kernels.sparse_host import merging_edges, reduce_cohomology

    if k == 0:
        ends = np.flatnonzero(merging_edges(len(vertices), above[:, 0], above[:, 1]))
        deaths = np.concatenate([above_values[ends], np.full(len(vertices) - len(ends), np.inf)])
        return np.zeros(len(deaths)), deaths, ends
    starts, cofacets = _coboundaries(vertices, above)
    kept = np.ones(len(vertices), bool)
    kept[cleared] = False
    owners = reduce_cohomology(np.flatnonzero(kept)[::-1], starts, cofacets, len(above))
    ends = np.flatnonzero(owners >= 0)
    kept[owners[ends]] = False
    endless = np.flatnonzero(kept)
    births = np.concatenate([values[owners[ends]], values[endless]])
    return births, np.concatenate([above_values[ends], np.full(len(endless), np.inf)]), ends


def _coboundaries(
    vertices: np.ndarray, above: np.ndarray
) -> tuple[Int[np.ndarray, " s"], Int[np.ndarray, " c"]]:
    """Each simplex's cofacets, by their place in the filtration, rising."""
    base = int(max(vertices.max(initial=0), above.max(initial=0))) + 1
    weights = base ** np.arange(vertices.shape[1] - 1, -1, -1, dtype=np.int64)
    packed = vertices @ weights
    order = np.argsort(packed)
    facets = np.stack([np.delete(above, i, axis=1) @ weights for i in range(above.shape[1])], axis=1)
    rows = order[np.searchsorted(packed[order], facets.ravel())]
    by_facet = np.argsort(rows, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(vertices)))])
    return starts, by_facet // above.shape[1]
