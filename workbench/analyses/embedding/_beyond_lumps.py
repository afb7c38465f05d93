"""Whether a layout is more faithful than the same method's layouts of one lump like the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from workbench.core.evidence import Evidence, monte_carlo_p
from workbench.evidence.nulls.one_lump import NULL
from workbench.evidence.nulls.sampling import about, details
from workbench.numerics.controls import ENOUGH, draw_until_clear, generators
from workbench.numerics.exchangeable import Sample
from workbench.numerics.lumps import LUMPS, Draw
from workbench.numerics.preservation import trust_of_rows
from workbench.numerics.threads import in_order
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from workbench.numerics.neighbours import AnyMetric
    from workbench.numerics.rows_torch import Metric

T = TypeVar("T")
Again = Callable[[list[np.ndarray]], list[np.ndarray]]
NEIGHBOURS = 10  # one number for all methods, so that their layouts compare
TESTED = 19
"""Layouts of lumps from which a p-value can be 5 %; with fewer there is none."""

TOGETHER = ENOUGH
"""Layouts that are made at once on a CPU: so many are needed before fewer than all can say enough."""


@dataclass(frozen=True)
class Lumps:
    """A sample of the rows, and lumps like it, laid out.

    Attributes
    ----------
    again : lays several sets of rows out.
    n_null : layouts of each lump.
    device : on a GPU the sample and all lumps are laid out together, which costs little more than one of them.
    apart : whether several threads may lay lumps out at once.
    together : whether it is cheaper to lay several out at once on a CPU too.
    """

    points: Points
    some: Sample
    again: Again
    metric: AnyMetric
    n_null: int
    random_state: int
    device: str
    apart: bool
    together: bool = False

    @cached_property
    def own(self) -> np.ndarray:
        """The sample's rows in double precision."""
        return np.asarray(self.points.values[self.some.at], dtype=np.float64)

    @property
    def k(self) -> int:
        """Neighbours that trustworthiness looks at."""
        return min(NEIGHBOURS, (len(self.own) - 1) // 2)

    def trust(self, whole: np.ndarray) -> float:
        """The trustworthiness of the sample's layout: of ``whole``, that of all rows, where the sample is all of them."""
        layout = whole if self.some.whole and len(whole) == len(self.own) else self._laid_out[0]
        return float(trust_of_rows(self._varied(self.own), layout, self.k, metric=self.metric).mean())

    def trust_of(self, name: str) -> Callable[[np.random.Generator], float]:
        """What draws the trustworthiness of a lump's layout."""
        if self.device != "cpu":
            made = iter(self._trusts[list(LUMPS).index(name) * self.n_null :])
            return lambda rng: next(made)
        draw = LUMPS[name](self.own, self.some.groups)
        if self.together:
            made = self._trusts_in_turn(draw)
            return lambda rng: next(made)

        def drawn(rng: np.random.Generator) -> float:
            rows = self._varied(draw(rng))
            return float(trust_of_rows(rows, self.again([rows])[0], self.k, metric=self.metric).mean())

        return drawn

    def _trusts_in_turn(self, draw: Draw) -> Iterator[float]:
        """The trustworthiness of one layout after another, some of which are made at once, no more than may be asked for."""
        for some in batched(generators(self.n_null, self.random_state), TOGETHER):
            drawn = [self._varied(draw(rng)) for rng in some]
            for rows, layout in zip(drawn, self.again(drawn), strict=True):
                yield float(trust_of_rows(rows, layout, self.k, metric=self.metric).mean())

    @cached_property
    def _drawn(self) -> list[np.ndarray]:
        """The rows of all lumps, as they would be drawn one by one; none on a CPU, where few may do."""
        if self.device == "cpu":
            return []
        draws = [make(self.own, self.some.groups) for make in LUMPS.values()]
        each = [(draw, rng) for draw in draws for rng in generators(self.n_null, self.random_state)]
        return list(in_order(lambda drawn: self._varied(drawn[0](drawn[1])), each))

    @cached_property
    def _laid_out(self) -> list[np.ndarray]:
        return self.again([self._varied(self.own), *self._drawn])

    @cached_property
    def _trusts(self) -> list[float]:
        from workbench.numerics.umap_sets import trusts

        metric = cast("Metric", self.metric)
        return trusts(self._drawn, self._laid_out[1:], self.k, metric, device=self.device)

    def _varied(self, rows: np.ndarray) -> np.ndarray:
        # a draw may have rows without variation, whose correlation is undefined
        if self.metric == "correlation":
            rows = rows[np.ptp(rows, axis=1) > 0]
        return rows.astype(self.points.values.dtype)


def beyond_lumps(lumps: Lumps, whole: np.ndarray) -> Evidence:
    """How far the trustworthiness of a sample's layout exceeds that of the lump that is laid out best.

    Parameters
    ----------
    whole : the layout of all rows.
    """
    value = lumps.trust(whole)
    of, drawn = _best_lump(lumps, value)
    said: dict[str, Any] = {"hypothesis": NULL.hypothesis}
    if lumps.n_null >= TESTED:
        of_what = ", ".join(filter(None, (of, details(lumps.points, lumps.some))))
        said = NULL.said((drawn - drawn.mean()).tolist(), details=of_what)
    else:
        said["untested"] = (
            f"{len(drawn)} layouts of lumps ({of}; trustworthiness {drawn.min():.3f} to {drawn.max():.3f}) are too few for a "
            f"p-value: n_null={TESTED} gives one"
        )
    return Evidence(
        question="Is the layout more faithful than the same method's layout of one lump like the rows?",
        id="beyond_one_lump",
        label=f"trustworthiness ({lumps.k} neighbours) above that of one lump's layout",
        n=len(lumps.own),
        # without an interval: how layouts of other rows vary can't be seen in these
        value=value - drawn.mean(),
        **about(lumps.points, lumps.own, lumps.some),
        **said,
    )


def _best_lump(lumps: Lumps, value: float) -> tuple[str, np.ndarray]:
    """Which lump is laid out most faithfully, and the trustworthiness of its layouts.

    Where one is laid out as faithfully as the rows, on average, no other is asked.
    """
    best: tuple[float, float, str, np.ndarray] | None = None
    for name in LUMPS:
        drawn = draw_until_clear(
            lumps.trust_of(name),
            np.array([value]),
            ("greater",),
            lumps.n_null,
            lumps.random_state,
            f"layouts of a lump, {name}",
            apart=lumps.apart and not lumps.together,
        )[0]
        p = monte_carlo_p(value, drawn.tolist(), "greater") if lumps.n_null >= TESTED else 0.0
        candidate = (p, float(drawn.mean()), name, drawn)
        best = candidate if best is None or candidate[:2] > best[:2] else best
        if drawn.mean() >= value:
            break
    assert best is not None  # there are lumps
    return best[2], best[3]


def batched(items: Iterable[T], many: int) -> Iterator[list[T]]:
    """Some items at a time, as `itertools.batched` from Python 3.12 on."""
    iterator = iter(items)
    while some := list(islice(iterator, many)):
        yield some
