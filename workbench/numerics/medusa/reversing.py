"""Time run backwards: dx = (-f + Σ Σᵀ ∇log p) ds + Σ dB leads the states at an end back to how they were spread at the start.

The score ∇log p is exact for a linear system begun from a Gaussian. Otherwise it is matched slice by slice from the paths that
ran forward: a sum of random Fourier features and a quadratic, one linear solve a slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.noise import Wiener

if TYPE_CHECKING:
    from jaxtyping import Float

Score = Callable[[np.ndarray], np.ndarray]
Drift = Callable[[np.ndarray], np.ndarray]
OUTSIDE = 0.0005  # share of a slice's states beyond either end of its range
FORWARD, BACKWARD = 0, 1


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """How far a round trip leads from where it began.

    Attributes
    ----------
    back : (d, worlds). distance : (d,), the Kolmogorov-Smirnov distance of each coordinate's start and return.
    held : whether every distance is at most the one that was asked for.
    """

    back: Float[np.ndarray, "d worlds"]
    distance: Float[np.ndarray, " d"]
    held: bool


def forward(
    drift: Drift,
    sources: Float[np.ndarray, "d m"],
    start: Float[np.ndarray, "d worlds"],
    h: float,
    steps: int,
    *,
    seed: int = 0,
) -> Float[np.ndarray, "steps+1 d worlds"]:
    """Run dx = f dt + Σ dB by Euler's steps and keep every slice.

    Raises
    ------
    DataError
        The paths diverge.
    """
    drawing = Wiener().start(seed, range(start.shape[1]), sources.shape[1], h, which=FORWARD)
    slices = np.empty((steps + 1, *start.shape))
    slices[0] = start
    for k in range(steps):
        x = slices[k]
        slices[k + 1] = x + h * drift(x) + sources @ drawing.take(1).dw[0]
        if not np.isfinite(slices[k + 1]).all():
            raise DataError(
                f"The paths diverge at step {k + 1:,} of {steps:,}: take a shorter step than h={h:g}."
            )
    return slices


def linear_scores(
    matrix: Float[np.ndarray, "d d"],
    sources: Float[np.ndarray, "d m"],
    mean: Float[np.ndarray, " d"],
    covariance: Float[np.ndarray, "d d"],
    h: float,
    steps: int,
) -> list[Score]:
    """The exact score of each slice of dx = A x dt + Σ dB in Euler's steps, begun from a Gaussian.

    Raises
    ------
    DataError
        A slice without spread in some direction has no score.
    """
    move, scores = np.eye(len(matrix)) + h * matrix, []
    for _ in range(steps + 1):
        if np.linalg.eigvalsh(covariance)[0] <= 1e-12 * max(np.trace(covariance), 1e-300):
            raise DataError(
                "The states don't spread in every direction, so that their density has no score. Begin spread out."
            )
        scores.append(_gaussian(mean, np.linalg.inv(covariance)))
        mean, covariance = move @ mean, move @ covariance @ move.T + h * sources @ sources.T
    return scores


def gaussian_scores(slices: Float[np.ndarray, "slices d worlds"]) -> list[Score]:
    """Scores of Gaussians with each slice's mean and covariance: what the matched ones are to be better than."""
    return [_gaussian(x.mean(axis=1), np.linalg.inv(np.atleast_2d(np.cov(x)))) for x in slices]


def _gaussian(mean: np.ndarray, precision: np.ndarray) -> Score:
    return lambda x: -precision @ (x - mean[:, None])


