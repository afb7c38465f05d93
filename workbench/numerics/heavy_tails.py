"""Heavy tails: the power law that a sample's largest values follow, and whether something else fits them better.

In the logarithm y of a value over the tail's beginning, a power law is an exponential density, exp(-(α-1) y), and a lognormal
one a normal density cut off at 0, exp(-a y - b y²): so the lognormal holds the power law (b = 0), whose likelihood can't be
higher. A power law is therefore claimed only where the data leave no room for such a curvature; see `tail`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

Verdict = Literal["power law", "lighter tail", "another law", "untold"]
LEAST = 10  # values of a tail
LEVEL = 0.05  # of the tests of alternatives
REJECTED = 0.1  # p-value under which a power law is given up (Clauset, Shalizi and Newman, section 4)
BEND = 0.3  # share of α - 1 by which the exponent may change over nine tenths of a tail that is called a power law
_STEEPEST = 1e3  # of the lognormal's cut, from which on it is a power law for float64


@dataclass(frozen=True)
class Tail:
    """The power law of a sample's largest values.

    Attributes
    ----------
    alpha : exponent of the density x^-α. error : its standard error, (α - 1) / √n.
    start : the smallest value of the tail (x_min). n : values in it. distance : Kolmogorov and Smirnov's.
    """

    alpha: float
    error: float
    start: float
    n: int
    distance: float


@dataclass(frozen=True)
class Against:
    """An alternative beside the power law, on the same tail.

    Attributes
    ----------
    ratio : log likelihood of the power law less the alternative's: below 0 the alternative fits better.
    p_value : of a ratio as far from 0 where both fit alike.
    """

    ratio: float
    p_value: float


def tail(x: Float[np.ndarray, " n"], *, least: int = LEAST) -> Tail | None:
    """Fit a power law to the largest of some positive values, with the beginning that brings it nearest to them.

    Parameters
    ----------
    least : fewest values of a tail. Values of 0 and below are left out.

    Returns
    -------
    Tail or None
        None where fewer than ``least`` values are positive, or all are equal.

    References
    ----------
    Clauset, Shalizi and Newman 2009, Power-law distributions in empirical data, SIAM Review 51.
    """
    from workbench.numerics.kernels.tails_cpu import best_start

    logs = _logs(x)
    if len(logs) < max(least, 2) or logs[0] == logs[-1]:
        return None
    at, distance = best_start(logs, max(least, 2))
    if not np.isfinite(distance):
        return None
    m = len(logs) - at
    a = 1 / (logs[at:].mean() - logs[at])
    return Tail(float(1 + a), float(a / np.sqrt(m)), float(np.exp(logs[at])), m, float(distance))


def like(x: Float[np.ndarray, " n"], fitted: Tail, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Draw as many values whose tail is the fitted power law and whose rest is drawn from the data's own.

    Its refitted distances are the null of ``fitted.distance`` (Clauset, Shalizi and Newman 2009, section 4.1).
    """
    positive = np.sort(x[x > 0])
    rest = positive[: len(positive) - fitted.n]
    m = int(rng.binomial(len(positive), fitted.n / len(positive))) if len(rest) else len(positive)
    law = fitted.start * np.exp(rng.standard_exponential(m) / (fitted.alpha - 1))
    return np.concatenate([rng.choice(rest, len(positive) - m), law]) if len(rest) else law


def against_lognormal(x: Float[np.ndarray, " n"], fitted: Tail) -> Against:
    """Compare with a lognormal density on the same tail, by Vuong's test.

    References
    ----------
    Vuong 1989, Likelihood ratio tests for model selection and non-nested hypotheses, Econometrica 57; Malevergne, Pisarenko and
    Sornette 2011, Testing the Pareto against the lognormal distributions, Phys. Rev. E 83.
    """
    y = _over_start(x, fitted)
    mean, square = y.mean(), np.square(y).mean()
    t = _cut(square / mean**2)
    if t is None:
        return Against(0.0, 1.0)
    b = (_moments(t)[0] / mean) ** 2
    from scipy.special import erfc, erfcx

    alternative = -2 * t * np.sqrt(b) * y - b * y**2 - np.log(np.sqrt(np.pi / (4 * b)) * erfcx(t))
    difference = -y / mean - np.log(mean) - alternative
    ratio, spread = float(difference.sum()), float(difference.std())
    if spread == 0:
        return Against(0.0, 1.0)
    return Against(ratio, float(erfc(abs(ratio) / (np.sqrt(2 * len(y)) * spread))))


