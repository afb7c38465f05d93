"""Nulls and intervals: what every answer's control is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.progress import track
from workbench.numerics.exchangeable import FEWEST_GROUPS
from workbench.numerics.threads import in_order, one_thread

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LEVEL = 0.95
NORMAL = 1.959964  # the normal quantile that LEVEL leaves out on either side


def shuffle_columns(values: Float[np.ndarray, "n d"], rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
    """Permute every column on its own: the margins stay, all dependence between columns goes."""
    return rng.permuted(values, axis=0)


def random_frame(d: int, k: int, rng: np.random.Generator) -> Float[np.ndarray, "d k"]:
    """Draw ``k`` orthonormal directions in ``d`` dimensions uniformly (Haar), float64; a rotation for k = d.

    References
    ----------
    Mezzadri 2007, How to generate random matrices from the classical compact groups, Notices AMS 54.
    """
    q, r = np.linalg.qr(rng.standard_normal((d, k)))
    return q * np.sign(np.diag(r))


def null_draws(
    draw: Callable[[np.random.Generator], float | np.ndarray], n: int, random_state: int, what: str = "null"
) -> np.ndarray:
    """Draw a statistic ``n`` times under the null, each with a generator of its own: (n, ...) float64.

    The generators are spawned from the seed, so that draw ``i`` is the same however many are asked for.
    """
    seeds = np.random.SeedSequence([random_state, 0x6E756C6C]).spawn(n)
    with one_thread():
        return np.array([draw(np.random.default_rng(s)) for s in track(seeds, what)], dtype=np.float64)


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float],
    n: int,
    draws: int,
    random_state: int,
    groups: Int[np.ndarray, " n"] | None = None,
) -> tuple[float, float] | None:
    """Percentile interval (95 %) of a statistic over rows, or whole groups of rows, drawn with replacement.

    Parameters
    ----------
    statistic : takes row positions, with repeats: (n,) of them without groups.
    draws : resamples; 0 gives None.
    groups : codes from 0 of what is drawn whole, of which fewer than `FEWEST_GROUPS` give None; None draws rows.
    """
    members = _Members(groups, n)
    if draws == 0 or members.few:
        return None
    rng = np.random.default_rng([random_state, 0x626F6F74])
    with one_thread():
        values = np.array(
            [statistic(members(rng.integers(0, members.many, members.many))) for _ in range(draws)]
        )
    return percentile_interval(values)


class _Members:
    """Rows of groups, by the groups' numbers; without groups each row is one."""

    def __init__(self, groups: np.ndarray | None, n: int):
        self.many = n if groups is None else int(groups.max()) + 1
        self.few = groups is not None and self.many < FEWEST_GROUPS
        self.order = None if groups is None else np.argsort(groups, kind="stable")
        sizes = np.ones(n, np.int64) if groups is None else np.bincount(groups)
        self.starts, self.sizes = np.cumsum(sizes) - sizes, sizes

    def __call__(self, chosen: np.ndarray) -> np.ndarray:
        if self.order is None:
            return chosen
        sizes = self.sizes[chosen]
        first = np.repeat(self.starts[chosen] - (np.cumsum(sizes) - sizes), sizes)
        return np.asarray(self.order[first + np.arange(int(sizes.sum()))])


def subsample_interval(
    statistic: Callable[[np.ndarray], float],
    value: float,
    n: int,
    draws: int,
    random_state: int,
    fraction: float = 0.5,
    groups: Int[np.ndarray, " n"] | None = None,
) -> tuple[float, float] | None:
    """Interval (95 %) from subsamples without replacement, for statistics that repeated rows would break.

    The standard deviation of the statistic on ``fraction`` of the rows, times the square root of
    ``fraction / (1 - fraction)``, is the delete-d jackknife's standard error. The interval is the normal one
    around ``value``: the quantiles of a few dozen draws would be too narrow. With ``groups`` (codes from 0), whole groups
    are drawn.

    References
    ----------
    Shao and Wu 1989, A general theory for jackknife variance estimation, Ann. Statist. 17, eq. 1.4;
    Politis and Romano 1994, Large sample confidence regions based on subsamples, Ann. Statist. 22.
    """
    found = subsample_intervals(
        lambda at: np.array([statistic(at)]),
        np.array([value]),
        n,
        draws,
        random_state,
        fraction,
        groups=groups,
    )
    return found[0]