def matched_scores(
    slices: Float[np.ndarray, "slices d worlds"], *, features: int = 60, ridge: float = 1e-4, seed: int = 0
) -> list[Score]:
    """Match the score of each slice: the gradient of a sum of features that minimizes E[½|s|² + div s].

    Parameters
    ----------
    features : random waves, of lengths around the slice's own spread. ridge : added to what is solved, beside its mean diagonal.

    Raises
    ------
    ParameterError
        No feature, or a ridge that isn't above 0.

    References
    ----------
    Hyvärinen 2005, Estimation of non-normalized statistical models by score matching, JMLR 6, theorem 1. Rahimi and Recht 2007,
    Random features for large-scale kernel machines.
    """
    if features < 1 or not ridge > 0:
        raise ParameterError(f"features={features!r} and ridge={ridge!r} must be at least 1, and above 0.")
    d = slices.shape[1]
    rng = np.random.default_rng([seed, 0x73636F72])
    waves, phases = 2 * rng.standard_normal((features, d)), rng.uniform(0, 2 * np.pi, features)
    return [_matched(x, waves, phases, ridge) for x in slices]


def _matched(x: np.ndarray, waves: np.ndarray, phases: np.ndarray, ridge: float) -> Score:
    mean, size = x.mean(axis=1, keepdims=True), x.std(axis=1, keepdims=True) + 1e-12
    z = (x - mean) / size
    d, count = z.shape
    angle = waves @ z + phases[:, None]
    above = np.triu_indices(d)

    def slopes(z: np.ndarray, angle: np.ndarray) -> list[np.ndarray]:
        """Derivatives of every feature along each coordinate, (features, worlds) each."""
        return [
            np.concatenate(
                [-waves[:, i, None] * np.sin(angle), _of_products(z, i, above), np.eye(d)[i][:, None] + 0 * z]
            )
            for i in range(d)
        ]

    product = sum(s @ s.T for s in slopes(z, angle)) / count
    bent = np.concatenate(
        [
            -np.square(waves).sum(axis=1) * np.cos(angle).mean(axis=1),
            np.where(above[0] == above[1], 1.0, 0.0),
            np.zeros(d),
        ]
    )
    product[np.diag_indices_from(product)] += ridge * np.trace(product) / len(product)
    weights = np.linalg.solve(product, -bent)

    def score(y: np.ndarray) -> np.ndarray:
        at = (y - mean) / size
        found = slopes(at, waves @ at + phases[:, None])
        return np.stack([weights @ s for s in found]) / size

    return score


def _of_products(z: np.ndarray, i: int, above: Sequence[np.ndarray]) -> np.ndarray:
    """Derivative along coordinate i of z_j z_k, of half of it where j = k."""
    return np.stack(
        [
            z[k] if j == k == i else (z[k] * (j == i) + z[j] * (k == i)) * (j != k)
            for j, k in zip(*above, strict=True)
        ]
    )


def backward(
    drift: Drift,
    sources: Float[np.ndarray, "d m"],
    slices: Float[np.ndarray, "slices d worlds"],
    scores: Sequence[Score] | None,
    h: float,
    *,
    seed: int = 0,
    within: float = 0.02,
) -> RoundTrip:
    """Run the last slice back to the first and say how far it comes from there.

    Every step is clipped to the range in which 99.9 % of its slice's states lie: a steep drift run backwards overflows outside.

    Parameters
    ----------
    scores : of each slice; None runs back without one, which is what a round trip is to be better than.
    within : the largest distance of a round trip that held.

    References
    ----------
    Anderson 1982, Reverse-time diffusion equation models, Stoch. Proc. Appl. 12, theorem 2.1.
    """
    from scipy.stats import ks_2samp

    drawing = Wiener().start(seed, range(slices.shape[2]), sources.shape[1], h, which=BACKWARD)
    spread, x = sources @ sources.T, slices[-1]
    for k in range(len(slices) - 1, 0, -1):
        pulled = 0.0 if scores is None else spread @ scores[k](x)
        x = x + h * (pulled - drift(x)) + sources @ drawing.take(1).dw[0]
        low, high = np.quantile(slices[k - 1], [OUTSIDE, 1 - OUTSIDE], axis=1)
        x = np.clip(x, low[:, None], high[:, None])
    distance = np.array([ks_2samp(a, b, method="asymp").statistic for a, b in zip(slices[0], x, strict=True)])
    return RoundTrip(x, distance, bool((distance <= within).all()))