def against_truncated(x: Float[np.ndarray, " n"], fitted: Tail) -> Against:
    """Compare with a power law that ends in an exponential, x^-α e^-λx, on the same tail: twice the ratio is χ² of 1."""
    from scipy.optimize import minimize
    from scipy.stats import chi2

    y = _over_start(x, fitted)
    z = np.expm1(y)
    means = np.array([y.mean(), z.mean()])

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        a, k = np.exp(logs)
        whole, moments = _truncated(a, k)
        return a * means[0] + k * means[1] + np.log(whole), np.array([a, k]) * (means - moments)

    bounds = [
        (np.log(1e-3 / means[0]), np.log(1e3 / means[0])),
        (np.log(1e-9 / means[1]), np.log(1e3 / means[1])),
    ]
    start = np.log([1 / means[0], 0.1 / means[1]])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    ratio = min(0.0, float(len(y) * (found.fun - (1 + np.log(means[0])))))
    return Against(ratio, float(chi2.sf(-2 * ratio, 1)))


def bend(x: Float[np.ndarray, " n"], fitted: Tail) -> float:
    """Upper 95 % bound of the share by which α - 1 grows over nine tenths of the tail, as it would along a lognormal's.

    To first order about a power law, from the mean square of y over its squared mean, which is 2 there.
    """
    y = _over_start(x, fitted)
    curvature = (2 - np.square(y).mean() / y.mean() ** 2) / 4
    return float(2 * np.log(10) * (max(curvature, 0.0) + 1.645 / (2 * np.sqrt(len(y)))))


def verdict(x: Float[np.ndarray, " n"], fitted: Tail, p_value: float, others: Sequence[Against]) -> Verdict:
    """Say what the tail is, or that it can't be told.

    A power law is claimed where it isn't rejected (`REJECTED`), no alternative is better, and the tail leaves no room for an
    exponent that changes by more than `BEND`; a lighter tail where a lognormal or an exponential end has the higher likelihood.
    Which of these two it is can seldom be told.

    Parameters
    ----------
    p_value : of the distance, among those of draws (`like`).
    others : the alternatives, `against_lognormal` and `against_truncated`.
    """
    if any(a.ratio < 0 and a.p_value < LEVEL for a in others):
        return "lighter tail"
    if p_value < REJECTED:
        return "another law"
    return "power law" if bend(x, fitted) <= BEND else "untold"


def _logs(x: np.ndarray) -> np.ndarray:
    return np.sort(np.log(np.asarray(x, np.float64)[np.asarray(x) > 0]))


def _over_start(x: np.ndarray, fitted: Tail) -> np.ndarray:
    logs = _logs(x)[-fitted.n :]
    return np.asarray(logs - logs[0])


def _moments(t: float) -> tuple[float, float]:
    """Mean and mean square of u >= 0 with density exp(-2tu - u²)."""
    from scipy.special import erfcx

    mean = 1 / (np.sqrt(np.pi) * erfcx(t)) - t
    return float(mean), float(0.5 - t * mean)


def _cut(ratio: float) -> float | None:
    """The t of `_moments` whose mean square over squared mean is this; None where it is 2 or more, a power law's."""
    from scipy.optimize import brentq

    def miss(t: float) -> float:
        mean, square = _moments(t)
        return square / mean**2 - ratio

    if miss(_STEEPEST) <= 0:
        return None
    return float(brentq(miss, -20.0, _STEEPEST)) if miss(-20.0) < 0 else -20.0


def _truncated(a: float, k: float) -> tuple[float, np.ndarray]:
    """Integral over y >= 0 of exp(-ay - k(e^y - 1)), and the means of y and e^y - 1 under that density."""
    end = min(40 / a, np.log1p(40 / k))
    y = end * (_NODES + 1) / 2
    z = np.expm1(y)
    weight = _WEIGHTS * np.exp(-a * y - k * z) * end / 2
    whole = weight.sum()
    return float(whole), np.array([weight @ y, weight @ z]) / whole


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(120)
