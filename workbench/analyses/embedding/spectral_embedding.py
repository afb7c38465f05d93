"""Spectral embedding (Laplacian eigenmaps): rows placed by the slowest modes of a walk on their graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._layouts import heard, lay_out, require_rows
from workbench.core.evidence import Outcome
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.core.results import Embedding
from workbench.core.views import Points

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
    points: Points, *,
    n_components: Annotated[int, Interval(ge=1, le=100), Doc("Dimensions of the layout.")] = 2,
    n_neighbors: Annotated[int, Interval(ge=2, le=1000), Doc("Neighbours of a row in the graph, itself included.")] = 15,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Embedding:  # fmt: skip
    """Lay rows out by the leading eigenvectors of their graph's normalized Laplacian.

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
    model = estimator(n_components, n_neighbors, random_state)
    return lay_out(
        points, lambda x: _fit(model, x), axis="eigenvector", metric="euclidean", n_null=n_null,
        control_rows=2 * max(n_neighbors, n_components), random_state=random_state,
    )  # fmt: skip


def _fit(model: Any, x: np.ndarray) -> tuple[np.ndarray, Outcome]:
    from sklearn.base import clone

    fitted: Any = clone(model)
    with heard("Graph is not fully connected") as said:
        layout = fitted.fit_transform(x.astype(np.float64)).astype(np.float32)
    if not said:
        return layout, Outcome()
    return layout, Outcome(
        advice="The neighbour graph fell into pieces, which the leading eigenvectors tell apart instead of showing the "
        "shape of each: raise n_neighbors, or ask it of one piece."
    )
