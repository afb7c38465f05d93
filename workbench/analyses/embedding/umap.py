"""UMAP: a layout whose fuzzy neighbour graph is as near as possible to the data's."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._layouts import lay_out, moved, require_rows, warnings_raised
from workbench.core.device import resolve
from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Outcome
from workbench.core.parameters import Few, NullDraws, OnDevices, Seed
from workbench.core.registry import analysis
from workbench.numerics.distances import PRECOMPUTED
from workbench.numerics.neighbours import AnyMetric
from workbench.numerics.umap_engine import Engine
from workbench.results.embedding import Embedding
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from workbench.numerics.umap_estimator import UMAP

EXPECTED = (  # of umap-learn, where it answers
    "Spectral initialisation failed",
    "Graph is not fully connected",
    # of the first trial in fitting a curve to min_dist and spread; beyond the ranges declared here that fit fails
    # unsaid, and the layout is of something else
    "divide by zero encountered in power",
)


def engine(
    n_neighbors: int,
    n_components: int,
    metric: str,
    min_dist: float,
    spread: float,
    n_epochs: int | None,
    init: str,
    negative_sample_rate: int,
    densmap: bool,
    target_weight: float,
    random_state: int,
    device: str,
) -> Engine:
    """Return what lays out with these parameters."""
    if min_dist > spread:
        raise ParameterError(
            f"umap: min_dist={min_dist:g} is above spread={spread:g}: rows can't be kept further apart than the scale "
            f"of the layout. Lower min_dist or raise spread."
        )
    return Engine(
        n_neighbors=n_neighbors,
        n_components=n_components,
        metric=metric,
        min_dist=min_dist,
        spread=spread,
        n_epochs=n_epochs,
        init=init,
        negative_sample_rate=negative_sample_rate,
        densmap=densmap,
        target_weight=target_weight,
        random_state=random_state,
        device=device,
    )


@wraps(engine)
def estimator(**parameters: Any) -> UMAP:
    """Return our estimator, which has umap-learn's parameters."""
    from workbench.numerics.umap_estimator import UMAP

    return UMAP(**engine(**parameters).settings())


