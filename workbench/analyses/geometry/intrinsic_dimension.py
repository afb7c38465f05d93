"""Intrinsic dimension: how many numbers a row's place among its neighbours takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.device import resolve
from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.one_lump import NULL, Tested, beside_lumps
from workbench.evidence.nulls.sampling import sampled, too_few
from workbench.numerics.distinct import count_distinct
from workbench.numerics.neighbours import k_nearest
from workbench.numerics.resampling import subsample_intervals
from workbench.results.estimate import Estimate
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float

CONTROL_ROWS = 400
MOST_AGAIN = 50_000  # rows that an interval's subsamples are of, where there are more
Found = list[tuple[tuple[float, float] | None, float]]
"""Each estimator's interval, and the share of the rows in its subsamples."""
ESTIMATORS = ("TwoNN", "maximum likelihood")


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
    n_boot: BootstrapDraws = 50,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Estimate:
    """Estimate the dimension of the surface that rows lie on, by two estimators that see two scales.

    TwoNN looks at the two nearest neighbours (the finest scale there is); the maximum-likelihood estimate
    of Levina and Bickel, its inverse averaged over rows as MacKay and Ghahramani showed it must be, at
    ``n_neighbors``. Both come out low in many dimensions with few rows: compare values at equal n.

    They are tested on at most 400 rows, one of each token and whole texts, where the table says so: rows that come
    again bring both estimates down. The null is one lump with the same covariance, margins and tails, which takes away
    all that bends the rows. What such a lump reads as, and how far the neighbours lie, is said in the caveat: the bias of
    many dimensions is the lump's too, so the estimates are to be read beside it, not beside the number of columns. The
    intervals are from subsamples of a quarter to a half of the rows; of more than 50,000, from subsamples of so many of
    them (whole groups), whose relative width is that of √(all / these) times as many rows.

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
    some = sampled(points, points.values, rows=max(CONTROL_ROWS, 4 * n_neighbors), random_state=random_state)
    again = _Again(n_neighbors, discard_fraction, n_boot, random_state)
    of_some = n > MOST_AGAIN and not some.thinned
    searched = n_neighbors if some.thinned or of_some else min(n - 1, again.listed)
    indices, distances = _nearest(x, searched, device)

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
    result = Estimate(
        per_row=per_row[inverse, None].astype(np.float32),
        ids=points.ids,
        names=("intrinsic dimension",),
    )
    if not some.thinned:  # else the estimates are those of fewer rows
        read = [
            Evidence(**_asked(of, n_neighbors), value=v, n=n)
            for of, v in zip(ESTIMATORS, values, strict=True)
        ]
        show_early(replace(result, evidence=tuple(read)))
    if some.thinned and len(some.at) < 4 * n_neighbors:
        why = too_few(points, some, 4 * n_neighbors)
        evidence = tuple(
            Evidence(**_asked(of, n_neighbors), value=value, n=n, **NULL.refused(why, "less"))
            for of, value in zip(ESTIMATORS, values, strict=True)
        )
        caveats = [f"Rows that come again bring the dimension down: {why}."]
    else:
        tested = beside_lumps(
            points,
            points.values,
            both,
            ("less", "less"),
            rows=max(CONTROL_ROWS, 4 * n_neighbors),
            n_null=n_null,
            random_state=random_state,
            what="intrinsic_dimension",
        )
        groups = points.groups if len(x) == points.n else None
        if tested.sample.thinned:  # rows that come again count once
            values, n = tested.values, len(tested.sample.at)
            indices, distances = k_nearest(points.values[tested.sample.at], min(n - 1, again.listed))
            groups = tested.sample.groups
        unit = points.unit if groups is not None else "rows"
        if n > MOST_AGAIN and n_boot > 1:
            unit = f"{unit} of {MOST_AGAIN:,} rows"
            found = _of_some(x, values, again, groups, device)
        else:
            found = _intervals(indices, distances, values, again, groups)
        evidence = tuple(
            Evidence(
                **_asked(of, n_neighbors),
                interval=interval,
                interval_method=f"subsamples of {fraction:.0%} of the {unit}",
                **tested.against(values, n, s),
            )
            for s, (of, (interval, fraction)) in enumerate(zip(ESTIMATORS, found, strict=True))
        )
        caveats = [_scale(points.values, distances, n_neighbors), *_reading(points.values, tested)]
    repeats = points.n - len(x)
    return replace(
        result,
        evidence=evidence,
        caveat=" ".join(
            [*caveats, *([f"{repeats:,} rows that repeat another were counted once."] if repeats else [])]
        ),
    )


def _asked(estimator: str, n_neighbors: int) -> dict[str, Any]:
    """The fields of `Evidence` that say what an estimator's number is."""
    name = estimator if estimator == ESTIMATORS[0] else f"{estimator}, {n_neighbors} neighbours"
    return {
        "question": f"Is the {name} dimension lower than that of one lump like the rows?",
        "id": "intrinsic_dimension",
        "of": estimator,
        "label": f"intrinsic dimension ({name})",
    }


