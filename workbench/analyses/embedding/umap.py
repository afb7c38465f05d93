"""UMAP: a layout whose fuzzy neighbour graph is as near as possible to the data's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._layouts import heard, lay_out, require_rows
from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Outcome
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.core.results import Embedding
from workbench.core.views import Points
from workbench.numerics.compiling import import_umap
from workbench.numerics.neighbours import Metric, k_nearest

if TYPE_CHECKING:
    from umap import UMAP

EXPECTED = (
    "Spectral initialisation failed",
    "Graph is not fully connected",
    "precomputed_knn[2]",  # no search index, which only new rows would need
    # of the first trial in fitting a curve to min_dist and spread; beyond the ranges declared here that fit fails
    # unsaid, and the layout is of something else
    "divide by zero encountered in power",
)
EXACT_ABOVE, EXACT_UP_TO = 4096, 20_000  # umap itself is exact below the first and approximate from there on


def estimator(
    n_neighbors: int, n_components: int, metric: str, min_dist: float, spread: float, n_epochs: int | None,
    init: str, negative_sample_rate: int, random_state: int, **options: Any,
) -> UMAP:  # fmt: skip
    """Return umap-learn's estimator."""
    if min_dist > spread:
        raise ParameterError(
            f"umap: min_dist={min_dist:g} is above spread={spread:g}: rows can't be kept further apart than the scale "
            f"of the layout. Lower min_dist or raise spread."
        )
    return import_umap().UMAP(
        n_neighbors=n_neighbors, n_components=n_components, metric=metric, min_dist=min_dist, spread=spread,
        n_epochs=n_epochs, init=init, negative_sample_rate=negative_sample_rate, random_state=random_state,
        n_jobs=1,  # what a seed makes of it anyway, with a warning
        **options,
    )  # fmt: skip


@analysis(estimator=estimator)
def umap(
    points: Points, *,
    n_neighbors: Annotated[int, Interval(ge=2, le=1000), Doc("Neighbours of a row: few show detail, many the whole.")] = 15,
    n_components: Annotated[int, Interval(ge=1, le=100), Doc("Dimensions of the layout.")] = 2,
    metric: Annotated[Metric, Doc("Distance between rows.")] = "euclidean",
    min_dist: Annotated[float, Interval(ge=0, le=5), Doc("Least distance of rows in the layout; at most spread.")] = 0.1,
    spread: Annotated[float, Interval(ge=0.3, le=5), Doc("Scale of the layout's clumps.")] = 1.0,
    n_epochs: Annotated[
        Annotated[int, Interval(ge=1, le=5000)] | None,
        Doc("Passes over the graph's edges; None: 500, or 200 above 10,000 rows."),
    ] = None,
    init: Annotated[Literal["spectral", "pca", "random"], Doc("Where rows start.")] = "spectral",
    negative_sample_rate: Annotated[int, Interval(ge=1, le=50), Doc("Rows pushed away for each one that is drawn near.")] = 5,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Embedding:  # fmt: skip
    """Lay rows out so that near neighbours stay near (uniform manifold approximation and projection).

    Distances between clumps and their sizes mean little; who is next to whom is what the layout is about,
    and what its control measures: trustworthiness against the layout's rows permuted, and against the same
    method's layout of shuffled columns, in which it also finds clumps. From 4,096 to 20,000 rows the
    neighbours are exact where umap-learn would approximate them.

    Returns
    -------
    Embedding
        ``values`` (n, n_components) float32; ``quality`` is each row's trustworthiness (empty above 5,000 rows).

    Raises
    ------
    DataError
        No more rows than ``n_neighbors`` or than ``n_components`` + 1, or all rows equal.
    ParameterError
        ``min_dist`` above ``spread``.

    References
    ----------
    McInnes, Healy and Melville 2018, UMAP, arXiv:1802.03426; Venna and Kaski 2001, ICANN.
    """
    require_rows(
        points,
        ("n_neighbors", n_neighbors, n_neighbors + 1),
        ("n_components", n_components, n_components + 2),
        metric=metric,
    )
    d = points.values.shape[1]
    if init == "pca" and n_components > d:
        raise DataError(
            f"{points.name} has {d:,} columns: init='pca' can start at most {d} components. Use init='spectral'."
        )
    chosen = {
        "n_neighbors": n_neighbors, "n_components": n_components, "metric": metric, "min_dist": min_dist,
        "spread": spread, "n_epochs": n_epochs, "init": init, "negative_sample_rate": negative_sample_rate,
        "random_state": random_state,
    }  # fmt: skip
    return lay_out(
        points, lambda x: _fit(x, chosen), axis="UMAP", metric=metric, n_null=n_null,
        control_rows=2 * max(n_neighbors, n_components), random_state=random_state,
    )  # fmt: skip


def _fit(x: np.ndarray, chosen: dict[str, Any]) -> tuple[np.ndarray, Outcome]:
    """Lay out ``x`` and say what umap-learn had to work around."""
    from scipy.sparse.csgraph import connected_components

    options: dict[str, Any] = {}
    if EXACT_ABOVE <= len(x) <= EXACT_UP_TO:
        indices, distances = k_nearest(x, chosen["n_neighbors"] - 1, chosen["metric"])
        itself = np.arange(len(x))[:, None]
        options["precomputed_knn"] = (
            np.hstack([itself, indices]), np.hstack([np.zeros_like(itself), distances]).astype(np.float32), None
        )  # fmt: skip
    model = estimator(**chosen, **options)
    with heard(*EXPECTED) as said:
        layout = np.asarray(model.fit_transform(x), dtype=np.float32)
    advice = []
    pieces = connected_components(model.graph_, directed=False)[0]
    if pieces > 1:
        advice.append(
            f"The neighbour graph fell into {pieces} pieces, whose places in the layout say nothing: raise n_neighbors."
        )
    if any(w.startswith("Spectral") for w in said):
        advice.append("The spectral start failed and rows started at random: try init='pca'.")
    return layout, Outcome(advice=" ".join(advice))
