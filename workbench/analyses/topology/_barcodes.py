"""What the barcode methods share: rows, distances, the engines that give bars, and their control."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from workbench.core.device import Device
from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Alternative
from workbench.core.progress import tell
from workbench.evidence.nulls.one_lump import NULL, Tested, beside_lumps
from workbench.evidence.nulls.sampling import grouping, sampled
from workbench.numerics.controls import Drawn
from workbench.numerics.distances import NO_ROWS, PRECOMPUTED, among, require_distances
from workbench.numerics.exchangeable import Sample, sample
from workbench.numerics.landmarks import MetricSpace, farthest_first
from workbench.numerics.pairwise import pairwise
from workbench.numerics.resampling import subsample_intervals
from workbench.numerics.threads import one_thread
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Metric = Literal["euclidean", "manhattan", "chebyshev", "cosine"]
AnyMetric = Literal[Metric, "precomputed"]
# cosine distance breaks the triangle inequality; the chord between unit vectors orders rows in the same way
SPACES: dict[str, MetricSpace] = {
    "euclidean": "euclidean",
    "manhattan": "cityblock",
    "chebyshev": "chebyshev",
    "cosine": "euclidean",
    PRECOMPUTED: "precomputed",
}
# rows, from dimension 2 on: what takes ten seconds or a gigabyte on a sphere of that dimension (2 cores)
MAX_POINTS = {2: 400, 3: 200, 4: 100, 5: 64}
MAX_POINTS_GIOTTO = {2: 300, 3: 150, 4: 80, 5: 50}  # modulo other primes, by giotto-ph
OWN_ROWS = 500  # on a CPU, components and loops of no more rows are sooner had than our engine is loaded
LOADED_ROWS = 100  # and of no more than these when it is
FIRST_ROWS = 1000  # and of no more than these, on a GPU too, than it is compiled, which happens once
OWN_ENGINE = "workbench.numerics.rips"
CONTROL_ROWS = 400
OUTLIERS = "the longest bar of components is an outlier's as a rule; persistence asks of components that hold enough rows"


class Bars(NamedTuple):
    """What an engine gives in one dimension: (b, 2) births and deaths, sorted, and where they come from.

    ``rows`` are the edge that ends a component, the edge that begins a loop (-1: none), both in falling order.
    ``cycles`` maps bars of higher dimensions to the rows of a representative.
    """

    values: Float[np.ndarray, "b 2"]
    rows: Int[np.ndarray, "b 2"]
    cycles: dict[int, Int[np.ndarray, " c"]]


class Engine(NamedTuple):
    """Who computes bars: ours on a device, or giotto-ph."""

    own: bool
    device: Device
    coeff: int
    limit: float | None

    @classmethod
    def choose(
        cls, device: Device, highest: int, n: int, coeff: int = 2, limit: float | None = None
    ) -> Engine:
        """Ours on a GPU and where giotto-ph is missing; on a CPU, and before ours is compiled, whichever answers sooner.

        That hangs on whether ours is loaded, which takes longer than a small barcode, and was ever compiled, which takes
        longer than most. Nothing else does: both give the same bars and name the same edges, of equal ones too.
        """
        small = LOADED_ROWS if OWN_ENGINE in sys.modules else OWN_ROWS
        if coeff != 2 or find_spec("gph") is None:
            return cls(coeff == 2, device, coeff, limit)
        own = device != "cpu" or highest >= 2 or n > small
        if own and highest < 2 and n <= FIRST_ROWS:
            own = _compiled()
        return cls(own, device, coeff, limit)


def _compiled() -> bool:
    """Whether our engine was compiled, by this process or one before."""
    from workbench.numerics.compiling import kept
    from workbench.numerics.kernels.rips_columns import reduce_columns

    return bool(reduce_columns.signatures) or kept(reduce_columns)


def check_size(highest: int, n: int, max_points: int, coeff: int = 2) -> None:
    """Refuse more rows than the highest dimension allows, with the number that it does."""
    most = (MAX_POINTS if coeff == 2 else MAX_POINTS_GIOTTO).get(highest, n)
    if n > most:
        modulo = "" if coeff == 2 else f" modulo {coeff}"
        raise ParameterError(
            f"{noun(highest)}s (homology dimension {highest}) of {n} rows{modulo} would take minutes and gigabytes. "
            f"Lower max_points={max_points} to at most {most}, or ask for no more than homology dimension {highest - 1}."
        )


def noun(dimension: int) -> str:
    """What a class of one dimension is called."""
    return ("component", "loop", "void")[dimension] if dimension < 3 else f"{dimension}-dimensional hollow"


def rows_of(points: Points, metric: AnyMetric) -> np.ndarray:
    """Rows in float64, of length one for the cosine metric; or the distances, where those were given."""
    if points.n < 2:
        raise DataError(f"{points.name} has {points.n} rows; a barcode needs at least 2.")
    x = (
        require_distances(points.values, points.name)
        if metric == PRECOMPUTED
        else points.values.astype(np.float64)
    )
    if metric == "cosine":
        length = np.linalg.norm(x, axis=1, keepdims=True)
        if not length.all():
            raise DataError(
                f"{points.name} has {int((length == 0).sum()):,} rows of zeros, which have no direction: "
                f"the cosine metric can't place them. Leave them out or use metric='euclidean'."
            )
        x = x / length
    if all_equal(x):
        said = " in direction" if metric == "cosine" else ""
        raise DataError(
            f"All {len(x):,} rows of {points.name} are equal{said}: there is no shape to see. Give rows that differ."
        )
    return x


def all_equal(rows: np.ndarray) -> bool:
    """Whether rows differ by no more than rounding."""
    return bool(np.ptp(rows, axis=0).max() <= 8 * np.finfo(np.float64).eps * np.abs(rows).max())


def distances_of(rows: np.ndarray, metric: AnyMetric, name: str) -> np.ndarray:
    """Distances in single precision, which is what the engine computes in."""
    d = pairwise(rows, SPACES[metric])
    d = d**2 / 2 if metric == "cosine" else d
    largest = float(d.max())
    if not float(np.finfo(np.float32).tiny) < largest < float(np.finfo(np.float32).max):
        raise DataError(
            f"{name}: the largest distance is {largest:.3g}, outside the range of single precision. "
            f"Rescale the rows, for example by dividing them by their standard deviation."
        )
    return d.astype(np.float32)


def bars_of(
    distances: np.ndarray, dimensions: tuple[int, ...], engine: Engine, cycles: int | None = None
) -> list[Bars]:
    """Bars by dimension, up to the highest asked for; ``cycles`` of each asked for get a representative, from H2 on.

    None is for one of many small barcodes: no cycles, and one thread.
    """
    return (
        _own(distances, dimensions, engine, cycles)
        if engine.own
        else _giotto_ph(distances, dimensions[-1], engine)
    )


def _own(
    distances: np.ndarray, dimensions: tuple[int, ...], engine: Engine, cycles: int | None
) -> list[Bars]:
    from workbench.numerics.rips import barcode
    from workbench.numerics.rips_cycles import Representatives

    if dimensions[-1] and not _compiled():
        tell("compiling the engine of barcodes (once on this machine, 20 to 60 seconds)")
    limit = np.inf if engine.limit is None else engine.limit
    code = barcode(
        distances,
        max_dimension=dimensions[-1],
        threshold=limit,
        metric="precomputed",
        device=engine.device,
        n_threads=1 if cycles is None else None,
    )
    made = Representatives(code)
    bars = []
    for k in range(dimensions[-1] + 1):
        at = np.flatnonzero(code.pairs[:, 2] == k)
        values = code.pairs[at, :2]
        edges = code.dies(0) if k == 0 else code.born(k)[:, :2]
        chosen = longest(values, (cycles or 0) if k >= 2 and k in dimensions else 0)
        bars.append(_sorted(values, edges, {int(b): np.unique(made.cycle(at[b])) for b in chosen}))
    return bars


def _giotto_ph(distances: np.ndarray, highest: int, engine: Engine) -> list[Bars]:
    from gph import ripser_parallel

    limit = np.inf if engine.limit is None else engine.limit
    # one thread: which of two equal simplices is named must not depend on the machine
    found = ripser_parallel(
        distances,
        metric="precomputed",
        maxdim=highest,
        thresh=limit,
        coeff=engine.coeff,
        return_generators=True,
        n_threads=1,
    )
    finite0, finite, _, essential = found["gens"]
    bars = []
    for k, values in enumerate(found["dgms"]):
        lives_on = np.isinf(values[:, 1])
        edges = np.full((len(values), 2), -1, np.int64)
        edges[~lives_on] = finite0[:, 1:] if k == 0 else finite[k - 1][:, :2]
        if k:
            edges[lives_on] = essential[k - 1][:, :2]
        bars.append(_sorted(values, np.sort(edges, axis=1)[:, ::-1], {}))
    return bars


def _sorted(values: np.ndarray, edges: np.ndarray, cycles: dict[int, np.ndarray]) -> Bars:
    """Bars by birth, then death, then the order in which edges as long as each other come."""
    order = np.lexsort((-edges[:, 1], -edges[:, 0], values[:, 1], values[:, 0]))
    place = np.argsort(order)
    return Bars(values[order], edges[order], {int(place[b]): c for b, c in cycles.items()})


def longest(values: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(values[:, 0] - values[:, 1], kind="stable")[:count]


def sample_of(points: Points, metric: AnyMetric, random_state: int) -> Sample:
    """The rows that a control is taken at; of given distances near repeats aren't looked for."""
    if metric != PRECOMPUTED:
        return sampled(points, points.values, rows=CONTROL_ROWS, random_state=random_state)
    kinds = np.arange(points.n) if points.kinds is None else points.kinds
    return sample(None, points.groups, kinds, rows=CONTROL_ROWS, random_state=random_state)