class _Again(NamedTuple):
    """How the estimators are asked again, of subsamples."""

    n_neighbors: int
    discard_fraction: float
    n_boot: int
    random_state: int

    @property
    def listed(self) -> int:
        """Neighbours to list, for a subsample of a quarter of the rows to find its own among them."""
        return self.n_neighbors if self.n_boot < 2 else 8 * self.n_neighbors


def _of_some(
    x: np.ndarray, values: np.ndarray, again: _Again, groups: np.ndarray | None, device: str
) -> Found:
    """`_intervals` of about `MOST_AGAIN` of many rows, brought to the width that all rows have."""
    rng = np.random.default_rng([again.random_state, 0x736F6D65])
    if groups is None:
        at = np.sort(rng.choice(len(x), MOST_AGAIN, replace=False))
    else:  # whole groups, in an order drawn at random, until they hold enough rows
        sizes = np.bincount(groups)
        order = rng.permutation(len(sizes))
        taken = order[: 1 + int(np.searchsorted(sizes[order].cumsum(), MOST_AGAIN))]
        at = np.flatnonzero(np.isin(groups, taken))
        groups = np.unique(groups[at], return_inverse=True)[1]
    indices, distances = _nearest(x[at], again.listed, device)
    own = np.array([two_nn(distances, again.discard_fraction), likeliest(distances[:, : again.n_neighbors])])
    found = _intervals(indices, distances, own, again, groups)
    scales = np.sqrt(len(at) / len(x)) * values / own
    return [
        (
            interval
            and (
                max(0.0, float(value + scale * (interval[0] - mean))),
                float(value + scale * (interval[1] - mean)),
            ),
            fraction,
        )
        for value, mean, scale, (interval, fraction) in zip(values, own, scales, found, strict=True)
    ]


def _intervals(
    indices: np.ndarray,
    distances: np.ndarray,
    values: np.ndarray,
    again: _Again,
    groups: np.ndarray | None,
) -> Found:
    """Each estimator's interval and the share of the rows in its subsamples.

    Six times as many rows as neighbours, at least, where there are: in fewer, neighbours are no neighbours, and estimates
    vary less than they should. Two neighbours are near in a quarter of any rows.
    """
    n = len(indices)
    estimators: tuple[tuple[int, int, float, Callable[[np.ndarray], float]], ...] = (
        (2, 24, 0.25, lambda near: two_nn(near, again.discard_fraction)),
        (
            again.n_neighbors,
            indices.shape[1],
            float(np.clip(6 * again.n_neighbors / n, 0.25, 0.5)),
            likeliest,
        ),
    )
    made = []
    for s, (k, wide, fraction, estimate) in enumerate(estimators):
        near, far = indices[:, :wide], distances[:, :wide]

        def estimates(
            rows: np.ndarray,
            near: np.ndarray = near,
            far: np.ndarray = far,
            k: int = k,
            estimate: Callable[[np.ndarray], float] = estimate,
        ) -> np.ndarray:
            return np.array([estimate(nearest_within(near, far, rows, k))])

        interval = subsample_intervals(
            estimates,
            values[s : s + 1],
            n,
            again.n_boot,
            again.random_state,
            fraction,
            least=0,
            groups=groups,
        )[0]
        made.append((interval if interval is None or np.isfinite(interval).all() else None, fraction))
    return made


def _scale(x: np.ndarray, distances: np.ndarray, n_neighbors: int) -> str:
    """How far neighbours lie, beside how far rows spread: the scale at which the dimension was seen."""
    spread = float(np.sqrt(2 * x.var(axis=0, dtype=np.float64).sum()))
    second, last = (float(np.median(distances[:, k])) / spread for k in (1, n_neighbors - 1))
    return (
        f"The dimension was seen at a distance of {second:.2g} (second neighbour) and {last:.2g} (neighbour "
        f"{n_neighbors}) of the root mean square distance of two rows."
    )


def _reading(x: np.ndarray, tested: Tested) -> list[str]:
    """What one lump reads as, whose true dimension is known: the estimators' bias at this number of rows."""
    if not all(len(d.values) for d in tested.drawn):
        return []
    own = x[tested.sample.at].astype(np.float64)
    full = int(np.linalg.matrix_rank(own - own.mean(axis=0), rtol=1e-6))
    read = " and ".join(
        f"{d.values.mean():.1f} ({of})" for of, d in zip(ESTIMATORS, tested.drawn, strict=True)
    )
    return [
        f"At {len(own):,} rows a lump like them, which fills {full} directions, reads as {read}: estimates are to be "
        f"compared with that."
    ]


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
    if count_distinct(x) == len(x):
        return x, np.arange(len(x))
    x = x + 0  # so that -0 equals 0
    _, first, inverse = np.unique(x, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return x[first[order]], place[inverse.ravel()]
