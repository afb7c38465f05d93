"""Joinpoint regression: lines joined at unknown places, in noise that is correlated with itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.autoregression import Autoregression, autoregression, bounded, order
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.descent_laws import lag_one, whitened

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CANDIDATES = 80  # places that are tried for a joint
WINDOWS = 6  # of a curve, over each of which the noise's size is taken for even
UNEVEN = 10.0  # times its median the noise is taken to be at most
PERSISTENCES = (
    -0.6,
    0.0,
    0.4,
    0.7,
    0.85,
    0.93,
    0.97,
    1.0,
)  # that noise is made with, to see what becomes of them
CORRECTIONS = 16  # curves of each
LONG = 4000  # points that tell a correlation


@dataclass(frozen=True)
class Joined:
    """Lines joined at knots, fitted by generalized least squares.

    Attributes
    ----------
    knots : positions in the curve, ascending. curve : (n,) fitted.
    slopes : of each line, per unit of the clock. correlation : of the noise. innovations : (n,) what is new in it.
    size : (n,) of the noise, relative.
    """

    knots: Int[np.ndarray, " k"]
    curve: Float[np.ndarray, " n"]
    slopes: Float[np.ndarray, " r"]
    correlation: float
    innovations: Float[np.ndarray, " n"]
    size: Float[np.ndarray, " n"]

    @property
    def bounds(self) -> Int[np.ndarray, " b"]:
        """Positions where a line begins, and the last."""
        return np.concatenate([[0], self.knots, [len(self.curve) - 1]]).astype(int)


def candidates(n: int, shortest: int, knots: Int[np.ndarray, " k"]) -> Int[np.ndarray, " c"]:
    """Positions of another knot, no line being shorter than ``shortest`` points."""
    places = np.unique(
        np.linspace(shortest, n - 1 - shortest, min(CANDIDATES, max(n - 2 * shortest, 0))).astype(int)
    )
    near = np.abs(places[:, None] - np.asarray(knots)[None, :]) < shortest
    return places[~near.any(axis=1)]


def noise_size(y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """How large the noise is along a curve, relative to its median: from second differences in a window that moves.

    Losses often waver more, relative to what they are, the lower they come; stretches of little noise then say more.
    """
    from scipy.ndimage import uniform_filter1d

    bends = np.square(np.diff(y, 2, prepend=y[1], append=y[-2]))
    size = np.sqrt(uniform_filter1d(bends, max(len(y) // WINDOWS, 5), mode="reflect"))
    middle = float(np.median(size))
    return np.clip(size / middle, 1 / UNEVEN, UNEVEN) if middle > 0 else np.ones(len(y))


def best_knot(
    clock: np.ndarray,
    y: np.ndarray,
    knots: np.ndarray,
    places: np.ndarray,
    correlation: float,
    size: np.ndarray,
) -> tuple[int, float]:
    """The place at which one more knot helps most, and its F statistic (one and n - 3 - k degrees of freedom)."""
    q, _ = np.linalg.qr(whitened(design(clock, knots) / size[:, None], correlation))
    rest = whitened(y / size, correlation)
    rest = rest - q @ (q.T @ rest)
    hinges = whitened(np.maximum(clock[:, None] - clock[places], 0) / size[:, None], correlation)
    hinges = hinges - q @ (q.T @ hinges)
    gain = (hinges.T @ rest) ** 2 / np.maximum((hinges**2).sum(axis=0), 1e-300)
    at = int(gain.argmax())
    left = max(float(rest @ rest) - float(gain[at]), 1e-24 * float(y / size @ (y / size)) + 1e-300)
    return int(places[at]), float(gain[at]) / left * (len(y) - 3 - len(knots))


def fit_joined(
    clock: np.ndarray, y: np.ndarray, knots: np.ndarray, size: np.ndarray, correlation: float | None = None
) -> Joined:
    """Fit lines joined at given knots; the noise's correlation is fitted too where none is given."""
    columns = design(clock, knots)
    phi = 0.0 if correlation is None else correlation
    for _ in range(4 if correlation is None else 1):
        weights, *_ = np.linalg.lstsq(
            whitened(columns / size[:, None], phi), whitened(y / size, phi), rcond=None
        )
        if correlation is None:
            phi = lag_one((y - columns @ weights) / size)
    curve = columns @ weights
    return Joined(np.sort(knots), curve, np.cumsum(weights[1:]), phi, whitened((y - curve) / size, phi), size)