def beside_lumps_of(
    points: Points,
    rows: Float[np.ndarray, "n d"],
    metric: AnyMetric,
    statistics: Callable[[np.ndarray], Float[np.ndarray, " s"]],
    many: int,
    n_null: int,
    random_state: int,
    what: str,
) -> tuple[Tested, np.ndarray]:
    """Set statistics of a sample of the rows beside those of lumps like it, and give that sample as they are seen.

    The lumps are made of the view's own rows, and then seen in the metric. Of given distances there are none.

    Parameters
    ----------
    rows : as the metric sees them (`rows_of`), or (n, n) distances.
    statistics : of (m, d) such rows, or (m, m) distances; ``many`` of them.
    """
    alternatives: list[Alternative] = ["greater"] * many
    if metric == PRECOMPUTED:
        some = sample_of(points, metric, random_state)
        own = among(rows, some.at, metric)
        with one_thread():
            values = statistics(own)
        said = {**NULL.refused(NO_ROWS), "groups": grouping(points, some)}
        return Tested(some, values, [Drawn(np.empty(0))] * many, [said] * many), own

    def seen(x: np.ndarray) -> np.ndarray:
        return statistics(x / np.linalg.norm(x, axis=1, keepdims=True) if metric == "cosine" else x)

    tested = beside_lumps(
        points,
        points.values,
        seen,
        alternatives,
        rows=CONTROL_ROWS,
        n_null=n_null,
        random_state=random_state,
        what=what,
    )
    return tested, among(rows, tested.sample.at, metric)


