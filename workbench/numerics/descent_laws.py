"""Laws of descent: exponential, power and stretched curves, with and without a floor, fitted under correlated noise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

LARGEST_CORRELATION = 0.99  # beyond it noise of a few hundred steps can't be told from a random walk
STARTS = 24  # time scales or exponents that are tried before the best is refined
LEAST = {
    "stretch": 0.02,
    "exponent": 1e-4,
}  # an exponent of almost 0 is a constant, which the law has for a special case
ROUNDS = 6  # alternations of the law and the noise's correlation; both stand still after three or four


@dataclass(frozen=True)
class Law:
    """A curve from a start to a floor: ``floor + (start - floor) * shape(time)``, with ``shape(0) = 1``.

    Attributes
    ----------
    shape : of time (steps since the first) and its own positive parameters. own : their names.
    floor : whether there is one; without it the curve ends at 0.
    """

    name: str
    own: tuple[str, ...]
    shape: Callable[..., np.ndarray]
    floor: bool

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters, in the order of `Fit.parameters`."""
        if not self.own:
            return ("level",)
        return ("start", *(("floor",) if self.floor else ()), *self.own)


def _flat(t: np.ndarray) -> np.ndarray:
    return np.ones_like(t)


def _exponential(t: np.ndarray, scale: float) -> np.ndarray:
    return np.exp(-t / scale)


def _power(t: np.ndarray, exponent: float) -> np.ndarray:
    return (1 + t) ** -exponent


def _stretched(t: np.ndarray, scale: float, stretch: float) -> np.ndarray:
    return np.exp(-((t / scale) ** stretch))


_SHAPES: dict[str, tuple[tuple[str, ...], Callable[..., np.ndarray]]] = {
    "exponential": (("time scale",), _exponential),
    "power law": (("exponent",), _power),
    "stretched exponential": (("time scale", "stretch"), _stretched),
}
LAWS = {"constant": Law("constant", (), _flat, False)} | {
    law.name: law
    for name, (own, shape) in _SHAPES.items()
    for law in (Law(name, own, shape, False), Law(f"{name} with floor", own, shape, True))
}
"""Every law by its name; ``constant`` is what the others are held against."""


WIDEST = ("stretched exponential with floor", "power law with floor")
"""Of which every law is a special case."""


def special_cases(name: str) -> tuple[str, ...]:
    """The laws that a law becomes with parameters left out: those that a curve follows follow it too."""
    cases = ["constant"] if name != "constant" else []
    if LAWS[name].floor:
        cases.append(name.removesuffix(" with floor"))
    if name.startswith("stretched"):
        cases.append("exponential")
    if name == "stretched exponential with floor":
        cases.append("exponential with floor")
    return tuple(cases)


def simplest(names: Sequence[str]) -> tuple[str, ...]:
    """Laws of which no special case is among them."""
    return tuple(n for n in names if not set(special_cases(n)) & set(names))


@dataclass(frozen=True)
class Fit:
    """A law fitted to a curve whose noise is a first-order autoregression.

    Attributes
    ----------
    curve : (n,) the fitted curve, in the data's own unit.
    parameters : as named by ``law.parameters``; time scales in steps.
    theta : the same as the search sees them. log : whether the noise is on the logarithm.
    correlation : of the noise with itself one point before. innovations : (n,) what is new in it at each point.
    log_likelihood : Gaussian, of the curve on the scale of the noise.
    """

    law: Law
    curve: Float[np.ndarray, " n"]
    parameters: Float[np.ndarray, " p"]
    theta: Float[np.ndarray, " p"]
    log: bool
    correlation: float
    innovations: Float[np.ndarray, " n"]
    log_likelihood: float

    @property
    def n_parameters(self) -> int:
        """The law's, and the noise's two: its size and its correlation."""
        return len(self.parameters) + 2

    @property
    def bic(self) -> float:
        """Schwarz's criterion, smaller is better."""
        return self.n_parameters * float(np.log(len(self.curve))) - 2 * self.log_likelihood

    @property
    def aic(self) -> float:
        """Akaike's criterion, smaller is better."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    @property
    def effective_n(self) -> float:
        """How many independent points would fix a mean as well: n (1 - φ) / (1 + φ)."""
        return len(self.curve) * (1 - self.correlation) / (1 + self.correlation)


def fit_law(
    name: str,
    time: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    *,
    log: bool,
    start: Fit | None = None,
    rounds: int = ROUNDS,
) -> Fit:
    """Fit a law by least squares and its noise's correlation by turns (iterated generalized least squares).

    Parameters
    ----------
    name : one of `LAWS`. time : steps since the first, ascending.
    values : all positive where ``log``.
    log : whether the noise multiplies (is additive on the logarithm) or adds.
    start : a fit of the same law to begin from; without it a grid of time scales or exponents is tried.

    References
    ----------
    Cochrane and Orcutt 1949, Application of least squares regression to relationships containing
    autocorrelated error terms, JASA 44; with the first point kept as Prais and Winsten did.
    """
    from scipy.optimize import least_squares

    law = LAWS[name]
    y = np.log(values) if log else values
    spread = float(np.ptp(values)) or abs(float(values[0])) or 1.0
    tiny = 1e-12 * (float(np.ptp(y)) or 1.0)
    low = float(values.min()) * 1e-6 if log else 0.0

    def curve(theta: np.ndarray) -> np.ndarray:
        first, floor, own = _unpacked(law, theta, log, spread, low)
        return floor + (first - floor) * law.shape(time, *own)

    def noise(theta: np.ndarray) -> np.ndarray:
        made = curve(theta)
        return y - (np.log(np.maximum(made, 1e-300)) if log else made)

    theta = start.theta if start is not None else _first_guess(law, time, values, log, spread, low)
    correlation = start.correlation if start is not None else 0.0
    for _ in range(rounds):
        phi = correlation
        theta = least_squares(lambda p, phi=phi: whitened(noise(p), phi), theta, method="lm", max_nfev=400).x
        correlation = lag_one(noise(theta))
        if abs(correlation - phi) < 1e-3:
            break
    new = whitened(noise(theta), correlation)
    n = len(y)
    variance = max(float(new @ new) / n, tiny**2)
    likelihood = -n / 2 * (np.log(2 * np.pi * variance) + 1) + np.log(1 - correlation**2) / 2
    first, floor, own = _unpacked(law, theta, log, spread, low)
    named = np.array([first, *([floor] if law.floor else []), *own])
    return Fit(law, curve(theta), named, theta, log, correlation, new, float(likelihood))


def fit_laws(
    time: np.ndarray, values: np.ndarray, *, log: bool, names: tuple[str, ...] = tuple(LAWS)
) -> list[Fit]:
    """Fit each of several laws."""
    return [fit_law(name, time, values, log=log) for name in names]


def misfit(fit: Fit, widest: Sequence[Fit]) -> float:
    """By how much log-likelihood the best of the widest laws exceeds one that they have for a special case; 0 or more."""
    return max(0.0, max(w.log_likelihood for w in widest) - fit.log_likelihood)


def misfits_by_chance(fit: Fit, time: Float[np.ndarray, " n"]) -> Callable[[np.random.Generator], float]:
    """Return what draws the `misfit` of a law to curves that it made itself, with noise as correlated.

    References
    ----------
    Williams 1970, Discrimination between regression models to determine the pattern of enzyme synthesis, Biometrics 26.
    """

    def draw(rng: np.random.Generator) -> float:
        made = redrawn(fit, rng)
        # sought as widely as in the data: from one start a wide law would find less in the draws
        own, *wide = (fit_law(name, time, made, log=fit.log) for name in (fit.law.name, *WIDEST))
        return misfit(own, wide)

    return draw


def redrawn(fit: Fit, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Draw a curve that follows the fitted law, with noise as correlated as the data's, its innovations resampled.

    Innovations are scaled by the degrees of freedom that the fit took.
    """
    n = len(fit.curve)
    new = fit.innovations - fit.innovations.mean()
    new = new * np.sqrt(n / max(n - fit.n_parameters, 1))
    noise = correlated(rng.choice(new, n), fit.correlation)
    return fit.curve * np.exp(noise) if fit.log else fit.curve + noise


