"""How long the longest bars are, beside those of one lump: the control of `persistence`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.analyses.topology._barcodes import (
    SPACES,
    AnyMetric,
    Bars,
    Engine,
    all_equal,
    bars_of,
    beside_lumps_of,
    distances_of,
    interval_method,
    noun,
    sample_of,
)
from workbench.core.evidence import Evidence
from workbench.evidence.nulls.one_piece import or_inside_pieces
from workbench.numerics.distances import PRECOMPUTED, among
from workbench.numerics.landmarks import farthest_first
from workbench.numerics.pieces import valleys_inside
from workbench.numerics.resampling import subsample_intervals
from workbench.numerics.robust_linkage import deepest_valley
from workbench.numerics.surrogates import row_rotations
from workbench.numerics.threads import one_thread
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from jaxtyping import Float

# by the highest dimension asked for: what a draw of the null costs
CONTROL_LANDMARKS = (128, 128, 64, 48, 40, 30)
REFERENCES = 3  # lumps that say how long a typical bar is at least


def summary(bars: list[Bars], dimensions: tuple[int, ...], limit: float | None) -> Float[np.ndarray, "k 2"]:
    """Per dimension the longest bar and the mean of all others, as log(death / birth); zeros without bars.

    A bar without end counts up to ``limit``. Of components there is none: see `deepest_valley`.
    """
    out = np.zeros((len(dimensions), 2))
    for i, k in enumerate(dimensions):
        values = bars[k].values.astype(np.float64)
        if k and len(values):
            ends = values[:, 1] if limit is None else np.minimum(values[:, 1], limit)
            sizes = np.sort(np.log(ends / values[:, 0]))
            out[i] = sizes[-1], sizes[:-1].mean() if len(sizes) > 1 else 0.0
    return out


def relative(
    summaries: Float[np.ndarray, "k 2"], floor: Float[np.ndarray, " k"] | float = 0.0
) -> Float[np.ndarray, " k"]:
    """The statistic: the longest bar over the typical one, or over ``floor`` if the typical one is shorter."""
    typical = np.maximum(summaries[:, 1], floor)
    return summaries[:, 0] / np.where(typical > 0, typical, 1)


class _Lives:
    """The statistic of each dimension, of rows of a cloud.

    Attributes
    ----------
    floor : the least that a typical bar counts, by dimension.
    """

    def __init__(
        self,
        name: str,
        metric: AnyMetric,
        dimensions: tuple[int, ...],
        limit: float | None,
        coeff: int,
        n: int,
    ):
        self.name, self.metric, self.dimensions, self.limit = name, metric, dimensions, limit
        self.most = CONTROL_LANDMARKS[dimensions[-1]]
        # where a GPU has the data's own bars, our engine is loaded, but so few rows are had sooner on the CPU
        self.engine = Engine.choose("cpu", dimensions[-1], min(n, self.most), coeff, limit)
        self.floor = np.zeros(len(dimensions))

    def __call__(self, rows: np.ndarray) -> Float[np.ndarray, " k"]:
        """Of (m, d) rows, or (m, m) distances."""
        if all_equal(rows):
            return np.zeros(len(self.dimensions))
        out = relative(self.summary(rows), self.floor)
        if self.dimensions[0] == 0:
            out[0] = self.components(rows)
        return out

    def components(self, rows: np.ndarray, least: int | None = None) -> float:
        """How far density falls between components that hold enough rows, or ``least``."""
        return deepest_valley(self.distances(rows), self.limit, least)

    def inside_pieces(self, rows: np.ndarray) -> Callable[[np.random.Generator], float]:
        """What draws the same inside the pieces of the rows."""
        return valleys_inside(
            rows, self.distances, self.limit, lambda x, least: self.components(self.seen(x), least)
        )

    def distances(self, rows: np.ndarray) -> np.ndarray:
        return distances_of(rows, self.metric, self.name)

    def summary(self, rows: np.ndarray) -> Float[np.ndarray, "k 2"]:
        """The `summary` of the bars of landmarks; zeros where only components are asked for."""
        if self.dimensions[-1] == 0:
            return np.zeros((1, 2))
        at, _ = farthest_first(rows, self.most, SPACES[self.metric])
        distances = distances_of(among(rows, at, self.metric), self.metric, self.name)
        return summary(bars_of(distances, self.dimensions, self.engine), self.dimensions, self.limit)

    def take_floor(self, rows: Float[np.ndarray, "m d"], random_state: int) -> None:
        """Set the floor to half the typical bar of Gaussian clouds with the rows' covariance."""
        rotated = row_rotations(rows)
        rng = np.random.default_rng([random_state, 0x666C6F6F])
        drawn = [self.summary(self.seen(rotated(rng)))[:, 1] for _ in range(REFERENCES)]
        self.floor = np.median(drawn, axis=0) / 2

    def seen(self, rows: np.ndarray) -> np.ndarray:
        """Rows as `rows_of` gives them."""
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if self.metric == "cosine" else rows


