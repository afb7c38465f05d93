"""Stretches of two series, side by side in pairs, whose sides are exchanged to see what chance would do.

Where both are of one process that forgets within a stretch, which of a pair came from which is as good as a coin. So a statistic
of the two sides has, with the sides of some pairs exchanged, the distribution that it has without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.exchangeable import FEWEST_GROUPS

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_PAIRS = 10
MEMORIES = 3  # of a series that a stretch lasts at least
REMEMBERED = 0.25  # a correlation that counts as memory
WALKS = 1 / 3  # of the steps: what is remembered longer is taken for a walk or a trend
FEWEST_LEFT = 3  # stretches from which an interval is given


@dataclass(frozen=True, eq=False)
class Pairs:
    """Stretches of two series.

    Attributes
    ----------
    first, second : (pairs, length, c). untested : why their sides can't be exchanged, or "".
    """

    first: Float[np.ndarray, "p l c"]
    second: Float[np.ndarray, "p l c"]
    untested: str

    @property
    def length(self) -> int:
        """Steps of a stretch."""
        return self.first.shape[1]

    @property
    def why_untested(self) -> str:
        """A sentence that says why nothing is tested, or ""."""
        return f"Not tested: {self.untested}." if self.untested else ""

    def __len__(self) -> int:
        return len(self.first)

    def some(self, at: np.ndarray) -> Pairs:
        """The pairs at some positions."""
        return Pairs(self.first[at], self.second[at], self.untested)


def pair(
    first: Float[np.ndarray, "n c"], second: Float[np.ndarray, "m c"], width: int, memory: int, seed: int = 0
) -> Pairs | None:
    """Cut two series into stretches of one length; None where not two of ``2 width`` steps fit.

    Those of the longer series lie at random, since evenly spaced ones may all begin in one season.

    Parameters
    ----------
    width : steps that are looked at together; a stretch has twice as many or more. memory : of the series, in steps; see `memory_of`.
    """
    shorter = min(len(first), len(second))
    length = max(2 * width, MEMORIES * memory)
    why = ""
    if shorter // length < FEWEST_GROUPS:
        why = (
            f"its parts are too short: {shorter:,} steps, and the series remembers for {memory:,}, so that {FEWEST_GROUPS} "
            f"stretches that hardly depend on each other take {FEWEST_GROUPS * length:,}"
        )
        length = max(2 * width, shorter // FEWEST_GROUPS)
    many = min(MOST_PAIRS, shorter // length)
    if many < 2:
        return None
    length = shorter // many  # so that no step of the shorter series is left out but at its end

    rng = np.random.default_rng([seed, 0x70616972])

    def cut(x: np.ndarray) -> np.ndarray:
        slack = np.sort(rng.integers(0, len(x) - many * length + 1, many))
        starts = slack + length * np.arange(many)
        return np.stack([x[s : s + length] for s in starts])

    return Pairs(cut(first), cut(second), why)


def memory_of(x: Float[np.ndarray, "n c"]) -> int:
    """The last lag at which a channel, or its square, is correlated with itself by a quarter or more; at most a third of the steps."""
    longest = max(1, int(WALKS * len(x)))
    last = 0
    for channel in x.T:
        for values in (channel, np.square(channel - channel.mean())):
            rho = np.abs(autocorrelations(values[:, None], longest)[:, 0])
            over = np.flatnonzero(rho >= max(REMEMBERED, 2 / np.sqrt(len(x))))
            last = max(last, int(over[-1]) + 1 if len(over) else 0)
    return last


def autocorrelations(x: Float[np.ndarray, "n c"], lags: int) -> Float[np.ndarray, "lags c"]:
    """Of each channel at lags 1 to ``lags``; 0 of one that is constant."""
    z = x - x.mean(axis=0)
    size = 1 << (2 * len(x) - 1).bit_length()
    power = np.square(np.abs(np.fft.rfft(z, size, axis=0)))
    covariance = np.fft.irfft(power, size, axis=0)[: lags + 1]
    return np.asarray(covariance[1:] / np.maximum(covariance[0], np.finfo(float).tiny))


def signs(pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Which pairs are exchanged, drawn at random."""
    return rng.random(pairs) < 0.5


def jackknife(statistic: Callable[[np.ndarray], np.ndarray | float], many: int) -> Float[np.ndarray, " s"]:
    """Variance of statistics of ``many`` stretches, from leaving out one after the other.

    Parameters
    ----------
    statistic : of the stretches at some positions, (s,) numbers or one.

    References
    ----------
    Künsch 1989, The jackknife and the bootstrap for general stationary observations, Ann. Statist. 17.
    """
    every = np.arange(many)
    left = np.array([statistic(np.delete(every, i)) for i in every])
    return np.asarray((many - 1) / many * np.square(left - left.mean(axis=0)).sum(axis=0))


def student(many: int) -> float:
    """How many standard errors from ``many`` stretches an interval of 95 % reaches to either side."""
    from scipy.stats import t

    return float(t.ppf(0.975, many - 1))
