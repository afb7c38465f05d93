"""Nulls and intervals: what every answer's control is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.progress import track

if TYPE_CHECKING:
    from jaxtyping import Float

LEVEL = 0.95


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
    return np.array([draw(np.random.default_rng(s)) for s in track(seeds, what)], dtype=np.float64)


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float], n: int, draws: int, random_state: int
) -> tuple[float, float] | None:
    """Percentile interval (95 %) of a statistic over rows drawn with replacement.

    Parameters
    ----------
    statistic : takes (n,) row positions, with repeats.
    draws : resamples; 0 gives None.
    """
    if draws == 0:
        return None
    rng = np.random.default_rng([random_state, 0x626F6F74])
    values = np.array([statistic(rng.integers(0, n, n)) for _ in range(draws)])
    return percentile_interval(values)


def subsample_interval(
    statistic: Callable[[np.ndarray], float],
    value: float,
    n: int,
    draws: int,
    random_state: int,
    fraction: float = 0.5,
) -> tuple[float, float] | None:
    """Interval (95 %) from subsamples without replacement, for statistics that repeated rows would break.

    The spread of the statistic on ``fraction`` of the rows is scaled by the square root of
    ``fraction / (1 - fraction)`` (the delete-d jackknife's correction) and centred on ``value``.

    References
    ----------
    Politis and Romano 1994, Large sample confidence regions based on subsamples, Ann. Statist. 22;
    Shao and Wu 1989, A general theory for jackknife variance estimation, Ann. Statist. 17.
    """
    if draws == 0:
        return None
    m = max(2, round(fraction * n))
    rng = np.random.default_rng([random_state, 0x737562])
    values = np.array([statistic(np.sort(rng.choice(n, m, replace=False))) for _ in range(draws)])
    scale = np.sqrt(m / max(n - m, 1))
    low, high = percentile_interval((values - np.median(values)) * scale)
    return value + low, value + high


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Middle 95 % of ``values``."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
