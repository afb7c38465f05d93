"""Laws of descent: exponential, power and stretched curves, with and without a floor, fitted under correlated noise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

LARGEST_CORRELATION = 0.99  # beyond it noise of a few hundred steps can't be told from a random walk
STARTS = 24  # time scales or exponents that are tried before the best is refined
LEAST = {
    "stretch": 0.02,
    "exponent": 1e-4,
}  # an exponent of almost 0 is a constant, which the law has for a special case
MOST = 20.0  # stretch or exponent
ROUNDS = 6  # alternations of the law and the noise's correlation; both stand still after three or four
STEPS = 40  # of Levenberg and Marquardt's search in each
LAGS, TOO_LONG = 10, 1.645  # points, and standard errors of the sum of that many autocorrelations
PILOTS = 40  # curves that tell how much too low the correlation is found

Shape = Callable[..., tuple[np.ndarray, tuple[np.ndarray, ...]]]


@dataclass(frozen=True)
class Law:
    """A curve from a start to a floor: ``floor + (start - floor) * shape(time)``, with ``shape(0) = 1``.

    Attributes
    ----------
    own : names of the shape's own positive parameters. floor : whether there is one; without it the curve ends at 0.
    sloped : the shape of time (steps since the first) and its own parameters, and its slope in the logarithm of each.
    """

    name: str
    own: tuple[str, ...]
    sloped: Shape
    floor: bool

    def shape(self, time: np.ndarray, *own: float | np.ndarray) -> np.ndarray:
        """The shape alone."""
        return self.sloped(time, *own)[0]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of all parameters, in the order of `Fit.parameters`."""
        if not self.own:
            return ("level",)
        return ("start", *(("floor",) if self.floor else ()), *self.own)


