"""Persistence image: a barcode as a picture of fixed size, which is a vector to compare or learn from."""

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
from workbench.results.matrix import MatrixResult
from workbench.subjects.points import Points


@analysis
def persistence_image(
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
    sigma: Annotated[
        float | None,
        Interval(gt=0),
        Doc("Width of the Gaussian that a bar becomes, a distance. None: a twentieth of the range."),
    ] = None,
    n_bins: Annotated[int, Interval(ge=2, le=200), Doc("Pixels along birth and along persistence.")] = 20,
    max_points: Annotated[
        int, Interval(ge=3, le=1000), Doc("More rows than this are represented by so many landmarks.")
    ] = 128,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 30,
    random_state: Seed = 0,
) -> MatrixResult:
    """Draw the bars of one dimension as a picture: a Gaussian each, at its birth and persistence.

    Persistence is death minus birth. A bar counts in proportion to it, so that bars of no length, which come
    and go with noise, leave no mark. Bars without end (one component) are left out; both axes reach from 0 to
    the largest death. The question is asked of the picture's height: its mean persistence, weighted as the
    picture is, which a long bar among short ones raises. The null is one lump like the rows (see `persistence`; of given
    distances there is none); nothing is asked of components, whose longest bar is an outlier's as a rule. All is taken at
    up to 400 rows, in whole texts, one of each token; the height's interval is of at least 95 %.

    Returns
    -------
    MatrixResult
        ``values`` a row a pixel of persistence, largest first, a column a pixel of birth; ``low`` and ``high``
        from subsamples of half the rows, or half the texts.

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
    Adams et al. 2017, Persistence images: a stable vector representation of persistent homology, JMLR 18.
    """
    gtda = giotto("diagrams._metrics")
    shape = Shape(homology_dimension, metric, max_points, points.name)
    ends: list[float] = []  # of the data's own bars, which are measured first

    def measure(bars: np.ndarray) -> np.ndarray:
        if not ends:
            ends.append(float(bars[:, 1].max(initial=0)) or 1.0)
        size = bars[:, 1] - bars[:, 0]
        height = (size**2).sum() / max(size.sum(), np.finfo(float).tiny)
        axis, step = np.linspace(0, ends[0], n_bins, retstep=True)
        some = bars if len(bars) else np.zeros((1, 2))
        image = gtda.persistence_images(
            some[None].copy(),
            np.column_stack([axis, axis]),
            np.array([step, step]),
            ends[0] / 20 if sigma is None else sigma,
            axis / ends[0],
        )
        return np.append(image[0].ravel(), height)

    values, _, intervals, said = measured(
        points, shape, measure, n_null, n_boot, random_state, "persistence_image"
    )
    low, high = np.array([i or (np.nan, np.nan) for i in intervals[:-1]]).T.reshape(2, n_bins, n_bins)
    empty = np.empty((0, 0))
    names = tuple(f"{v:.3g}" for v in np.linspace(0, ends[0], n_bins))
    return MatrixResult(
        values=values[:-1].reshape(n_bins, n_bins),
        low=low if intervals[0] else empty,
        high=high if intervals[0] else empty,
        row_names=tuple(f"persistence {v}" for v in names[::-1]),
        column_names=tuple(f"birth {v}" for v in names),
        quantity=f"density of H{homology_dimension}",
        evidence=(
            Evidence(
                question=f"Are {noun(homology_dimension)}s longer than in one lump like the rows?",
                id="height",
                label=f"H{homology_dimension}, height of the picture",
                conservative=True,  # half the rows have fewer bars, and heights that vary more than twice as much
                **said,
            ),
        ),
    )
