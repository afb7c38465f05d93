"""Persistent homology: components, loops and voids, and the range of scales that each lives through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Interval, MinLen
from typing_extensions import Doc

from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.core.results import Diagram
from workbench.core.views import Points
from workbench.numerics.cycles import dying_components, loop_through
from workbench.numerics.landmarks import MetricSpace, farthest_first
from workbench.numerics.resampling import null_draws, subsample_intervals
from workbench.numerics.surrogates import row_rotations
from workbench.numerics.threads import one_thread

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Metric = Literal["euclidean", "manhattan", "chebyshev", "cosine"]
# cosine distance breaks the triangle inequality; the chord between unit vectors orders rows in the same way
_SPACES: dict[str, MetricSpace] = {
    "euclidean": "euclidean", "manhattan": "cityblock", "chebyshev": "chebyshev", "cosine": "euclidean"
}  # fmt: skip
MAX_POINTS_H2 = 300  # rows; on a sphere of 400 the engine took a minute and 1.2 GB
CONTROL_ROWS = 1000
CONTROL_LANDMARKS = (200, 200, 100)  # by the highest dimension asked for: what a draw of the null costs
CYCLES = 60  # bars of H1, longest first, that get a representative: as many as a figure shows
_QUESTIONS = (
    "Do rows or groups stand apart further", "Is there a loop that lasts longer", "Is there a void that lasts longer"
)  # fmt: skip


class Bars(NamedTuple):
    """What the engine gives in one dimension: (b, 2) births and deaths, and the edges that set them."""

    values: Float[np.ndarray, "b 2"]
    edges: Int[np.ndarray, "b _"]


@analysis
def persistence(
    points: Points, *,
    metric: Annotated[Metric, Doc("Distance between rows.")] = "euclidean",
    homology_dimensions: Annotated[
        tuple[Annotated[int, Interval(ge=0, le=2)], ...], MinLen(1),
        Doc("0 components, 1 loops, 2 voids (slow: seconds at 200 rows)."),
    ] = (0, 1),
    max_edge_length: Annotated[
        float | None, Interval(gt=0), Doc("Longest distance looked at; bars that live on have no end. None: all.")
    ] = None,
    coeff: Annotated[Literal[2, 3, 5, 7, 11], Doc("Homology has coefficients in the integers modulo this prime.")] = 2,
    max_points: Annotated[
        int, Interval(ge=3, le=1000), Doc("More rows than this are represented by so many landmarks.")
    ] = 256,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 30,
    random_state: Seed = 0,
) -> Diagram:  # fmt: skip
    """Compute the Vietoris-Rips barcode: at which distances components, loops and voids appear and vanish.

    More than ``max_points`` rows are represented by landmarks, each the row farthest from those before
    it; the caveat gives the most that any birth or death is off by for it (twice the covering radius,
    bottleneck distance).

    The statistic compares the longest bar with the typical one of the same cloud. Loops and voids count by
    log(death / birth), relative to the mean of all others: noise has about the same longest bar then,
    whatever its distribution, scale and dimension (universality, Bobrowski and Skraba 2023). Components, all
    born at 0, count by their death, relative to the median. The null rotates the rows at random about their
    mean, which keeps mean and covariance and turns any cloud into a Gaussian one; the test is exact for
    Gaussian data of any covariance. (Shuffling columns would make every correlated cloud significant, since
    it raises the dimension that the rows fill.) Where bars are rare or minute, as on a curve without noise,
    half the typical bar of the null takes the place of the cloud's own. Statistic, null and interval are
    taken at up to 1000 rows and 200 landmarks (100 with voids); the evidence's ``n`` says how many rows.

    Returns
    -------
    Diagram
        ``pairs`` (m, 3) float32. Representatives: H0, the rows of the smaller component at the merge; H1
        (the longest 60 bars), a loop that is born with the bar and is the shortest through its last edge,
        which may differ from the bar's own class by older loops; H2, none. ``noise`` is NaN in
        dimensions not asked for.

    Raises
    ------
    DataError
        Fewer than two rows, all rows equal, a row without length under the cosine metric, or distances
        outside the range of single precision.
    ParameterError
        Voids of more than 300 rows.

    References
    ----------
    Bauer 2021, Ripser: efficient computation of Vietoris-Rips persistence barcodes, J. Appl. Comput.
    Topol. 5; Perez, Hauke, Lupo, Caorsi and Dassatti 2021, giotto-ph, arXiv:2107.05412; Chazal, de Silva
    and Oudot 2014, Persistence stability for geometric complexes, Geom. Dedicata 173; Bobrowski and Skraba
    2023, A universal null-distribution for topological data analysis, Sci. Rep. 13; Langsrud 2005, Rotation
    tests, Statistics and Computing 15.
    """
    dimensions = tuple(sorted(set(homology_dimensions)))
    rows = _rows(points, metric)
    with one_thread():
        at, radius = farthest_first(rows, max_points, _SPACES[metric])
    if 2 in dimensions and len(at) > MAX_POINTS_H2:
        raise ParameterError(
            f"persistence: voids (homology dimension 2) of {len(at)} rows would take minutes and gigabytes. "
            f"Lower max_points={max_points} to at most {MAX_POINTS_H2}, or leave 2 out of homology_dimensions."
        )
    distances = _distances(rows[at], metric, points.name)
    bars = _rips(distances, dimensions[-1], max_edge_length, coeff)
    cycles = {0: _components(distances, bars[0]), 1: _loops(distances, bars[1]) if len(bars) > 1 else []}
    listed = [c for k in dimensions for c in cycles.get(k, [np.empty(0, np.int64)] * len(bars[k].values))]
    pairs = [np.insert(bars[k].values, 2, k, axis=1) for k in dimensions]
    evidence, noise = _control(
        points, rows, metric, dimensions, max_edge_length, coeff, n_null, n_boot, random_state
    )
    return Diagram(
        pairs=np.concatenate(pairs).astype(np.float32),
        cycle_ids=points.ids[at][np.concatenate([np.empty(0, np.int64), *listed])],
        cycle_starts=np.cumsum([0, *map(len, listed)]),
        noise=noise,
        evidence=evidence,
        caveat=_caveat(len(at), points.n, radius, metric, coeff),
    )  # fmt: skip


def _rows(points: Points, metric: Metric) -> np.ndarray:
    """Rows in float64, of length one for the cosine metric."""
    x = points.values.astype(np.float64)
    if len(x) < 2:
        raise DataError(f"{points.name} has {len(x)} rows; a barcode needs at least 2.")
    if metric == "cosine":
        length = np.linalg.norm(x, axis=1, keepdims=True)
        if not length.all():
            raise DataError(
                f"{points.name} has {int((length == 0).sum()):,} rows of zeros, which have no direction: "
                f"the cosine metric can't place them. Leave them out or use metric='euclidean'."
            )
        x = x / length
    if _all_equal(x):
        said = " in direction" if metric == "cosine" else ""
        raise DataError(f"All {len(x):,} rows of {points.name} are equal{said}: there is no shape to see.")
    return x


def _all_equal(rows: np.ndarray) -> bool:
    """Whether rows differ by no more than rounding."""
    return bool(np.ptp(rows, axis=0).max() <= 8 * np.finfo(np.float64).eps * np.abs(rows).max())


def _distances(rows: np.ndarray, metric: Metric, name: str) -> np.ndarray:
    """Distances in single precision, which is what the engine computes in."""
    from scipy.spatial.distance import cdist

    d = cdist(rows, rows, _SPACES[metric])
    d = d**2 / 2 if metric == "cosine" else d
    largest = float(d.max())
    if not float(np.finfo(np.float32).tiny) < largest < float(np.finfo(np.float32).max):
        raise DataError(
            f"{name}: the largest distance is {largest:.3g}, outside the range of single precision. "
            f"Rescale the rows, for example by dividing them by their standard deviation."
        )
    return d.astype(np.float32)


def _rips(distances: np.ndarray, highest: int, max_edge_length: float | None, coeff: int) -> list[Bars]:
    """Bars by dimension; ``edges`` are birth vertex and death edge (H0) or birth edge and death edge."""
    from gph import ripser_parallel

    limit = np.inf if max_edge_length is None else max_edge_length
    # one thread: which of two equal simplices is named must not depend on the machine
    found = ripser_parallel(
        distances,
        metric="precomputed",
        maxdim=highest,
        thresh=limit,
        coeff=coeff,
        return_generators=True,
        n_threads=1,
    )
    finite0, finite, essential0, essential = found["gens"]
    edges = [(finite0, essential0.reshape(-1, 1)), *zip(finite, essential, strict=True)]
    bars = []
    for values, (ended, endless) in zip(found["dgms"], edges, strict=True):
        endless = np.pad(endless, ((0, 0), (0, ended.shape[1] - endless.shape[1])), constant_values=-1)
        lives_on = np.isinf(values[:, 1])
        where = np.empty((len(values), ended.shape[1]), np.int64)
        where[~lives_on], where[lives_on] = ended, endless
        bars.append(Bars(values, where))
    return bars


def _components(distances: np.ndarray, bars: Bars) -> list[np.ndarray]:
    """The rows of each component of H0: those that a merge swallows, or all that never merge."""
    ended = np.isfinite(bars.values[:, 1])
    order = np.argsort(bars.values[ended, 1], kind="stable")
    equal = np.argwhere(np.triu(distances == 0, 1))
    swallowed, left = dying_components(len(distances), bars.edges[ended][order, 1:], equal)
    out = [np.empty(0, np.int64)] * len(ended)
    for bar, component in zip(np.flatnonzero(ended)[order], swallowed, strict=True):
        out[bar] = component
    for bar, vertex in zip(np.flatnonzero(~ended), bars.edges[~ended, 0], strict=True):
        out[bar] = next(c for c in left if vertex in c)
    return out


def _loops(distances: np.ndarray, bars: Bars) -> list[np.ndarray]:
    out = [np.empty(0, np.int64)] * len(bars.values)
    for bar in np.argsort(bars.values[:, 0] - bars.values[:, 1], kind="stable")[:CYCLES]:
        a, b = map(int, bars.edges[bar, :2])
        out[bar] = loop_through(distances, (a, b), float(distances[a, b]))
    return out


def summary(bars: list[Bars], dimensions: tuple[int, ...], limit: float | None) -> Float[np.ndarray, "k 3"]:
    """Per dimension the longest bar, the typical bar and the longest by death minus birth; zeros without bars.

    Of components a bar is as long as its death, and typical is the median; of loops and voids it is as long
    as the logarithm of death over birth, and typical is the mean of all but the longest. A bar without end
    counts up to ``limit``; the component that is always there doesn't count.
    """
    out = np.zeros((len(dimensions), 3))
    for i, k in enumerate(dimensions):
        values = bars[k].values.astype(np.float64)
        if k == 0:
            values = values[np.argsort(values[:, 1], kind="stable")][:-1]
        if len(values):
            ends = values[:, 1] if limit is None else np.minimum(values[:, 1], limit)
            sizes = ends if k == 0 else np.log(ends / values[:, 0])
            others = np.sort(sizes)[:-1]
            typical = np.median(sizes) if k == 0 else others.mean() if len(others) else 0.0
            out[i] = sizes.max(), typical, (ends - values[:, 0]).max()
    return out


def relative(
    summaries: Float[np.ndarray, "... k 3"], floor: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "... k"]:
    """The statistic: the longest bar over the typical one, or over ``floor`` if the typical one is shorter."""
    typical = np.maximum(summaries[..., 1], floor)
    return summaries[..., 0] / np.where(typical > 0, typical, 1)


def _control(
    points: Points, rows: np.ndarray, metric: Metric, dimensions: tuple[int, ...], limit: float | None, coeff: int,
    n_null: int, n_boot: int, random_state: int,
) -> tuple[tuple[Evidence, ...], np.ndarray]:  # fmt: skip
    """One entry of evidence a dimension, and the null's longest bars."""
    pool = points.values.astype(np.float64)
    if len(pool) > CONTROL_ROWS:
        rng = np.random.default_rng([random_state, 0x706F6F6C])
        chosen = np.sort(rng.choice(len(pool), CONTROL_ROWS, replace=False))
        pool, rows = pool[chosen], rows[chosen]

    def summarise(x: np.ndarray) -> np.ndarray:
        if _all_equal(x):
            return np.zeros((len(dimensions), 3))
        at, _ = farthest_first(x, CONTROL_LANDMARKS[dimensions[-1]], _SPACES[metric])
        return summary(
            _rips(_distances(x[at], metric, points.name), dimensions[-1], limit, coeff), dimensions, limit
        )

    with one_thread():
        rotated, observed = row_rotations(pool), summarise(rows)

    def draw(rng: np.random.Generator) -> np.ndarray:
        x = rotated(rng)
        return summarise(x / np.linalg.norm(x, axis=1, keepdims=True) if metric == "cosine" else x)

    null = null_draws(draw, n_null, random_state, "persistence: null").reshape(n_null, len(dimensions), 3)
    # of the data and the draws alike, so that the test stays exact; half, so that it rarely matters
    floor = (
        np.median(np.concatenate([observed[None], null])[:, :, 1], axis=0) / 2 * (np.array(dimensions) > 0)
    )
    values, null_values = relative(observed, floor), relative(null, floor)
    intervals = subsample_intervals(
        lambda at: relative(summarise(rows[at]), floor), values, len(rows), n_boot, random_state, least=0
    )
    noise = np.full(dimensions[-1] + 1, np.nan)
    if n_null:
        noise[list(dimensions)] = np.quantile(null[:, :, 2], 0.95, axis=0)
    evidence = tuple(
        Evidence(
            question=f"{_QUESTIONS[k]} than in a Gaussian cloud of the same covariance?",
            statistic=f"H{k}, longest bar / {'median' if k == 0 else 'typical'} bar",
            value=values[i],
            n=len(pool),
            interval=intervals[i],
            interval_method="subsamples of half the rows",
            null="rows rotated at random" if n_null else "",
            null_values=tuple(null_values[:, i]),
        )
        for i, k in enumerate(dimensions)
    )
    return evidence, noise


def _caveat(landmarks: int, n: int, radius: float, metric: Metric, coeff: int) -> str:
    said = []
    if landmarks < n:
        scale = (
            ", on the scale of chords (the square root of twice the distance)" if metric == "cosine" else ""
        )
        said.append(
            f"{landmarks:,} of {n:,} rows, each the farthest from those before it, stand for all: no birth or death "
            f"is off by more than {2 * radius:.3g} (bottleneck distance{scale})."
        )
    if coeff != 2:
        said.append(f"Homology has coefficients in the integers modulo {coeff}.")
    return " ".join(said)
