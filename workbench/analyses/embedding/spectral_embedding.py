"""Spectral embedding (Laplacian eigenmaps): rows placed by the slowest modes of a walk on their graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._layouts import heard, lay_out, require_rows
from workbench.core.errors import DataError
from workbench.core.evidence import Outcome
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.core.results import Embedding
from workbench.core.views import Points

if TYPE_CHECKING:
    from sklearn.manifold import SpectralEmbedding

MAX_DENSE_ROWS = 10_000  # affinity="rbf" links all pairs


def estimator(
    n_components: int, n_neighbors: int, affinity: str, gamma: float | None, random_state: int
) -> SpectralEmbedding:
    """Return scikit-learn's estimator."""
    from sklearn.manifold import SpectralEmbedding

    return SpectralEmbedding(
        n_components=n_components,
        n_neighbors=n_neighbors,
        affinity=affinity,
        gamma=gamma,
        random_state=random_state,
    )


@analysis(estimator=estimator)
def spectral_embedding(
    points: Points, *,
    n_components: Annotated[int, Interval(ge=1, le=100), Doc("Dimensions of the layout.")] = 2,
    n_neighbors: Annotated[int, Interval(ge=2, le=1000), Doc("Neighbours of a row in the graph, itself included.")] = 15,
    affinity: Annotated[
        Literal["nearest_neighbors", "rbf"], Doc("Which rows are linked: near neighbours, or all with a Gaussian weight.")
    ] = "nearest_neighbors",
    gamma: Annotated[
        Annotated[float, Interval(ge=1e-6, le=1e6)] | None,
        Doc("Weight exp(-gamma distance^2) with affinity 'rbf'; None: 1 / number of columns."),
    ] = None,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 200,
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
        No more rows than ``n_neighbors`` or than ``n_components`` + 1, all rows equal, or more than 10,000
        with ``affinity="rbf"``.

    References
    ----------
    Belkin and Niyogi 2003, Laplacian eigenmaps for dimensionality reduction and data representation,
    Neural Computation 15.
    """
    neighbours = n_neighbors + 1 if affinity == "nearest_neighbors" else 0
    require_rows(
        points, ("n_neighbors", n_neighbors, neighbours), ("n_components", n_components, n_components + 2)
    )
    if affinity == "rbf" and points.n > MAX_DENSE_ROWS:
        raise DataError(
            f"{points.name} has {points.n:,} rows. affinity='rbf' links all pairs, so it takes at most "
            f"{MAX_DENSE_ROWS:,}: use affinity='nearest_neighbors' or ask it of subject.sample({MAX_DENSE_ROWS})."
        )
    model = estimator(n_components, n_neighbors, affinity, gamma, random_state)
    return lay_out(
        points, lambda x: _fit(model, x), axis="eigenvector", metric="euclidean", n_null=n_null, n_boot=n_boot,
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