def _flat(t: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    return np.ones_like(t), ()


def _exponential(t: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    u = t / scale
    shape = np.exp(-u)
    return shape, (shape * u,)


def _power(t: np.ndarray, exponent: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    u = exponent * np.log1p(t)
    shape = np.exp(-u)
    return shape, (-shape * u,)


def _stretched(
    t: np.ndarray, scale: np.ndarray, stretch: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    logs = np.log(np.maximum(t, 1e-300) / scale)
    power = np.exp(np.minimum(stretch * logs, 600))
    shape = np.exp(-power)
    bent = shape * power * stretch
    return shape, (bent, -bent * logs)


_SHAPES: dict[str, tuple[tuple[str, ...], Shape]] = {
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
    rounds: int = ROUNDS,
) -> Fit:
    """Fit a law to a curve; see `fit_many`."""
    found = fit_many(name, time, values[None], log=log, rounds=rounds)
    return Fit(
        LAWS[name],
        found.curves[0],
        found.parameters[0],
        found.theta[0],
        log,
        float(found.correlations[0]),
        found.innovations[0],
        float(found.log_likelihoods[0]),
    )


class Fits(NamedTuple):
    """A law fitted to each of b curves; what they are, see `Fit`."""

    curves: Float[np.ndarray, "b n"]
    parameters: Float[np.ndarray, "b p"]
    theta: Float[np.ndarray, "b p"]
    correlations: Float[np.ndarray, " b"]
    innovations: Float[np.ndarray, "b n"]
    log_likelihoods: Float[np.ndarray, " b"]


def fit_many(
    name: str,
    time: Float[np.ndarray, " n"],
    values: Float[np.ndarray, "b n"],
    *,
    log: bool,
    rounds: int = ROUNDS,
) -> Fits:
    """Fit a law by least squares and its noise's correlation by turns (iterated generalized least squares), to many curves.

    Parameters
    ----------
    name : one of `LAWS`. time : steps since the first, ascending.
    values : all positive where ``log``.
    log : whether the noise multiplies (is additive on the logarithm) or adds.

    References
    ----------
    Cochrane and Orcutt 1949, Application of least squares regression to relationships containing
    autocorrelated error terms, JASA 44; with the first point kept as Prais and Winsten did. Marquardt 1963, An algorithm
    for least-squares estimation of nonlinear parameters, J. SIAM 11.
    """
    problem = _Problem(LAWS[name], time, values, log)
    theta, phi = problem.first_guess(), np.zeros(len(values))
    going = np.arange(len(theta))
    for _ in range(rounds):
        theta[going] = _least(problem.some(going), theta[going], phi[going])
        before = phi[going]
        phi[going] = lag_one(problem.some(going).noise(theta[going])[0])
        going = going[np.abs(phi[going] - before) >= 1e-3]
        if not len(going):
            break
    noise, _, curves = problem.noise(theta)
    new = whitened(noise.T, phi).T
    n = problem.values.shape[1]
    tiny = 1e-12 * np.maximum(np.ptp(problem.y, axis=1), np.finfo(float).tiny)
    variance = np.maximum(np.square(new).mean(axis=1), np.square(tiny))
    likelihoods = -n / 2 * (np.log(2 * np.pi * variance) + 1) + np.log(1 - phi**2) / 2
    first, floor, own = problem.unpacked(theta)
    named = np.column_stack([first, *([floor] if problem.law.floor else []), *own])
    return Fits(curves, named, theta, phi, new, likelihoods)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Curves that a law is fitted to, with what doesn't change while it is.

    Attributes
    ----------
    values : (b, n).
    """

    law: Law
    time: np.ndarray
    values: np.ndarray
    log: bool

    @cached_property
    def y(self) -> np.ndarray:
        return np.log(self.values) if self.log else self.values

    @cached_property
    def spread(self) -> np.ndarray:
        spread = np.ptp(self.values, axis=1)
        spread = np.where(spread > 0, spread, np.abs(self.values[:, 0]))
        return np.where(spread > 0, spread, 1.0)

    @cached_property
    def low(self) -> np.ndarray:
        return self.values.min(axis=1) * 1e-6 if self.log else np.zeros(len(self.values))

    def some(self, which: np.ndarray) -> _Problem:
        """The same for some of the curves."""
        return self if len(which) == len(self.values) else replace(self, values=self.values[which])

    def unpacked(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """Start, floor and the law's own parameters, each (b,) in its own unit."""
        k = 1 + self.law.floor
        ends = np.exp(np.clip(theta[:, :k], -600, 600)) if self.log else theta[:, :k] * self.spread[:, None]
        own = [np.exp(np.clip(c, -25, 25)) for c in theta[:, k:].T]
        if self.law.own and self.law.own[-1] in LEAST:
            own[-1] = np.clip(own[-1], LEAST[self.law.own[-1]], MOST)
        floor = np.zeros(len(theta))
        if self.law.floor:  # so that a floor of 0 can be reached
            floor = np.maximum(ends[:, 1] - self.low, 0) if self.log else ends[:, 1]
        return ends[:, 0], floor, own

    def noise(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a curve leaves, (b, n), its slopes in each parameter, (b, n, p), and the curve itself."""
        first, floor, own = self.unpacked(theta)
        shape, bends = self.law.sloped(self.time[None, :], *(c[:, None] for c in own))
        if not self.law.own:
            shape = np.broadcast_to(shape, self.values.shape)
        fall = (first - floor)[:, None]
        curve = floor[:, None] + fall * shape
        unit = (first, floor + self.low) if self.log else (self.spread, self.spread)
        slopes = [shape * unit[0][:, None]]
        if self.law.floor:
            slopes.append((1 - shape) * (unit[1] * ((floor > 0) | (not self.log)))[:, None])
        slopes += [fall * b for b in bends]
        down = np.stack(slopes, axis=-1)
        if not self.log:
            return self.y - curve, -down, curve
        safe = np.maximum(curve, 1e-300)
        return self.y - np.log(safe), -down / safe[..., None], curve

    def first_guess(self) -> np.ndarray:
        """The best of a grid of the law's own parameters, its start and floor by linear least squares: (b, p)."""
        t, v, law = self.time, self.values, self.law
        span = float(t[-1]) or 1.0
        step = span / max(len(t) - 1, 1)
        grids: dict[str, np.ndarray] = {
            "time scale": np.geomspace(max(step, span / 500), 5 * span, STARTS),
            "exponent": np.geomspace(0.05, 4, STARTS),
            "stretch": np.array([0.4, 0.7, 1.0, 1.6]),
        }
        grid = np.array(list(itertools.product(*(grids[n] for n in law.own))), float)
        g = np.broadcast_to(law.shape(t[None, :], *(c[:, None] for c in grid.T)), (len(grid), len(t)))
        w = (
            1 / np.square(v) if self.log else np.ones_like(v)
        )  # relative errors stand for those of the logarithm
        h = 1 - g
        gg, gv, vv = w @ np.square(g).T, (w * v) @ g.T, (w * v * v).sum(axis=1)[:, None]
        least = np.maximum(self.low * 10, v.min(axis=1) * 1e-2)[:, None] if self.log else -np.inf
        if not law.floor:
            start = np.maximum(gv / np.maximum(gg, 1e-300), least)
            left, ends = vv - 2 * start * gv + start**2 * gg, [start]
        else:
            gh, hh, hv = w @ (g * h).T, w @ np.square(h).T, (w * v) @ h.T
            det = np.maximum(gg * hh - gh**2, 1e-12 * gg * np.maximum(hh, 1e-300) + 1e-300)
            start = np.maximum((gv * hh - hv * gh) / det, least)
            floor = np.maximum((hv * gg - gv * gh) / det, least)
            left = (
                vv - 2 * start * gv - 2 * floor * hv + start**2 * gg + 2 * start * floor * gh + floor**2 * hh
            )
            ends = [start, floor]
        best = left.argmin(axis=1)
        found = np.column_stack([e[np.arange(len(v)), best] for e in ends])
        return np.column_stack(
            [np.log(found) if self.log else found / self.spread[:, None], np.log(grid[best])]
        )


def _least(problem: _Problem, theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Least squares of what is new in the noise, by Levenberg and Marquardt's steps, every curve for itself.

    Invariant: ``theta`` is the best that was found of each curve and ``square`` what it leaves; a step that doesn't lower it is
    tried again, shorter and steeper (``damping`` tenfold), and curves that gain no more are left alone.
    """

    def at(some: _Problem, theta: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        noise, slopes, _ = some.noise(theta)
        new = whitened(noise.T, phi).T
        bent = whitened(np.moveaxis(slopes, 1, 0), phi[:, None]).swapaxes(0, 1)
        turned = bent.swapaxes(1, 2)
        return np.square(new).sum(axis=1), (turned @ new[..., None])[..., 0], turned @ bent

    theta, longest = theta.copy(), np.full(theta.shape[1], 3.0)  # in logarithms
    if not problem.log:
        longest[: 1 + problem.law.floor] = np.inf
    square, pull, bend = at(problem, theta, phi)
    exact = 1e-20 * np.square(problem.y).sum(axis=1)
    damping, going = np.full(len(theta), 1e-3), np.arange(len(theta))
    for _ in range(STEPS):
        sizes = np.einsum("bpp->bp", bend[going])
        damped = bend[going] + np.einsum(
            "b,bp,pq->bpq",
            damping[going],
            sizes + 1e-12 * sizes.max(axis=1, keepdims=True) + 1e-300,
            np.eye(theta.shape[1]),
        )
        step = np.clip(-np.linalg.solve(damped, pull[going][..., None])[..., 0], -longest, longest)
        tried = theta[going] + step
        now, now_pull, now_bend = at(problem.some(going), tried, phi[going])
        better = now < square[going]
        gained = (square[going] - now) / np.maximum(square[going], 1e-300)
        up = going[better]
        theta[up], square[up], pull[up], bend[up] = (
            tried[better],
            now[better],
            now_pull[better],
            now_bend[better],
        )
        damping[going] = np.where(better, damping[going] / 10, damping[going] * 10)
        done = (better & (gained < 1e-7)) | (damping[going] > 1e6) | (square[going] < exact[going])
        going = going[~done]
        if not len(going):
            break
    return theta


def fit_laws(
    time: np.ndarray, values: np.ndarray, *, log: bool, names: tuple[str, ...] = tuple(LAWS)
) -> list[Fit]:
    """Fit each of several laws."""
    return [fit_law(name, time, values, log=log) for name in names]


def misfit(fit: Fit, widest: Sequence[Fit]) -> float:
    """By how much log-likelihood the best of the widest laws exceeds one that they have for a special case; 0 or more."""
    return max(0.0, max(w.log_likelihood for w in widest) - fit.log_likelihood)


def misfits_by_chance(
    fit: Fit, time: Float[np.ndarray, " n"], rng: np.random.Generator, many: int
) -> Float[np.ndarray, " many"]:
    """`misfit` of a law to curves that it made itself, with noise as correlated.

    References
    ----------
    Williams 1970, Discrimination between regression models to determine the pattern of enzyme synthesis, Biometrics 26.
    """
    made = redrawn(fit, many, rng)
    # sought as widely as in the data: from one start a wide law would find less in the draws
    own, *wide = (fit_many(name, time, made, log=fit.log).log_likelihoods for name in (fit.law.name, *WIDEST))
    return np.maximum(np.max(wide, axis=0) - own, 0)


def settled(fit: Fit, time: Float[np.ndarray, " n"], rng: np.random.Generator) -> Fit:
    """The same fit with the correlation that its noise has, as far as one can say.

    A law takes part of slow noise for its own, so that the correlation of what it leaves is too low. By how much is seen in
    curves that are redrawn with it.

    References
    ----------
    Kendall 1954, Note on bias in the estimation of autocorrelation, Biometrika 41; MacKinnon and Smith 1998, Approximate
    bias correction in econometrics, J. Econometrics 85.
    """
    found = fit_many(fit.law.name, time, redrawn(fit, PILOTS, rng), log=fit.log, rounds=3).correlations
    most = max(LARGEST_CORRELATION, fit.correlation)
    correlation = float(np.clip(2 * fit.correlation - found.mean(), -most, most))
    noise = correlated(fit.innovations, fit.correlation)
    return replace(fit, correlation=correlation, innovations=whitened(noise, correlation))


def slower(innovations: Float[np.ndarray, " n"]) -> bool:
    """Whether noise wavers more slowly than the first-order autoregression that was fitted to it: what is new in it lingers.

    Then its autocorrelations over ten points sum to more than they do by chance (at 1 or 2 of 100), as where independent noise
    lies on slow noise. Curves that are redrawn as an autoregression waver less there, and intervals covered 44 to 82 of 100.

    References
    ----------
    Lo and MacKinlay 1988, Stock market prices do not follow random walks, Rev. Financ. Stud. 1 (a ratio of variances is a sum
    of autocorrelations).
    """
    n = len(innovations)
    new = innovations - innovations.mean()
    square = float(new @ new)
    lags = range(1, min(LAGS, n // 5) + 1)
    if not square:
        return False
    return bool(sum(float(new[k:] @ new[:-k]) for k in lags) / square * np.sqrt(n / len(lags)) > TOO_LONG)


def redrawn(fit: Fit, many: int, rng: np.random.Generator) -> Float[np.ndarray, "many n"]:
    """Draw curves that follow the fitted law, with noise as correlated as the data's, its innovations resampled.

    Innovations are scaled by the degrees of freedom that the fit took.
    """
    n = len(fit.curve)
    new = fit.innovations - fit.innovations.mean()
    new = new * np.sqrt(n / max(n - fit.n_parameters, 1))
    noise = correlated(rng.choice(new, (n, many)), fit.correlation).T
    return fit.curve * np.exp(noise) if fit.log else fit.curve + noise


def correlated(innovations: Float[np.ndarray, "n ..."], correlation: float) -> Float[np.ndarray, "n ..."]:
    """A stationary first-order autoregression made of its innovations; the inverse of `whitened`."""
    from scipy.signal import lfilter

    first = innovations.copy()
    first[0] = innovations[0] / np.sqrt(1 - correlation**2)
    return np.asarray(lfilter([1.0], [1.0, -correlation], first, axis=0))


def whitened(
    noise: Float[np.ndarray, "n ..."], correlation: float | np.ndarray
) -> Float[np.ndarray, "n ..."]:
    """What is new in a first-order autoregression at each point, the first scaled to the others' variance."""
    out = noise.copy()
    out[1:] -= correlation * noise[:-1]
    out[0] *= np.sqrt(1 - np.square(correlation))
    return out


def lag_one(noise: Float[np.ndarray, "... n"]) -> Float[np.ndarray, " ..."]:
    """Correlation of noise with itself one point before, kept away from ±1."""
    square = np.square(noise[..., :-1]).sum(axis=-1)
    along = (noise[..., 1:] * noise[..., :-1]).sum(axis=-1)
    phi = along / np.where(square > 0, square, 1.0)
    return np.clip(phi, -LARGEST_CORRELATION, LARGEST_CORRELATION)
