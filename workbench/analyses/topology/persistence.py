"""Persistent homology: components, loops and voids, and the range of scales that each lives through."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval, MinLen
from typing_extensions import Doc

from workbench.analyses.topology._barcodes import (
    SPACES,
    AnyMetric,
    Bars,
    Engine,
    bars_of,
    check_size,
    distances_of,
    longest,
    rows_of,
)
from workbench.analyses.topology._longest_bars import longest_bars, summary
from workbench.core.device import resolve
from workbench.core.early import show_early
from workbench.core.errors import ParameterError
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.cycles import dying_components, loop_through
from workbench.numerics.distances import among
from workbench.numerics.landmarks import farthest_first
from workbench.numerics.threads import one_thread
from workbench.results.diagram import Diagram
from workbench.subjects.points import Points

SPARSE_ROWS = 4000  # whose distances, several times over, take a gigabyte


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

    The statistic of loops and voids is the longest bar's log(death / birth), relative to the mean of all others of the same
    cloud: noise has about the same longest bar then, whatever its distribution, scale and dimension (universality,
    Bobrowski and Skraba 2023). Where bars are rare or minute, as on a curve without noise, half the typical bar of a
    Gaussian cloud of the same covariance takes the place of the cloud's own. Of components it is how much thinner rows lie
    between two of them than in the thinner one (see `workbench.numerics.robust_linkage`), where one holds 5 % of the rows:
    an outlier ends its bar of H0 late, and is no group. The null is one lump, whatever its covariance, tails and margins
    (see `workbench.numerics.lumps`), with rows of one text as alike as they are; of components it is also that rows lie in
    one piece of any shape, whose valleys are those inside their pieces (see `workbench.numerics.pieces`), since a curve has
    deeper ones by chance than a lump. Under the cosine metric the lumps are made of the rows and then seen in direction. Of
    loops and beyond there is an interval, of at least 95 %. Statistic, null and interval are taken at up to 400 rows, whole
    texts and one of each token where the table says so, and from loops on at 128 landmarks (64 with voids, 48, 40 and 30
    with hollows of dimension 3, 4 and 5); the evidence's ``n`` says how many rows. Where neither null nor interval is asked
    for, the statistic of loops and beyond is that of the bars themselves. Of given distances (``metric="precomputed"``)
    there is no null.

    On a GPU the bars come from our engine. On a CPU they come from giotto-ph where it answers sooner (components and
    loops of up to 500 rows, or 100 once our engine is loaded) and for other coefficients than 2, else from our
    engine. Before our engine was ever compiled, up to 1,000 rows are giotto-ph's on both. They are the same bars. The
    control's small barcodes are always made on the CPU.

    Returns
    -------
    Diagram
        ``pairs`` (m, 3) float32. Representatives: H0 (every bar, if any), the rows of the smaller component at the
        merge; H1, a loop that is born with the bar and is the shortest through its last edge,
        which may differ from the bar's own class by older loops; from H2 on, the rows
        of a cycle that is born with the bar and is a boundary from its death on and not before (modulo 2;
        none for other coefficients). With ``sparse``, none. ``noise`` is NaN for components, of which no single bar is
        tested, and in dimensions not asked for.

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
    2023, A universal null-distribution for topological data analysis, Sci. Rep. 13; Chaudhuri and Dasgupta 2010, Rates of
    convergence for the cluster tree, NIPS.
    """
    dimensions = tuple(sorted(set(homology_dimensions)))
    rows = rows_of(points, metric)
    if sparse:
        at, radius = np.arange(points.n), 0.0
        bars = _sparse(points, rows, metric, dimensions[-1], max_edge_length, coeff, sparse)
        listed = [np.empty(0, np.int64) for k in dimensions for _ in bars[k].values]
    else:
        with one_thread():
            at, radius = farthest_first(rows, max_points, SPACES[metric], resolve(device))
        check_size(dimensions[-1], len(at), max_points, coeff)
        distances = distances_of(among(rows, at, metric), metric, points.name)
        engine = Engine.choose(device, dimensions[-1], len(at), coeff, max_edge_length)
        bars = bars_of(distances, dimensions, engine, cycles)
        listed = _representatives(distances, dimensions, bars, cycles)
    pairs = [np.insert(bars[k].values, 2, k, axis=1) for k in dimensions]
    result = Diagram(
        pairs=np.concatenate(pairs).astype(np.float32),
        cycle_ids=points.ids[at][np.concatenate([np.empty(0, np.int64), *listed])],
        cycle_starts=np.cumsum([0, *map(len, listed)]),
        caveat=_caveat(len(at), points.n, radius, metric, coeff, bars, sparse),
    )
    show_early(result)
    evidence, noise = longest_bars(
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
    )
    return replace(result, noise=noise, evidence=evidence)


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
