"""Persistent homology: components, loops and voids, and the range of scales that each lives through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Interval, MinLen
from typing_extensions import Doc

from workbench.analyses.topology._barcodes import (
    SPACES,
    AnyMetric,
    Bars,
    Engine,
    all_equal,
    bars_of,
    check_size,
    distances_of,
    longest,
    noun,
    pool_of,
    rows_of,
)
from workbench.core.errors import ParameterError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.cycles import dying_components, loop_through
from workbench.numerics.distances import NO_ROWS, PRECOMPUTED, among
from workbench.numerics.landmarks import farthest_first
from workbench.numerics.resampling import null_draws, subsample_intervals
from workbench.numerics.surrogates import row_rotations
from workbench.numerics.threads import one_thread
from workbench.results.diagram import Diagram
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float

SPARSE_ROWS = 4000  # whose distances, several times over, take a gigabyte
CONTROL_LANDMARKS = (
    200,
    200,
    100,
    60,
    40,
    30,
)  # by the highest dimension asked for: what a draw of the null costs


@analysis(title="Persistent homology")
def persistence(
    points: Points,
    *,
    metric: Annotated[
        AnyMetric, Doc("Distance between rows; 'precomputed': the rows are distances.")
    ] = "euclidean",
    homology_dimensions: Annotated[
        tuple[Annotated[int, Interval(ge=0, le=5)], ...],
        MinLen(1),
        Doc(
            "0 components, 1 loops, 2 voids, 3 to 5 hollows of so many dimensions (for ever fewer rows: 64 for 5)."
        ),
    ] = (0, 1),
    max_edge_length: Annotated[
        float | None,
        Interval(gt=0),
        Doc("Longest distance looked at; bars that live on have no end. None: all."),
    ] = None,
    coeff: Annotated[
        Literal[2, 3, 5, 7, 11], Doc("Homology has coefficients in the integers modulo this prime.")
    ] = 2,
    max_points: Annotated[
        int, Interval(ge=3, le=1000), Doc("More rows than this are represented by so many landmarks.")
    ] = 256,
    sparse: Annotated[
        float,
        Interval(ge=0, le=10),
        Doc("Epsilon of a sparse filtration of all rows, in place of landmarks; 0 is exact."),
    ] = 0.0,
    cycles: Annotated[
        int,
        Interval(ge=0, le=10_000),
        Doc(
            "Bars of each dimension, longest first, whose rows are found, as many as a figure shows; 0: of no bar."
        ),
    ] = 60,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 30,
    device: OnDevice = "auto",
    random_state: Seed = 0,
) -> Diagram:
    """Compute the Vietoris-Rips barcode: at which distances components, loops, voids ... appear and vanish.

    More than ``max_points`` rows are represented by landmarks, each the row farthest from those before
    it; the caveat gives the most that any birth or death is off by for it (twice the covering radius,
    bottleneck distance), or says that no bar is as long as that. With ``sparse``, all rows (at most 4000) stand
    for themselves in a filtration that leaves out what it can: every birth and death is late by a factor of
    at most 1 + sparse, and only bars whose death is within that factor of their birth can come or go. It pays
    where rows fill few dimensions; 500 rows of noise in ten have too many simplices. The control stays as it is.

    The statistic compares the longest bar with the typical one of the same cloud. Loops and voids count by
    log(death / birth), relative to the mean of all others: noise has about the same longest bar then,
    whatever its distribution, scale and dimension (universality, Bobrowski and Skraba 2023). Components, all
    born at 0, count by their death, relative to the median. The null rotates the rows at random about their
    mean, which keeps mean and covariance and turns any cloud into a Gaussian one; the test is exact for
    Gaussian data of any covariance. (Shuffling columns would make every correlated cloud significant, since
    it raises the dimension that the rows fill.) Where bars are rare or minute, as on a curve without noise,
    half the typical bar of the null takes the place of the cloud's own. Statistic, null and interval are
    taken at up to 1000 rows and 200 landmarks (100 with voids, 60, 40 and 30 with hollows of dimension 3, 4 and
    5); the evidence's ``n`` says how many rows. Where neither null nor interval is asked for, the statistic is that of
    the bars themselves. Of given distances (``metric="precomputed"``) there is no null.

    On a GPU the bars come from our engine. On a CPU they come from giotto-ph where it answers sooner (components and
    loops of up to 500 rows, or 150 once our engine is loaded) and for other coefficients than 2, else from our
    engine. They are the same bars. The control's small barcodes are always made on the CPU.

    Returns
    -------
    Diagram
        ``pairs`` (m, 3) float32. Representatives: H0 (every bar, if any), the rows of the smaller component at the
        merge; H1, a loop that is born with the bar and is the shortest through its last edge,
        which may differ from the bar's own class by older loops; from H2 on, the rows
        of a cycle that is born with the bar and is a boundary from its death on and not before (modulo 2;
        none for other coefficients). With ``sparse``, none. ``noise`` is NaN in dimensions not asked for.

    Raises
    ------
    DataError
        Fewer than two rows, all rows equal, a row without length under the cosine metric, or distances
        outside the range of single precision.
    ParameterError
        More rows than the highest dimension allows: 400 for voids, then 200, 100 and 64; with other
        coefficients than 2, 300, 150, 80 and 50. With ``sparse``, more than 4000, or other coefficients than 2.

    References
    ----------
    Bauer 2021, Ripser: efficient computation of Vietoris-Rips persistence barcodes, J. Appl. Comput.
    Topol. 5; Perez, Hauke, Lupo, Caorsi and Dassatti 2021, giotto-ph, arXiv:2107.05412; Chazal, de Silva
    and Oudot 2014, Persistence stability for geometric complexes, Geom. Dedicata 173; Bobrowski and Skraba
    2023, A universal null-distribution for topological data analysis, Sci. Rep. 13; Langsrud 2005, Rotation
    tests, Statistics and Computing 15.
    """
    dimensions = tuple(sorted(set(homology_dimensions)))
    rows = rows_of(points, metric)
    if sparse:
        at, radius = np.arange(points.n), 0.0
        bars = _sparse(points, rows, metric, dimensions[-1], max_edge_length, coeff, sparse)
        listed = [np.empty(0, np.int64) for k in dimensions for _ in bars[k].values]
    else:
        with one_thread():
            at, radius = farthest_first(rows, max_points, SPACES[metric])
        check_size(dimensions[-1], len(at), max_points, coeff)
        distances = distances_of(among(rows, at, metric), metric, points.name)
        engine = Engine.choose(device, dimensions[-1], len(at), coeff, max_edge_length)
        with one_thread():
            bars = bars_of(distances, dimensions, engine, cycles)
        listed = _representatives(distances, dimensions, bars, cycles)
    pairs = [np.insert(bars[k].values, 2, k, axis=1) for k in dimensions]
    evidence, noise = _control(
        points,
        rows,
        metric,
        dimensions,
        max_edge_length,
        coeff,
        n_null,
        n_boot,
        random_state,
        summary(bars, dimensions, max_edge_length),
        len(at),
    )
    return Diagram(
        pairs=np.concatenate(pairs).astype(np.float32),
        cycle_ids=points.ids[at][np.concatenate([np.empty(0, np.int64), *listed])],
        cycle_starts=np.cumsum([0, *map(len, listed)]),
        noise=noise,
        evidence=evidence,
        caveat=_caveat(len(at), points.n, radius, metric, coeff, bars, sparse),
    )


def _question(dimension: int) -> str:
    if dimension == 0:
        return "Do rows or groups stand apart further"
    return f"Is there a {noun(dimension)} that lasts longer"


def _sparse(
    points: Points,
    rows: np.ndarray,
    metric: AnyMetric,
    highest: int,
    limit: float | None,
    coeff: int,
    sparse: float,
) -> list[Bars]:
    """Bars of all rows by a sparse filtration; which simplices set them isn't kept."""
    from workbench.numerics.sparse_rips import sparse_rips

    if coeff != 2:
        raise ParameterError(
            f"coeff={coeff} and sparse={sparse:g}: a sparse filtration is reduced modulo 2. Set coeff=2."
        )
    if points.n > SPARSE_ROWS:
        raise ParameterError(
            f"sparse={sparse:g} takes the distances of all {points.n:,} rows of {points.name}, and {SPARSE_ROWS:,} are the "
            f"most. Select fewer, or set sparse=0 for landmarks."
        )
    d = distances_of(rows, metric, points.name)
    longest = np.inf if limit is None else limit
    if metric == "cosine":  # the triangle inequality holds for chords
        pairs = sparse_rips(
            np.sqrt(2 * d), sparse, max_dimension=highest, threshold=float(np.sqrt(2 * longest))
        ).pairs
        pairs[:, :2] = pairs[:, :2] ** 2 / 2
    else:
        pairs = sparse_rips(d, sparse, max_dimension=highest, threshold=longest).pairs
    each = [pairs[pairs[:, 2] == k, :2] for k in range(highest + 1)]
    return [Bars(values, np.full((len(values), 2), -1), {}) for values in each]


