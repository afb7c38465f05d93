"""Intrinsic dimension: how many numbers a row's place among its neighbours takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.device import resolve
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.one_lump import beside_lumps
from workbench.numerics.neighbours import k_nearest
from workbench.numerics.resampling import subsample_intervals
from workbench.results.estimate import Estimate
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float

CONTROL_ROWS = 750


@analysis
def intrinsic_dimension(
    points: Points,
    *,
    n_neighbors: Annotated[
        int,
        Interval(ge=3, le=1000),
        Doc("Neighbours behind the maximum-likelihood estimate; more rows, coarser scale."),
    ] = 20,
    discard_fraction: Annotated[
        float,
        Interval(ge=0.01, le=0.9),
        Doc("Share of the rows, those of the largest distance ratios, that TwoNN leaves out."),
    ] = 0.1,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Estimate:
    """Estimate the dimension of the surface that rows lie on, by two estimators that see two scales.

    TwoNN looks at the two nearest neighbours (the finest scale there is); the maximum-likelihood estimate
    of Levina and Bickel, its inverse averaged over rows as MacKay and Ghahramani showed it must be, at
    ``n_neighbors``. Both come out low in many dimensions with few rows: compare values at equal n.

    They are tested on at most 750 rows, one of each token and whole texts, where the table says so: rows that come
    again bring both estimates down. The null is one lump with the same covariance, margins and tails, which takes away
    all that bends the rows; the interval is from subsamples of a quarter of the rows.

    Returns
    -------
    Estimate
        ``per_row`` (n, 1) float32: the maximum-likelihood estimate row by row.

    Raises
    ------
    DataError
        Fewer distinct rows than four times ``n_neighbors``, or distances that are all tied.

    References
    ----------
    Facco, d'Errico, Rodriguez and Laio 2017, Estimating the intrinsic dimension of datasets by a minimal
    neighborhood information, Sci. Rep. 7:12140; Levina and Bickel 2004, Maximum likelihood estimation of
    intrinsic dimension, NIPS; MacKay and Ghahramani 2005, Comments on the former.
    """
    x, inverse = _distinct(points.values)
    n = len(x)
    if n < 4 * n_neighbors:
        most = n // 4
        raise DataError(
            f"{points.name} has {n:,} distinct rows: n_neighbors={n_neighbors} takes at least {4 * n_neighbors:,}. "
            + (f"Lower n_neighbors to {most} or give more rows." if most >= 3 else "Give more rows.")
        )
    # long enough lists for a subsample of a quarter of the rows to find its own neighbours in
    indices, distances = _nearest(x, min(n - 1, 8 * n_neighbors), device)

    def both(rows: np.ndarray) -> np.ndarray:
        near = k_nearest(rows, n_neighbors)[1]
        return np.array([two_nn(near, discard_fraction), likeliest(near)])

    values = np.array([two_nn(distances, discard_fraction), likeliest(distances[:, :n_neighbors])])
    per_row = row_dimensions(distances[:, :n_neighbors], x.shape[1])
    if not np.isfinite(values).all():
        raise DataError(
            f"The distances of {points.name} are tied: nearest and second nearest rows lie equally far, as on a grid. "
            f"Its dimension can't be told from distances; use rows that weren't rounded."
        )
    tested = beside_lumps(
        points,
        points.values,
        both,
        ("less", "less"),
        rows=max(CONTROL_ROWS, 2 * n_neighbors),
        n_null=n_null,
        random_state=random_state,
        what="intrinsic_dimension",
    )

    if tested.sample.thinned:  # rows that come again count once
        values, n = tested.values, len(tested.sample.at)
        indices, distances = k_nearest(points.values[tested.sample.at], min(n - 1, 8 * n_neighbors))
        groups = tested.sample.groups
    else:
        groups = points.groups if len(x) == points.n else None

    def subsampled(rows: np.ndarray) -> np.ndarray:
        near = [nearest_within(indices, distances, rows, k) for k in (2, n_neighbors)]
        return np.array([two_nn(near[0], discard_fraction), likeliest(near[1])])

    fraction = float(np.clip(2 * n_neighbors / n, 0.25, 0.5))
    intervals = subsample_intervals(
        subsampled, values, n, n_boot, random_state, fraction, least=0, groups=groups
    )
    estimators = {"TwoNN": "TwoNN", "maximum likelihood": f"maximum likelihood, {n_neighbors} neighbours"}
    evidence = tuple(
        Evidence(
            question=f"Is the {name} dimension lower than that of one lump like the rows?",
            id="intrinsic_dimension",
            of=estimator,
            label=f"intrinsic dimension ({name})",
            interval=interval,
            interval_method=f"subsamples of {fraction:.0%} of the {points.unit if groups is not None else 'rows'}",
            **tested.against(values, n, s),
        )
        for s, ((estimator, name), interval) in enumerate(zip(estimators.items(), intervals, strict=True))
    )
    repeats = points.n - len(x)
    return Estimate(
        per_row=per_row[inverse, None].astype(np.float32),
        ids=points.ids,
        names=("intrinsic dimension",),
        evidence=evidence,
        caveat=f"{repeats:,} rows that repeat another were counted once." if repeats else "",
    )


def _nearest(x: np.ndarray, k: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    device = resolve(device)
    if device != "cpu":
        from workbench.numerics import neighbours_torch

        found = neighbours_torch.k_nearest(x, k, search="exact", recall_rows=0, device=device).numpy()
        if found[1].min() > 0:  # rows that differ in double precision alone are told apart on the CPU
            return found
    return k_nearest(x, k)


def two_nn(distances: Float[np.ndarray, "n k"], discard_fraction: float) -> float:
    """Slope of -log(1 - F) over log(r2 / r1) through the origin; infinite where all ratios are 1."""
    ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    kept = int(len(ratios) * (1 - discard_fraction))
    rising = -np.log1p(-np.arange(1, kept + 1) / len(ratios))
    across = ratios[:kept]
    square = across @ across
    return float(across @ rising / square) if square > 0 else np.inf


def likeliest(distances: Float[np.ndarray, "n k"]) -> float:
    """Inverse of the rows' mean inverse dimension; infinite where all distances are tied."""
    mean = float(_inverse_dimensions(distances).mean())
    return 1 / mean if mean > 0 else np.inf


def row_dimensions(distances: Float[np.ndarray, "n k"], most: int) -> Float[np.ndarray, " n"]:
    """Levina and Bickel's estimate at each row; ``most`` where its distances are tied."""
    inverse = _inverse_dimensions(distances)
    return np.divide(1, inverse, out=np.full(len(inverse), float(most)), where=inverse > 0)


def nearest_within(
    indices: np.ndarray, distances: np.ndarray, rows: np.ndarray, k: int
) -> Float[np.ndarray, "r k"]:
    """Distances to the ``k`` nearest among ``rows``, from each row's longer list; the few whose list ends are left out."""
    inside = np.zeros(len(indices), bool)
    inside[rows] = True
    among = inside[indices[rows]]
    count = among.cumsum(axis=1)
    enough = count[:, -1] >= k
    return distances[rows][enough][(among & (count <= k))[enough]].reshape(-1, k)


def _inverse_dimensions(distances: np.ndarray) -> np.ndarray:
    return np.log(distances[:, -1:] / distances[:, :-1]).sum(axis=1) / (distances.shape[1] - 1)


def _distinct(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows in the order in which they come, and the position among them of each row."""
    x = x + 0  # so that -0 equals 0
    _, first, inverse = np.unique(x, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return x[first[order]], place[inverse.ravel()]