def correlated(innovations: Float[np.ndarray, " n"], correlation: float) -> Float[np.ndarray, " n"]:
    """A stationary first-order autoregression made of its innovations; the inverse of `whitened`."""
    from scipy.signal import lfilter

    first = innovations.copy()
    first[0] = innovations[0] / np.sqrt(1 - correlation**2)
    return np.asarray(lfilter([1.0], [1.0, -correlation], first))


def whitened(noise: Float[np.ndarray, " n ..."], correlation: float) -> Float[np.ndarray, " n ..."]:
    """What is new in a first-order autoregression at each point, the first scaled to the others' variance."""
    out = noise.copy()
    out[1:] -= correlation * noise[:-1]
    out[0] *= np.sqrt(1 - correlation**2)
    return out


def lag_one(noise: Float[np.ndarray, " n"]) -> float:
    """Correlation of noise with itself one point before, kept away from ±1."""
    square = float(noise[:-1] @ noise[:-1])
    phi = float(noise[1:] @ noise[:-1]) / square if square > 0 else 0.0
    return float(np.clip(phi, -LARGEST_CORRELATION, LARGEST_CORRELATION))


def _unpacked(
    law: Law, theta: np.ndarray, log: bool, spread: float, low: float
) -> tuple[float, float, np.ndarray]:
    """Start, floor and the law's own parameters, each in its own unit."""
    ends = np.exp(np.clip(theta[: 1 + law.floor], -600, 600)) if log else theta[: 1 + law.floor] * spread
    own = np.exp(np.clip(theta[1 + law.floor :], -25, 25))
    if law.own and law.own[-1] in ("stretch", "exponent"):
        own[-1] = np.clip(own[-1], LEAST[law.own[-1]], 20)
    floor = 0.0
    if law.floor:
        floor = (
            max(float(ends[1]) - low, 0.0) if log else float(ends[1])
        )  # so that a floor of 0 can be reached
    return float(ends[0]), floor, own


def _first_guess(
    law: Law, t: np.ndarray, values: np.ndarray, log: bool, spread: float, low: float
) -> np.ndarray:
    """The best of a grid of the law's own parameters, its start and floor by linear least squares."""
    weight = 1 / values if log else np.ones_like(values)  # relative errors stand for those of the logarithm
    span = float(t[-1]) or 1.0
    step = span / max(len(t) - 1, 1)
    scales = np.geomspace(max(step, span / 500), 5 * span, STARTS)
    grids: dict[str, Any] = {
        "time scale": scales,
        "exponent": np.geomspace(0.05, 4, STARTS),
        "stretch": (0.4, 0.7, 1.0, 1.6),
    }
    best, found = np.inf, np.zeros(1)
    for own in itertools.product(*(grids[n] for n in law.own)):
        g = law.shape(t, *own)
        columns = np.column_stack([g, 1 - g]) if law.floor else g[:, None]
        ends, *_ = np.linalg.lstsq(columns * weight[:, None], values * weight, rcond=None)
        if log:
            ends = np.maximum(ends, max(low * 10, float(values.min()) * 1e-2))
        left = (values - columns @ ends) * weight
        if (error := float(left @ left)) < best:
            best, found = error, np.concatenate([np.log(ends) if log else ends / spread, np.log(own)])
    return found
