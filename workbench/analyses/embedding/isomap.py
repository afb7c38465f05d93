"""Isomap: a layout that keeps distances along the neighbour graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._layouts import LAYOUTS, lay_out, moved, require_rows, warnings_raised
from workbench.core.errors import DataError
from workbench.core.evidence import Outcome
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.neighbours import AnyMetric
from workbench.results.embedding import Embedding
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from sklearn.manifold import Isomap

CONTROL_ROWS = 500  # a sheet is short-circuited where rows lie far apart
MAX_ROWS = 10_000  # all pairs of graph distances are held: 0.8 GB a copy


def estimator(n_neighbors: int, n_components: int, metric: str) -> Isomap:
    """Return scikit-learn's estimator."""
    from sklearn.manifold import Isomap

    # The iterative eigensolver would start from a seed that can't be given.
    return Isomap(n_neighbors=n_neighbors, n_components=n_components, metric=metric, eigen_solver="dense")


@analysis(estimator=estimator)
def isomap(
    points: Points,
    *,
    n_neighbors: Annotated[int, Interval(ge=1, le=1000), Doc("Neighbours of a row in the graph.")] = 10,
    n_components: Annotated[int, Interval(ge=1, le=100), Doc("Dimensions of the layout.")] = 2,
    metric: Annotated[
        AnyMetric, Doc("Distance between rows; 'precomputed': the rows are distances.")
    ] = "euclidean",
    n_null: NullDraws = LAYOUTS,
    random_state: Seed = 0,
) -> Embedding:
    """Lay rows out so that distances are those of shortest paths through the neighbour graph.

    It unrolls a bent sheet without a hole. One wrong edge between sheets (``n_neighbors`` too large)
    short-circuits it. The control is trustworthiness (by chance about a
    half), and how far it exceeds that of the same method's layouts of one lump of the same covariance, margins and tails
    (at most about 500 rows, in whole texts, one of each token, where the table says so).

    Returns
    -------
    Embedding
        ``values`` (n, n_components) float32; ``quality`` is each row's trustworthiness (empty above 5,000 rows).

    Raises
    ------
    DataError
        No more rows than ``n_neighbors`` or ``n_components``, more than 10,000, or all rows equal.

    References
    ----------
    Tenenbaum, de Silva and Langford 2000, A global geometric framework for nonlinear dimensionality
    reduction, Science 290.
    """
    points = moved(points, metric)
    require_rows(
        points,
        ("n_neighbors", n_neighbors, n_neighbors + 1),
        ("n_components", n_components, n_components + 1),
        metric=metric,
    )
    if points.n > MAX_ROWS:
        raise DataError(
            f"{points.name} has {points.n:,} rows. Isomap holds the distances of all pairs, so it takes at most "
            f"{MAX_ROWS:,}: ask it of subject.sample({MAX_ROWS})."
        )
    return lay_out(
        points,
        lambda x: _fit(x, n_neighbors, n_components, metric),
        axis="Isomap",
        metric=metric,
        n_null=n_null,
        least_rows=max(n_neighbors, n_components) + 2,
        control_rows=CONTROL_ROWS,
        random_state=random_state,
        apart=False,
    )


def _fit(x: np.ndarray, n_neighbors: int, n_components: int, metric: str) -> tuple[np.ndarray, Outcome]:
    model = estimator(n_neighbors, n_components, metric)
    try:
        with warnings_raised(
            "The number of connected components", "Changing the sparsity structure"
        ) as raised:
            layout = model.fit_transform(x.astype(np.float64)).astype(np.float32)
    except ValueError as e:
        if "negative eigenvalues" not in str(e):
            raise
        raise DataError(
            f"Distances along the neighbour graph fit no flat space of {n_components} dimensions: lower n_components."
        ) from e
    if not any(w.startswith("The number of connected") for w in raised):
        return layout, Outcome()
    return layout, Outcome(
        advice="The neighbour graph fell into pieces, which were joined by their shortest gaps: raise n_neighbors."
    )