def _representatives(
    distances: np.ndarray, dimensions: tuple[int, ...], bars: list[Bars], cycles: int
) -> list[np.ndarray]:
    """Row positions for every bar of the dimensions asked for; empty for none."""
    none = np.empty(0, np.int64)
    listed: list[np.ndarray] = []
    for k in dimensions:
        if k == 0 and cycles:
            listed += _components(distances, bars[0])
        elif k == 1 and cycles:
            listed += _loops(distances, bars[1], cycles)
        else:
            listed += [bars[k].cycles.get(b, none) for b in range(len(bars[k].values))]
    return listed


def _components(distances: np.ndarray, bars: Bars) -> list[np.ndarray]:
    """The rows of each component of H0: those that a merge swallows, or all that never merge."""
    ended = np.isfinite(bars.values[:, 1])
    order = np.argsort(bars.values[ended, 1], kind="stable")
    equal = np.argwhere(np.triu(distances == 0, 1))
    swallowed, left = dying_components(len(distances), bars.rows[ended][order], equal)
    out = [np.empty(0, np.int64)] * len(ended)
    for bar, component in zip(np.flatnonzero(ended)[order], swallowed, strict=True):
        out[bar] = component
    for bar, component in zip(np.flatnonzero(~ended), left, strict=True):
        out[bar] = component
    return out