def subsample_intervals(
    statistics: Callable[[np.ndarray], Float[np.ndarray, " k"]],
    values: Float[np.ndarray, " k"],
    n: int,
    draws: int,
    random_state: int,
    fraction: float = 0.5,
    least: float = -np.inf,
    groups: Int[np.ndarray, " n"] | None = None,
) -> list[tuple[float, float] | None]:
    """Intervals of several statistics that are computed together; see `subsample_interval`.

    ``least`` is the smallest value that they can take; an interval doesn't reach below it.
    """
    drawn, factor = subsample_draws(statistics, n, draws, random_state, fraction, groups)
    if not len(drawn):
        return [None] * len(values)
    half = NORMAL * factor * drawn.std(axis=0, ddof=1)
    return [(max(float(v - h), least), float(v + h)) for v, h in zip(values, half, strict=True)]


def subsample_draws(
    statistics: Callable[[np.ndarray], Float[np.ndarray, " k"]],
    n: int,
    draws: int,
    random_state: int,
    fraction: float = 0.5,
    groups: Int[np.ndarray, " n"] | None = None,
) -> tuple[Float[np.ndarray, "draws k"], float]:
    """Statistics of subsamples, and what their standard deviation is multiplied by to be the error of all rows'.

    Parameters are those of `subsample_interval`. Fewer than two draws or rows, or than `FEWEST_GROUPS` groups, give none: half
    of two groups is both of them, whose interval would have no width.
    """
    members = _Members(groups, n)
    many = members.many
    if draws < 2 or many < 2 or members.few:
        return np.empty((0, 0)), 0.0
    m = max(2, round(fraction * many))
    rng = np.random.default_rng([random_state, 0x737562])
    halves = (np.sort(members(rng.choice(many, m, replace=False))) for _ in range(draws))
    drawn = list(in_order(statistics, halves))
    return np.array(drawn), float(np.sqrt(m / max(many - m, 1)))


def jackknife_error(left_out: Float[np.ndarray, " n"]) -> float:
    """Standard error of a statistic from its values with each row left out in turn.

    It counts what a row does to the others' neighbourhoods, which resampling a sum over rows would miss,
    and on average it is not too small.

    References
    ----------
    Efron and Stein 1981, The jackknife estimate of variance, Ann. Statist. 9.
    """
    n = len(left_out)
    return float(np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum()))


def second_order_jackknife(
    value: np.ndarray, left_out: np.ndarray, pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Standard error of a statistic by the jackknife, less what pairs of rows add to it twice.

    The jackknife counts the variance of what single rows do once, and that of what two do together twice, which is all of
    it where rows say nothing alone: for two layers that are independent of each other it gives twice the variance.

    Parameters
    ----------
    value : (...) of all rows. left_out : (g, ...) without each of g rows, or blocks of them. pairs : (p, ...) without both of
        a and b, for all a < b in the order of ``np.triu_indices(g, 1)``.

    Returns
    -------
    error : (...) its square is at least half of the jackknife's variance, the least where no three rows do anything together.
    freedom : (...) its degrees of freedom: g - 1, times the share of the jackknife's variance that is left. Satterthwaite's
        share is squared, of two parts that err on their own; these err together.

    References
    ----------
    Efron and Stein 1981, The jackknife estimate of variance, Ann. Statist. 9, section 5.
    """
    g = len(left_out)
    once = (g - 1) / g * np.square(left_out - left_out.mean(axis=0)).sum(axis=0)
    a, b = np.triu_indices(g, 1)
    together = g * value - (g - 1) * (left_out[a] + left_out[b]) + (g - 2) * pairs
    twice = np.square(together - together.mean(axis=0)).sum(axis=0) / (g * (g - 1))
    left = np.maximum(once - twice, once / 2)
    share = np.divide(left, once, out=np.ones_like(once), where=once > 0)
    return np.sqrt(left), (g - 1) * share


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Middle 95 % of ``values``."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
