"""Noise of two speeds: independent from point to point, on a slow one that may be as slow as a random walk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

PERSISTENCES = (0.5, 0.8, 0.9, 0.95, 0.98, 1.0)  # of the slow part; 1 is a random walk
SHARES = (0.15, 0.4, 0.7, 1.0)  # of the slow part, of the variance
LAGS = (1, 3, 8, 16)  # at which autocorrelations tell kinds of noise apart
TRIED = 16  # curves of each kind
SETTLING = 400  # points that are drawn before the first that counts


@dataclass(frozen=True)
class Kind:
    """How persistent the slow part is, and its share of the variance."""

    persistence: float
    share: float

    def draw(
        self, innovations: Float[np.ndarray, " m"], n: int, rng: np.random.Generator
    ) -> Float[np.ndarray, " n"]:
        """Noise of about unit variance, what is new in it drawn from standardized ``innovations``."""
        from scipy.signal import lfilter

        fast = rng.choice(innovations, n)
        if self.share == 0:
            return fast
        if self.persistence == 1:
            slow = np.cumsum(rng.choice(innovations, n)) / np.sqrt(
                n / 6
            )  # of the variance that one has about its mean
        else:
            new = rng.choice(innovations, n + SETTLING) * np.sqrt(1 - self.persistence**2)
            slow = np.asarray(lfilter([1.0], [1.0, -self.persistence], new))[SETTLING:]
        return np.asarray(np.sqrt(1 - self.share) * fast + np.sqrt(self.share) * slow)


KINDS = (Kind(0.0, 0.0), *(Kind(p, s) for p in PERSISTENCES for s in SHARES))


@dataclass(frozen=True)
class SlowNoise:
    """What a curve's noise may be: each kind as likely as it makes what is left of the curve look as it does.

    Attributes
    ----------
    innovations : standardized, what new noise is drawn from. n : points. size : of the noise.
    chances : of each of `KINDS`. correlation : from one point to the next, its mean over kinds.
    """

    innovations: Float[np.ndarray, " n"]
    size: Float[np.ndarray, " k"]
    chances: Float[np.ndarray, " k"]
    correlation: float

    @property
    def may_walk(self) -> float:
        """How likely there is a random walk in it."""
        return float(sum(c for c, kind in zip(self.chances, KINDS, strict=True) if kind.persistence == 1))

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        """Noise of a kind that is drawn by the kinds' chances."""
        k = int(rng.choice(len(KINDS), p=self.chances))
        return self.size[k] * KINDS[k].draw(self.innovations, len(self.innovations), rng)


def slow_noise(
    left: Float[np.ndarray, " n"],
    again: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]],
    random_state: int,
) -> SlowNoise:
    """Compare what is left of a curve about its lines with what is left of noise of each kind about lines fitted to it.

    Parameters
    ----------
    left : noise about lines that were fitted. again : fits lines to noise and gives what is left of it; they take part of what is slow.

    References
    ----------
    Wood 2010, Statistical inference for noisy nonlinear ecological dynamic systems, Nature 466 (synthetic likelihoods).
    """
    n = len(left)
    spread = float(left.std()) or 1.0
    innovations = (left - left.mean()) / spread
    means, within, sizes, correlations = [], [], [], []
    for kind in KINDS:
        rng = np.random.default_rng([random_state, 0x736C6F77])
        made = [kind.draw(innovations, n, rng) for _ in range(TRIED)]
        rests = [again(m) for m in made]
        told = np.array([features(r) for r in rests])
        means.append(told.mean(axis=0))
        within.append(np.cov(told.T))
        sizes.append(spread / max(float(np.mean([r.std() for r in rests])), 1e-9))
        correlations.append(float(np.mean([features(m)[0] for m in made])))
    distance = _distances(features(left), means, within)
    chances = np.exp(-(distance - distance.min()) / 2)
    chances /= chances.sum()
    return SlowNoise(innovations, np.array(sizes), chances, float(chances @ correlations))


def features(noise: Float[np.ndarray, " n"]) -> Float[np.ndarray, " f"]:
    """Autocorrelations."""
    centred = noise - noise.mean()
    square = float(centred @ centred) or 1.0
    return np.array([float(centred[k:] @ centred[:-k]) / square for k in LAGS])


def _distances(
    found: np.ndarray, means: Sequence[np.ndarray], within: Sequence[np.ndarray]
) -> Float[np.ndarray, " k"]:
    """Minus twice the Gaussian log-likelihood of what was found under each kind, their covariances half shared."""
    shared = np.mean(within, axis=0)
    out = []
    for mean, own in zip(means, within, strict=True):
        covariance = (own + shared) / 2
        off = found - mean
        out.append(off @ np.linalg.solve(covariance, off) + np.linalg.slogdet(covariance)[1])
    return np.array(out)
