"""Spectral embedding (Laplacian eigenmaps): rows placed by the slowest modes of a walk on their graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._layouts import lay_out, require_rows
from workbench.core.evidence import Outcome
from workbench.core.parameters import NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.walks import walk
from workbench.results.embedding import Embedding
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from sklearn.manifold import SpectralEmbedding


def estimator(n_components: int, n_neighbors: int, random_state: int) -> SpectralEmbedding:
    """Return scikit-learn's estimator."""
    from sklearn.manifold import SpectralEmbedding

    return SpectralEmbedding(
        n_components=n_components,
        n_neighbors=n_neighbors,
        affinity="nearest_neighbors",
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
    n_null: NullDraws = 99,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Embedding:
    """Lay rows out by the leading eigenvectors of their graph's normalized Laplacian.

    Of a graph in pieces the first eigenvectors say which piece a row is in.

    The control is trustworthiness, against the layout's rows permuted and against the same method's layout
    of shuffled columns.

    Returns
    -------
    Embedding
        ``values`` (n, n_components) float32; ``quality`` is each row's trustworthiness (empty above 5,000 rows).

    Raises
    ------
    DataError
        No more rows than ``n_neighbors`` or than ``n_components`` + 1, or all rows equal.

    References
    ----------
    Belkin and Niyogi 2003, Laplacian eigenmaps for dimensionality reduction and data representation,
    Neural Computation 15.
    """
    require_rows(
        points,
        ("n_neighbors", n_neighbors, n_neighbors + 1),
        ("n_components", n_components, n_components + 2),
    )
    return lay_out(
        points,
        lambda x: _fit(x, n_components, n_neighbors, random_state, device),
        axis="eigenvector",
        metric="euclidean",
        n_null=n_null,
        control_rows=2 * max(n_neighbors, n_components),
        random_state=random_state,
    )


def _fit(
    x: np.ndarray, n_components: int, n_neighbors: int, random_state: int, device: str
) -> tuple[np.ndarray, Outcome]:
    found = walk(x, n_components + 1, n_neighbors - 1, device=device, random_state=random_state)
    layout = found.modes[:, 1:]
    largest = np.abs(layout).argmax(axis=0)
    layout = (layout * np.sign(layout[largest, np.arange(n_components)])).astype(np.float32)
    if found.pieces == 1:
        return layout, Outcome()
    return layout, Outcome(
        advice=f"The neighbour graph fell into {found.pieces} pieces, which the leading eigenvectors tell apart instead of "
        f"showing the shape of each: raise n_neighbors, or ask it of one piece."
    )
