"""Nulls that are drawn until their answer is clear, on a sample of what can be exchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from workbench.core.progress import track
from workbench.numerics.threads import in_order, one_thread

if TYPE_CHECKING:
    from jaxtyping import Float

Draw = Callable[[np.random.Generator], np.ndarray]
Alternative = Literal["greater", "less", "two-sided"]
ENOUGH = 10
"""Draws at least as extreme as the data's value, after which no more are made: p is known to a third of itself, and large."""

NO_CLAIM = 0.1
"""A p-value above this is no finding under any correction: what one null doesn't contradict so far isn't asked of others."""


TOGETHER = 20
"""Draws that are made at once, where that is cheaper."""


class Drawn(NamedTuple):
    """Draws of one statistic under a null.

    Attributes
    ----------
    values : as many as were needed: all that were asked for, or until `ENOUGH` were as extreme as the data's.
    of : which of the null's members they are draws of, "" where it has one.
    """

    values: Float[np.ndarray, " m"]
    of: str = ""


def generators(n: int, random_state: int) -> list[np.random.Generator]:
    """Return a generator for each of ``n`` draws, the same whether they are drawn one by one or all at once."""
    return [
        np.random.default_rng(seed) for seed in np.random.SeedSequence([random_state, 0x6E756C6C]).spawn(n)
    ]


def draw_until_clear(
    draw: Callable[[np.random.Generator], float | np.ndarray],
    values: Float[np.ndarray, " s"],
    alternatives: Sequence[Alternative],
    n: int,
    random_state: int,
    what: str = "null",
    *,
    apart: bool = False,
) -> list[np.ndarray]:
    """Draw statistics together under a null, at most ``n`` times, each until its p-value is clear.

    A statistic stops at the draw that is the tenth to be at least as extreme as its value: the p-value (1 + b) / (1 + m)
    of ``b`` such draws among ``m`` is valid for this rule too. So a small p-value costs ``n`` draws and a large one few.

    Parameters
    ----------
    draw : gives (s,) statistics, or a number for one; each draw has a generator of its own, spawned from the seed.
    values : the data's own statistics.
    apart : whether draws leave each other alone, so that several threads may make them at once.

    Returns
    -------
    list of (m_s,) float64
        One array a statistic.

    References
    ----------
    Besag and Clifford 1991, Sequential Monte Carlo p-values, Biometrika 78; Phipson and Smyth 2010, Permutation
    p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9:39.
    """
    drawn = np.empty((n, len(values)))
    stops = np.full(len(values), n)
    count = np.zeros((2, len(values)), np.int64)
    with closing(in_order(draw, generators(n, random_state), apart)) as made:
        for i, statistics in enumerate(track(made, what, n)):
            drawn[i] = statistics
            count += [~(drawn[i] < values), ~(drawn[i] > values)]  # NaN speaks for the null
            extreme = [_extreme(count[:, s], a) for s, a in enumerate(alternatives)]
            for s, many in enumerate(extreme):
                if many >= ENOUGH and stops[s] == n:
                    stops[s] = i + 1
            if (stops < n).all():
                break
    return [drawn[: stops[s], s].copy() for s in range(len(values))]


def draw_several_until_clear(
    draw: Callable[[int], Float[np.ndarray, " many"]],
    value: float,
    n: int,
    what: str = "null",
    *,
    alternative: Alternative = "greater",
    at_once: int = TOGETHER,
) -> Float[np.ndarray, " m"]:
    """`draw_until_clear` of one statistic whose draws are cheaper many at a time.

    Parameters
    ----------
    draw : gives so many draws, ``at_once`` or those that are left.
    """
    drawn = np.empty(0)
    count = np.zeros(2, np.int64)
    with one_thread():
        for many in track([min(at_once, n - i) for i in range(0, n, at_once)], what):
            drawn = np.concatenate([drawn, draw(many)])
            for i in range(len(drawn) - many, len(drawn)):
                count += [not drawn[i] < value, not drawn[i] > value]  # NaN speaks for the null
                if _extreme(count, alternative) >= ENOUGH:
                    return drawn[: i + 1]
    return drawn


def hardest(
    members: Mapping[str, Callable[[], Draw]],
    statistics: Callable[[np.ndarray], Float[np.ndarray, " s"]],
    values: Float[np.ndarray, " s"],
    alternatives: Sequence[Alternative],
    n: int,
    random_state: int,
    what: str = "null",
) -> list[Drawn]:
    """Draw under each member of a null that is any of several, and keep for each statistic those that contradict it least.

    The largest p-value is one of the null that the truth is any of the members: a level-α test of each is one of all
    (intersection-union test). What one member doesn't contradict isn't asked of the others.

    Parameters
    ----------
    members : name to what makes what draws (n, d) rows. statistics : of such rows.

    References
    ----------
    Berger 1982, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24.
    """
    from workbench.core.evidence import monte_carlo_p

    kept: list[Drawn | None] = [None] * len(values)
    worst = np.zeros(len(values))
    for name, make in members.items():
        if n == 0 or (worst > NO_CLAIM).all():
            break
        draw = make()

        def drawn_statistics(rng: np.random.Generator, draw: Draw = draw) -> np.ndarray:
            return statistics(draw(rng))

        drawn = draw_until_clear(
            drawn_statistics,
            values,
            alternatives,
            n,
            random_state,
            f"{what}, {name}",
            apart=True,
        )
        for s, some in enumerate(drawn):
            p = monte_carlo_p(float(values[s]), some.tolist(), alternatives[s])
            if kept[s] is None or p > worst[s]:
                kept[s], worst[s] = Drawn(some, name), p
    return [Drawn(np.empty(0)) if k is None else k for k in kept]


def _extreme(count: np.ndarray, alternative: Alternative) -> int:
    above, below = map(int, count)
    return {"greater": above, "less": below, "two-sided": min(above, below)}[alternative]