@analysis(estimator=estimator, title="UMAP")
def umap(
    points: Points,
    *,
    n_neighbors: Annotated[
        int, Interval(ge=2, le=1000), Doc("Neighbours of a row: few show detail, many the whole.")
    ] = 15,
    n_components: Annotated[int, Interval(ge=1, le=64), Doc("Dimensions of the layout.")] = 2,
    metric: Annotated[
        AnyMetric, Doc("Distance between rows; 'precomputed': the rows are distances.")
    ] = "euclidean",
    min_dist: Annotated[
        float, Interval(ge=0, le=5), Doc("Least distance of rows in the layout; at most spread.")
    ] = 0.1,
    spread: Annotated[float, Interval(ge=0.3, le=5), Doc("Scale of the layout's clumps.")] = 1.0,
    n_epochs: Annotated[
        Annotated[int, Interval(ge=1, le=5000)] | None,
        Few(20),
        Doc("Passes over the graph's edges; None: 500, or 200 above 10,000 rows."),
    ] = None,
    init: Annotated[Literal["spectral", "pca", "random"], Doc("Where rows start.")] = "spectral",
    negative_sample_rate: Annotated[
        int, Interval(ge=1, le=50), Doc("Rows pushed away for each one that is drawn near.")
    ] = 5,
    densmap: Annotated[bool, Doc("Keep how dense rows lie, too (densMAP).")] = False,
    target: Annotated[
        str, Doc("Column of the row table that the layout follows too: labels, or numbers. Empty: none.")
    ] = "",
    target_weight: Annotated[
        float, Interval(ge=0, le=1), Doc("How much the target counts beside the rows.")
    ] = 0.5,
    n_null: NullDraws = 3,  # of each lump: ten layouts of 200 rows take about as long as one of 2,000
    random_state: Seed = 0,
    device: OnDevices = "auto",
) -> Embedding:
    """Lay rows out so that near neighbours stay near (uniform manifold approximation and projection).

    Distances between clumps and their sizes mean little; who is next to whom is what the layout is about,
    and what its control measures: trustworthiness (by chance about a half), and how far it exceeds that of the same
    method's layouts of one lump of the same covariance, margins and tails, in which it also finds clumps (at most about
    200 rows, in whole texts, one of each token, where the table says so). On a CPU our own layout answers up
    to 40,000 rows, with exact neighbours, and umap-learn beyond; on a GPU ours always does, and beyond four million
    rows all GPUs share the neighbours and the layout. A layout that follows a target shows what was asked of it:
    groups of the target in it are no finding.

    Returns
    -------
    Embedding
        ``values`` (n, n_components) float32; ``quality`` is each row's trustworthiness (empty above 5,000 rows).

    Raises
    ------
    DataError
        No more rows than ``n_neighbors`` or than ``n_components`` + 1, or all rows equal.
    ParameterError
        ``min_dist`` above ``spread``, or ``init="pca"`` of distances.
    MissingError
        The row table has no column ``target``.

    References
    ----------
    McInnes, Healy and Melville 2018, UMAP, arXiv:1802.03426; Narayan, Berger and Cho 2021 (densMAP), Nat.
    Biotechnol. 39; Venna and Kaski 2001, ICANN.
    """
    points = moved(points, metric)
    require_rows(
        points,
        ("n_neighbors", n_neighbors, n_neighbors + 1),
        ("n_components", n_components, n_components + 2),
        metric=metric,
    )
    d = points.values.shape[1]
    if init == "pca" and metric == PRECOMPUTED:
        raise ParameterError(
            "umap: init='pca' starts from columns, which distances have none of. Use init='spectral' or 'random'."
        )
    if init == "pca" and n_components > d:
        raise DataError(
            f"{points.name} has {d:,} columns: init='pca' can start at most {d} components. Use init='spectral'."
        )
    model = engine(
        n_neighbors,
        n_components,
        metric,
        min_dist,
        spread,
        n_epochs,
        init,
        negative_sample_rate,
        densmap,
        target_weight,
        random_state,
        device,
    )
    steering = _steering(points, target) if target else None
    said = f"The layout was made to follow {target!r}: that its groups stand apart here is no finding."
    return lay_out(
        points,
        lambda x: _fit(model, x, steering),
        again=model.layouts,  # without a target
        device=resolve(device),
        axis="UMAP",
        metric=metric,
        n_null=n_null,
        least_rows=max(n_neighbors, n_components) + 2,
        random_state=random_state,
        caveat=said if target else "",
    )


def _steering(points: Points, target: str) -> np.ndarray:
    """The target column as numbers, or as codes of its labels, -1 where there is none."""
    import pandas as pd

    column = points.column(target)
    if column.dtype.kind != "f":
        return pd.factorize(column)[0]
    missing = int((~np.isfinite(column)).sum())
    if missing:
        raise DataError(
            f"{missing:,} of {points.n:,} rows of {points.name} have no finite {target!r} to follow. Leave them out "
            f"with select, or take another target."
        )
    return column


def _fit(model: Engine, x: Any, steering: np.ndarray | None) -> tuple[np.ndarray, Outcome]:
    """Lay out ``x`` and say what is to be known of it."""
    numbers = steering is not None and steering.dtype.kind == "f"
    fitted = model.anew(**({"target_metric": "euclidean"} if numbers else {}))
    with warnings_raised(*EXPECTED) as raised:
        fitted.fit_rows(x, steering)
    advice = []
    if fitted.pieces_ > 1:
        advice.append(
            f"The neighbour graph fell into {fitted.pieces_} pieces, whose places in the layout say nothing: raise "
            f"n_neighbors."
        )
    if any(w.startswith("Spectral") for w in raised):
        advice.append("The spectral start failed and rows started at random: try init='pca'.")
    return fitted.embedding_, Outcome(advice=" ".join(advice))