def _loops(distances: np.ndarray, bars: Bars, cycles: int) -> list[np.ndarray]:
    out = [np.empty(0, np.int64)] * len(bars.values)
    for bar in longest(bars.values, cycles):
        a, b = map(int, bars.rows[bar])
        out[bar] = loop_through(distances, (a, b), float(distances[a, b]))
    return out


def summary(bars: list[Bars], dimensions: tuple[int, ...], limit: float | None) -> Float[np.ndarray, "k 2"]:
    """Per dimension the longest bar and the typical bar; zeros without bars.

    Of components a bar is as long as its death, and typical is the median; of loops and voids it is as long
    as the logarithm of death over birth, and typical is the mean of all but the longest. A bar without end
    counts up to ``limit``; the component that is always there doesn't count.
    """
    out = np.zeros((len(dimensions), 2))
    for i, k in enumerate(dimensions):
        values = bars[k].values.astype(np.float64)
        if k == 0:
            values = values[np.argsort(values[:, 1], kind="stable")][:-1]
        if len(values):
            ends = values[:, 1] if limit is None else np.minimum(values[:, 1], limit)
            sizes = ends if k == 0 else np.log(ends / values[:, 0])
            others = np.sort(sizes)[:-1]
            typical = np.median(sizes) if k == 0 else others.mean() if len(others) else 0.0
            out[i] = sizes.max(), typical
    return out


def relative(
    summaries: Float[np.ndarray, "... k 2"], floor: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "... k"]:
    """The statistic: the longest bar over the typical one, or over ``floor`` if the typical one is shorter."""
    typical = np.maximum(summaries[..., 1], floor)
    return summaries[..., 0] / np.where(typical > 0, typical, 1)