def search(
    clock: np.ndarray, y: np.ndarray, k: int, shortest: int, correlation: float, size: np.ndarray
) -> Int[np.ndarray, " k"]:
    """Place k knots one after another, and move each in turn to its best place until none moves."""
    knots = np.empty(0, int)
    for _ in range(k):
        places = candidates(len(y), shortest, knots)
        if not len(places):
            break
        knots = np.append(knots, best_knot(clock, y, knots, places, correlation, size)[0])
    for _ in range(3):
        before = knots.copy()
        for j in range(len(knots)):
            others = np.delete(knots, j)
            places = candidates(len(y), shortest, others)
            near = knots[j] + np.arange(
                -len(y) // CANDIDATES, len(y) // CANDIDATES + 1
            )  # between the candidates
            near = near[(near >= shortest) & (near <= len(y) - 1 - shortest)]
            near = near[(np.abs(near[:, None] - others[None, :]) >= shortest).all(axis=1)]
            knots[j] = best_knot(clock, y, others, np.union1d(places, near), correlation, size)[0]
        if np.array_equal(before, knots):
            break
    return np.sort(knots)


def flexible_noise(
    clock: np.ndarray, y: np.ndarray, shortest: int, most: int, size: np.ndarray
) -> tuple[Float[np.ndarray, " n"], float]:
    """The noise about more lines than will be asked for, so that no joint is taken for noise, and its correlation."""
    knots = np.empty(0, int)
    for _ in range(most):
        places = candidates(len(y), shortest, knots)
        if not len(places):
            break
        knots = np.append(knots, best_knot(clock, y, knots, places, 0.0, size)[0])
    fit = fit_joined(clock, y, knots, size)
    return (y - fit.curve) / size, fit.correlation


