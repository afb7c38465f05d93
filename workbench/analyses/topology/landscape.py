"""Persistence landscape: a barcode as functions, which can be averaged and compared pointwise."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.topology._barcodes import AnyMetric, Shape, measured, noun
from workbench.analyses.topology._giotto import giotto
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.results.curve import Curve
from workbench.subjects.points import Points


@analysis(title="Persistence landscape")
def landscape(
    points: Points,
    *,
    metric: Annotated[
        AnyMetric, Doc("Distance between rows; 'precomputed': the rows are distances.")
    ] = "euclidean",
    homology_dimension: Annotated[
        int,
        Interval(ge=0, le=5),
        Doc("0 components, 1 loops, 2 voids, 3 to 5 hollows of so many dimensions."),
    ] = 1,
    n_layers: Annotated[
        int, Interval(ge=1, le=20), Doc("Layers: the highest function, the second highest and so on.")
    ] = 3,
    n_bins: Annotated[int, Interval(ge=2, le=1000), Doc("Distances at which the functions are read.")] = 100,
    max_points: Annotated[
        int, Interval(ge=3, le=1000), Doc("More rows than this are represented by so many landmarks.")
    ] = 128,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 30,
    random_state: Seed = 0,
) -> Curve:
    """Turn the bars of one dimension into a landscape: at each distance, how far inside its longest bars it lies.

    Each bar is a tent over its own range, half as high as it is long; layer k is the k-th highest tent at each
    distance. Bars without end (one component) are left out. The bands are pointwise: of subsamples of half the
    rows, or half the texts, around each layer, and of lumps like the rows (see `persistence`; of given distances there
    are none). The question is asked of the first layer's peak, half the longest bar; not of components, whose longest
    bar is an outlier's as a rule. All is taken at up to 400 rows, in whole texts, one of each token.

    Returns
    -------
    Curve
        A column a layer, from distance 0 to the largest death.

    Raises
    ------
    DataError
        As `persistence`.
    ParameterError
        More rows than the dimension allows.
    MissingError
        giotto-tda is not installed.

    References
    ----------
    Bubenik 2015, Statistical topological data analysis using persistence landscapes, JMLR 16.
    """
    gtda = giotto("diagrams._metrics")
    shape = Shape(homology_dimension, metric, max_points, points.name)
    grid: list[np.ndarray] = []  # of the data's own bars, which are measured first

    def measure(bars: np.ndarray) -> np.ndarray:
        if not grid:
            grid.append(np.linspace(0, bars[:, 1].max(initial=0) or 1.0, n_bins))
        peak = (bars[:, 1] - bars[:, 0]).max(initial=0) / 2
        some = bars if len(bars) else np.zeros((1, 2))
        layers = gtda.landscapes(some[None], grid[0][:, None, None], n_layers)
        return np.append(layers.reshape(n_layers, n_bins).T.ravel(), peak)

    values, null, intervals, said = measured(
        points, shape, measure, n_null, n_boot, random_state, "landscape"
    )
    y = values[:-1].reshape(n_bins, n_layers)
    empty = np.empty((0, 0))
    low, high = np.array([i or (np.nan, np.nan) for i in intervals[:-1]]).T.reshape(2, n_bins, n_layers)
    band = np.quantile(null[:, :-1], [0.025, 0.975], axis=0) if len(null) else None
    what = noun(homology_dimension)
    return Curve(
        x=grid[0],
        y=y,
        names=tuple(f"layer {k + 1}" for k in range(n_layers)),
        low=low if intervals[0] else empty,
        high=high if intervals[0] else empty,
        null_low=empty if band is None else band[0].reshape(y.shape),
        null_high=empty if band is None else band[1].reshape(y.shape),
        x_title="distance",
        y_title=f"landscape of H{homology_dimension}",
        evidence=(
            Evidence(
                question=f"Does a {what} last longer than any of one lump like the rows?",
                id="peak",
                label=f"H{homology_dimension}, peak of the landscape",
                **said,
            ),
        ),
    )