def longest_bars(
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
) -> tuple[tuple[Evidence, ...], np.ndarray]:
    """One entry of evidence a dimension, and how long the null's bars get beside the longest of all landmarks.

    The test is made on fewer landmarks than are drawn: the null's bars are scaled as the longest one is. Without
    null and interval the statistic is that of ``own``, the `summary` of the bars that are there already.
    """
    lives = _Lives(points.name, metric, dimensions, limit, coeff, points.n)
    noise = np.full(dimensions[-1] + 1, np.nan)
    if not n_null and not n_boot:
        values = relative(own)
        if dimensions[0] == 0:
            some = sample_of(points, metric, random_state)
            values[0] = lives.components(among(rows, some.at, metric))
        return _evidence(dimensions, [{"value": v, "n": points.n} for v in values]), noise
    if n_null and metric != PRECOMPUTED and dimensions[-1] and not all_equal(points.values):
        some = sample_of(points, metric, random_state)
        with one_thread():
            lives.take_floor(points.values[some.at].astype(np.float64), random_state)
    tested, kept = beside_lumps_of(
        points, rows, metric, lives, len(dimensions), n_null, random_state, "persistence"
    )
    outcomes = list(tested.said)
    if dimensions[0] == 0:
        outcomes[0] = or_inside_pieces(
            points, tested, 0, lambda: lives.inside_pieces(kept), n_null, random_state, "persistence"
        )
    intervals = subsample_intervals(
        lambda at: lives(among(kept, at, metric)),
        tested.values,
        len(kept),
        n_boot,
        random_state,
        least=0,
        groups=tested.sample.groups,
    )
    for i, k in enumerate(dimensions):
        if k and len(tested.drawn[i].values) and tested.values[i] > 0:
            scale = own[i, 0] / tested.values[i]
            noise[k] = np.quantile(tested.drawn[i].values, 0.95) * scale
    said = [
        {
            "value": tested.values[i],
            "n": len(kept),
            **(
                {
                    "interval": intervals[i],
                    "interval_method": interval_method(points, tested),
                    "conservative": True,  # the longest bar of half the rows varies as much as that of all
                }
                if k  # of components: most clouds have no valley at all, and the interval of one that does doesn't cover
                else {}
            ),
            **outcomes[i],
        }
        for i, k in enumerate(dimensions)
    ]
    return _evidence(dimensions, said), noise


def _evidence(dimensions: tuple[int, ...], said: Sequence[dict[str, Any]]) -> tuple[Evidence, ...]:
    labels = {0: "H0, deepest valley between groups of rows, log of density"}
    return tuple(
        Evidence(
            id="longest_bar",
            of=f"H{k}",
            question=_question(k),
            label=labels.get(k, f"H{k}, longest bar / typical bar"),
            **some,
        )
        for k, some in zip(dimensions, said, strict=True)
    )


def _question(dimension: int) -> str:
    if dimension == 0:
        return "Does a valley part groups of rows, deeper than chance makes in one lump, curve or surface?"
    return f"Is there a {noun(dimension)} that lasts longer than in one lump like the rows?"
