"""Spectral embedding (Laplacian eigenmaps): rows placed by the slowest modes of a walk on their graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._beyond_lumps import NEIGHBOURS
from workbench.analyses.embedding._layouts import LAYOUTS, lay_out, require_rows
from workbench.core.device import resolve
from workbench.core.evidence import Outcome
from workbench.core.parameters import NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.distances import (
    PRECOMPUTED,
    Affinity,
    as_distances,
    like_distances,
    require_affinities,
    require_distances,
)
from workbench.numerics.walks import Walk, walk
from workbench.results.embedding import Embedding
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from sklearn.manifold import SpectralEmbedding

CONTROL_ROWS = 300


def estimator(
    n_components: int, n_neighbors: int, affinity: Affinity, random_state: int
) -> SpectralEmbedding:
    """Return scikit-learn's estimator."""
    from sklearn.manifold import SpectralEmbedding

    return SpectralEmbedding(
        n_components=n_components,
        n_neighbors=n_neighbors,
        affinity=affinity,
        random_state=random_state,
    )


@analysis(estimator=estimator)
def spectral_embedding(
    points: Points,
    *,
    n_components: Annotated[int, Interval(ge=1, le=100), Doc("Dimensions of the layout.")] = 2,
    n_neighbors: Annotated[
        int, Interval(ge=2, le=1000), Doc("Neighbours of a row in the graph, itself included.")
    ] = 15,
    affinity: Annotated[
        Affinity,
        Doc(
            "What the graph is made of: of rows; 'precomputed': the rows are affinities, which are the graph (n_neighbors "
            "isn't read); 'precomputed_nearest_neighbors': the rows are distances."
        ),
    ] = "nearest_neighbors",
    n_null: NullDraws = LAYOUTS,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Embedding:
    """Lay rows out by the leading eigenvectors of their graph's normalized Laplacian.

    Of a graph in pieces the first eigenvectors say which piece a row is in.

    The control is trustworthiness (by chance about a
    half), and how far it exceeds that of the same method's layouts of one lump of the same covariance, margins and tails
    (at most about 300 rows, in whole texts, one of each token, where the table says so).
    Given distances and affinities have no such lump. Of affinities, who has more is nearer.

    Returns
    -------
    Embedding
        ``values`` (n, n_components) float32; ``quality`` is each row's trustworthiness (empty above 5,000 rows).

    Raises
    ------
    DataError
        No more rows than ``n_neighbors`` or than ``n_components`` + 1, all rows equal, or what are given as
        distances or affinities are none.

    References
    ----------
    Belkin and Niyogi 2003, Laplacian eigenmaps for dimensionality reduction and data representation,
    Neural Computation 15.
    """
    graph: np.ndarray | None = None  # None: made of what is laid out
    told: tuple[str, ...] = ()
    if affinity == "precomputed":
        graph = require_affinities(points.values, points.name)
        told = (_ties(graph), like_distances(points.values, points.name))
        points = replace(points, values=as_distances(graph))
    elif affinity == "precomputed_nearest_neighbors":
        points = replace(
            points, values=require_distances(points.values, points.name, f"affinity={affinity!r}")
        )
    require_rows(
        points,
        ("n_neighbors", n_neighbors, n_neighbors + 1 if graph is None else 0),
        ("n_components", n_components, n_components + 2),
    )

    def fit(x: np.ndarray) -> tuple[np.ndarray, Outcome]:
        found = walk(
            x if graph is None else graph,
            n_components + 1,
            n_neighbors - 1,
            affinity=affinity,
            device=device,
            random_state=random_state,
        )
        return _layout_of(found, n_components, affinity)

    return lay_out(
        points,
        fit,
        axis="eigenvector",
        metric="euclidean" if affinity == "nearest_neighbors" else PRECOMPUTED,
        n_null=n_null,
        least_rows=max(n_neighbors, n_components) + 2,
        control_rows=CONTROL_ROWS,
        random_state=random_state,
        device=resolve(device),
        caveat=" ".join(filter(None, told)),
    )


def _ties(affinities: np.ndarray) -> str:
    """What is to be said where equal affinities leave open who is a neighbour: nothing, or a sentence."""
    n = len(affinities)
    k = min(NEIGHBOURS, (n - 1) // 2)
    if k < 1:
        return ""
    others = affinities.copy()
    np.fill_diagonal(others, -np.inf)
    most_first = np.sort(others, axis=1)[:, ::-1]
    tied = int((most_first[:, k - 1] == most_first[:, k]).sum())
    if not tied:
        return ""
    return (
        f"{tied:,} of {n:,} rows have equal affinities at the edge of their {k} neighbours: trustworthiness counts the "
        f"earlier row as nearer there."
    )


def _layout_of(found: Walk, n_components: int, affinity: Affinity) -> tuple[np.ndarray, Outcome]:
    layout = found.modes[:, 1:]
    largest = np.abs(layout).argmax(axis=0)
    layout = (layout * np.sign(layout[largest, np.arange(n_components)])).astype(np.float32)
    if found.pieces == 1:
        return layout, Outcome()
    graph, more = "neighbour graph", "raise n_neighbors"
    if affinity == PRECOMPUTED:
        graph, more = "graph of affinities", "give more affinities above 0"
    return layout, Outcome(
        advice=f"The {graph} fell into {found.pieces} pieces, which the leading eigenvectors tell apart instead of "
        f"showing the shape of each: {more}, or ask it of one piece."
    )