def _control(
    points: Points,
    rows: np.ndarray,
    metric: AnyMetric,
    dimensions: tuple[int, ...],
    limit: float | None,
    coeff: int,
    n_null: int,
    n_boot: int,
    random_state: int,
    own: Float[np.ndarray, "k 2"],
    n: int,
) -> tuple[tuple[Evidence, ...], np.ndarray]:
    """One entry of evidence a dimension, and how long the null's bars get beside the longest of ``n`` rows.

    The test is made on fewer landmarks than are drawn: the null's bars are scaled as the longest one is. Without
    null and interval the statistic is that of ``own``, the `summary` of the bars that are there already.
    """
    if not n_null and not n_boot:
        values = relative(own, np.zeros(len(own)))
        return _evidence(dimensions, values, n, [None] * len(values), np.empty((0, len(values)))), np.full(
            dimensions[-1] + 1, np.nan
        )
    chosen = pool_of(points.n, random_state)
    rows = among(rows, chosen, metric)
    if metric == PRECOMPUTED:
        n_null = 0
    most = CONTROL_LANDMARKS[dimensions[-1]]
    # where a GPU has the data's own bars, our engine is loaded, but so few rows are had sooner on the CPU
    engine = Engine.choose("cpu", dimensions[-1], min(points.n, most), coeff, limit)

    def summarise(x: np.ndarray) -> np.ndarray:
        if all_equal(x):
            return np.zeros((len(dimensions), 2))
        at, _ = farthest_first(x, most, SPACES[metric])
        return summary(
            bars_of(distances_of(among(x, at, metric), metric, points.name), dimensions, engine),
            dimensions,
            engine.limit,
        )

    with one_thread():
        observed = summarise(rows)
        rotated = row_rotations(points.values[chosen].astype(np.float64)) if n_null else None

    def draw(rng: np.random.Generator) -> np.ndarray:
        x = rotated(rng)  # type: ignore[misc]
        return summarise(x / np.linalg.norm(x, axis=1, keepdims=True) if metric == "cosine" else x)

    null = null_draws(draw, n_null, random_state, "persistence: null").reshape(n_null, len(dimensions), 2)
    # of the data and the draws alike, so that the test stays exact; half, so that it rarely matters
    floor = (
        np.median(np.concatenate([observed[None], null])[:, :, 1], axis=0) / 2 * (np.array(dimensions) > 0)
    )
    values, null_values = relative(observed, floor), relative(null, floor)
    intervals = subsample_intervals(
        lambda at: relative(summarise(among(rows, at, metric)), floor),
        values,
        len(rows),
        n_boot,
        random_state,
        least=0,
    )
    noise = np.full(dimensions[-1] + 1, np.nan)
    if n_null:
        scale = np.divide(own[:, 0], values, out=np.full(len(values), np.nan), where=values > 0)
        noise[list(dimensions)] = np.quantile(null_values, 0.95, axis=0) * scale
    untested = NO_ROWS if metric == PRECOMPUTED else ""
    return _evidence(dimensions, values, len(rows), intervals, null_values, untested), noise


def _evidence(
    dimensions: tuple[int, ...],
    values: np.ndarray,
    n: int,
    intervals: Sequence[tuple[float, float] | None],
    null_values: Float[np.ndarray, "m k"],
    untested: str = "",
) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            id="longest_bar",
            of=f"H{k}",
            question=f"{_question(k)} than in a Gaussian cloud of the same covariance?",
            label=f"H{k}, longest bar / {'median' if k == 0 else 'typical'} bar",
            value=values[i],
            n=n,
            interval=intervals[i],
            interval_method="subsamples of half the rows",
            null="rows rotated at random" if len(null_values) else "",
            hypothesis="the rows are one lump with this covariance",
            null_values=tuple(null_values[:, i]),
            untested=untested,
        )
        for i, k in enumerate(dimensions)
    )


def _caveat(
    landmarks: int, n: int, radius: float, metric: AnyMetric, coeff: int, bars: list[Bars], sparse: float
) -> str:
    said = []
    if sparse:
        factor = (1 + sparse) ** 2 if metric == "cosine" else 1 + sparse  # on chords, which are squared
        said.append(
            f"A sparse filtration of all {n:,} rows: births and deaths are late by a factor of at most {factor:.3g}, "
            f"and bars whose death is less than {factor:.3g} times their birth may be missing or made up."
        )
    ends = np.concatenate([b.values[np.isfinite(b.values[:, 1])] for b in bars]).astype(np.float64)
    chords = np.sqrt(2 * ends) if metric == "cosine" else ends
    if landmarks < n and 2 * radius >= (chords[:, 1] - chords[:, 0]).max(initial=0):
        said.append(
            f"This is the barcode of {landmarks:,} landmarks, each the farthest from those before it, and not of all "
            f"{n:,} rows: those lie up to {radius:.3g} from a landmark, so that no bar here is sure to be a bar of theirs."
        )
    elif landmarks < n:
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