@dataclass(frozen=True)
class LinearNoise:
    """What is known of a curve's noise: that it is linear, and how persistent it may be.

    Lines that bend take part of slow noise for signal, so that its persistence comes out low, the lower the slower it is.
    So curves without a change are made with each of several persistences, and where the value found lies among theirs says
    how surely the true one is less.

    Attributes
    ----------
    noise : (n,) about the lines. lags : of its changes that the next one owes something to.
    tried : persistences, rising to that of a random walk; ``sure`` how surely the true one is less than each.

    References
    ----------
    Hansen 1999, The grid bootstrap and the autoregressive model, Rev. Econ. Stat. 81; Perron and Yabu 2009, Testing for
    shifts in trend with an integrated or stationary noise component, J. Bus. Econ. Stat. 27.
    """

    noise: Float[np.ndarray, " n"]
    lags: int
    tried: Float[np.ndarray, " m"]
    sure: Float[np.ndarray, " m"]

    @property
    def may_walk(self) -> bool:
        """Whether a random walk isn't ruled out at 5 %."""
        return bool(self.sure[-1] < 0.95)

    @property
    def correlation(self) -> float:
        """From one point to the next, at the persistence that the true one is as surely above as below."""
        long = self._with(0.5).draw(LONG, np.random.default_rng(0))
        return lag_one(long - long.mean())

    def draw(self, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        """Noise like it: a random walk where it may be one, the hardest to tell from changes; else as persistent as it may be."""
        return self._with(1.0 if self.may_walk else rng.random()).draw(len(self.noise), rng)

    def _with(self, share: float) -> Autoregression:
        persistence = 1.0 if share == 1 else float(np.interp(share, self.sure, self.tried))
        return bounded(self.noise, self.lags, persistence)


def noise_of(
    clock: np.ndarray, y: np.ndarray, shortest: int, most: int, size: np.ndarray, random_state: int
) -> LinearNoise:
    """Say what the noise about at most ``most`` joints may be."""
    from scipy.stats import norm

    n = len(y)
    noise, _ = flexible_noise(clock, y, shortest, most, size)
    noise = noise * np.sqrt(n / max(n - 2 - 2 * most, 1))
    lags = order(noise)
    found = autoregression(noise, lags).persistence
    sure = []
    for persistence in PERSISTENCES:
        member = bounded(noise, lags, persistence)
        rng = np.random.default_rng([random_state, 0x706869])
        made = (size * member.draw(n, rng) for _ in range(CORRECTIONS))
        again = np.array(
            [
                autoregression(flexible_noise(clock, e, shortest, most, size)[0], lags).persistence
                for e in made
            ]
        )
        sure.append(float(norm.sf((found - again.mean()) / max(again.std(ddof=1), 1e-9))))
    return LinearNoise(noise, lags, np.array(PERSISTENCES), np.maximum.accumulate(sure))


def redrawn_lines(fit: Joined, noise: LinearNoise, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """A curve along the same lines, with noise like its own."""
    return fit.curve + fit.size * noise.draw(rng)


def sequence(
    clock: np.ndarray,
    y: np.ndarray,
    *,
    shortest: int,
    most: int,
    level: float,
    n_null: int,
    random_state: int,
) -> tuple[Joined, LinearNoise, list[tuple[float, np.ndarray]]]:
    """Add knots while one more than those found is beyond what curves without it give at ``level``.

    Returns
    -------
    The lines, what is known of their noise, and for each test its F statistic and the null's draws: one for each knot that
    was found and, unless ``most`` was reached, one that was not.

    References
    ----------
    Kim, Fay, Feuer, Midthune 2000, Permutation tests for joinpoint regression with applications to cancer rates,
    Statist. Med. 19; Bai and Perron 1998, Estimating and testing linear models with multiple structural changes,
    Econometrica 66 (l + 1 changes against l).
    """
    size = noise_size(y)
    noise = noise_of(clock, y, shortest, most + 1, size, random_state)
    phi = noise.correlation
    knots = np.empty(0, int)
    tests: list[tuple[float, np.ndarray]] = []
    fit = fit_joined(clock, y, knots, size, phi)
    for k in range(most):
        if not len(candidates(len(y), shortest, knots)):
            break
        statistic = _statistic(clock, k, shortest, most, size)
        value = statistic(y)
        (draws,) = draw_until_clear(
            _drawing(fit, noise, statistic),
            np.array([value]),
            ("greater",),
            n_null,
            random_state + k,
            f"change {k + 1}",
        )
        tests.append((value, draws))
        if (1 + int((draws >= value).sum())) / (1 + len(draws)) > level:
            break
        found = search(clock, y, k + 1, shortest, phi, size)
        if len(found) <= k:
            break  # no room for another
        knots = found
        fit = fit_joined(clock, y, knots, size, phi)
    return fit, noise, tests


def _drawing(
    fit: Joined, noise: LinearNoise, statistic: Callable[[np.ndarray], float]
) -> Callable[[np.random.Generator], float]:
    return lambda rng: statistic(redrawn_lines(fit, noise, rng))


def _statistic(
    clock: np.ndarray, k: int, shortest: int, most: int, size: np.ndarray
) -> Callable[[np.ndarray], float]:
    """F of the best knot beside the k best, the noise's correlation and those k found in the curve itself."""

    def value(y: np.ndarray) -> float:
        _, phi = flexible_noise(clock, y, shortest, most + 1, size)
        knots = search(clock, y, k, shortest, phi, size)
        places = candidates(len(y), shortest, knots)
        return best_knot(clock, y, knots, places, phi, size)[1] if len(places) else 0.0

    return value


def design(clock: np.ndarray, knots: np.ndarray) -> Float[np.ndarray, "n c"]:
    """A constant, the clock, and a hinge at each knot, which bends the line from there on."""
    return np.column_stack(
        [np.ones_like(clock), clock, *(np.maximum(clock - clock[k], 0) for k in np.sort(knots))]
    )