def interval_method(points: Points, tested: Tested) -> str:
    """What was drawn anew for the intervals of a sample."""
    return f"subsamples of half the {points.unit if tested.sample.groups is not None else 'rows'}"


class Shape(NamedTuple):
    """How the finite bars of one dimension are had of a cloud: by landmarks, in a metric."""

    dimension: int
    metric: AnyMetric
    max_points: int
    name: str

    def bars(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "b 2"]:
        """Births and deaths in float64; no bar where all rows are equal."""
        if all_equal(rows):
            return np.empty((0, 2))
        at, _ = farthest_first(rows, self.max_points, SPACES[self.metric])
        engine = Engine.choose("cpu", self.dimension, len(at))
        distances = distances_of(among(rows, at, self.metric), self.metric, self.name)
        values = bars_of(distances, (self.dimension,), engine)[-1].values
        return values[np.isfinite(values[:, 1])].astype(np.float64)


class Measured(NamedTuple):
    """What a cloud's bars were made into, one number of which is asked about.

    Attributes
    ----------
    values : (k,) of the sample. null : (m, k) of those lumps that contradict the last number least.
    intervals : one a number. said : the fields of `Evidence` of the last number, from ``value`` on.
    """

    values: Float[np.ndarray, " k"]
    null: Float[np.ndarray, "m k"]
    intervals: list[tuple[float, float] | None]
    said: dict[str, Any]


def measured(
    points: Points,
    shape: Shape,
    measure: Callable[[np.ndarray], np.ndarray],
    n_null: int,
    n_boot: int,
    random_state: int,
    what: str,
) -> Measured:
    """Make numbers of a cloud's bars, of which the last is asked about, with intervals.

    Nothing is asked of components, whose longest bar is an outlier's as a rule.
    """
    check_size(shape.dimension, min(points.n, shape.max_points), shape.max_points)
    drawn: dict[float, np.ndarray] = {}  # all that was measured, by the number that is asked about

    def last(rows: np.ndarray) -> np.ndarray:
        numbers = measure(shape.bars(rows))
        drawn[float(numbers[-1])] = numbers
        return numbers[-1:]

    asked = shape.dimension > 0
    tested, rows = beside_lumps_of(
        points,
        rows_of(points, shape.metric),
        shape.metric,
        last,
        1,
        n_null if asked else 0,
        random_state,
        what,
    )
    values = drawn[float(tested.values[0])]
    null = [drawn[float(v)] for v in tested.drawn[0].values]
    intervals = subsample_intervals(
        lambda at: measure(shape.bars(among(rows, at, shape.metric))),
        values,
        len(rows),
        n_boot,
        random_state,
        least=0,
        groups=tested.sample.groups,
    )
    said = {
        "value": values[-1],
        "n": len(rows),
        "interval": intervals[-1],
        "interval_method": interval_method(points, tested),
        **tested.said[0],
        **({} if asked else NULL.refused(OUTLIERS)),
    }
    return Measured(values, np.array(null).reshape(len(null), len(values)), intervals, said)
