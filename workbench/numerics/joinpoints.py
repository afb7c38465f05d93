"""Joinpoint regression: lines joined at unknown places, in noise that is correlated with itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.descent_laws import LARGEST_CORRELATION, correlated, lag_one, whitened
from workbench.numerics.resampling import null_draws

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CANDIDATES = 80  # places that are tried for a joint
WINDOWS = 6  # of a curve, over each of which the noise's size is taken for even
UNEVEN = 10.0  # times its median the noise is taken to be at most
CORRECTIONS = 16  # curves behind the correction of the noise's correlation
APPROACHES, NEAR = 8, 0.005


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


def flexible_correlation(
    clock: np.ndarray, y: np.ndarray, shortest: int, most: int, size: np.ndarray
) -> float:
    """Correlation of the noise about more lines than will be asked for, so that no joint is taken for noise."""
    knots = np.empty(0, int)
    for _ in range(most):
        places = candidates(len(y), shortest, knots)
        if not len(places):
            break
        knots = np.append(knots, best_knot(clock, y, knots, places, 0.0, size)[0])
    return fit_joined(clock, y, knots, size).correlation


def corrected_correlation(
    clock: np.ndarray, y: np.ndarray, shortest: int, most: int, size: np.ndarray, random_state: int
) -> tuple[float, float]:
    """`flexible_correlation` without its bias (raised by as much as curves made with it come out low), and its standard error.

    Lines that bend take part of slow noise for signal: the more lines and the slower the noise, the more. The value whose
    curves give what was found is approached in steps of what is still missing, on the same innovations each time.
    """
    found = flexible_correlation(clock, y, shortest, most, size)
    new = np.random.default_rng([random_state, 0x706869]).standard_normal((CORRECTIONS, len(y)))
    phi = found
    for _ in range(APPROACHES):
        made = [flexible_correlation(clock, size * correlated(e, phi), shortest, most, size) for e in new]
        missing = found - float(np.mean(made))
        phi = float(np.clip(phi + missing, -LARGEST_CORRELATION, LARGEST_CORRELATION))
        if abs(missing) < NEAR:
            break
    steeper = (
        phi / found if phi > found > 0 else 1.0
    )  # how much more the corrected value varies than the found one
    return phi, float(np.std(made)) * steeper


def redrawn_lines(fit: Joined, rng: np.random.Generator, error: float = 0.0) -> Float[np.ndarray, " n"]:
    """A curve along the same lines, with noise as correlated, its innovations resampled.

    ``error`` is the correlation's standard error: each curve is then drawn with another that may be the true one.
    """
    n = len(fit.curve)
    new = (fit.innovations - fit.innovations.mean()) * np.sqrt(n / max(n - 3 - 2 * len(fit.knots), 1))
    phi = fit.correlation + error * rng.standard_normal() if error else fit.correlation
    phi = float(np.clip(phi, -LARGEST_CORRELATION, LARGEST_CORRELATION))
    return fit.curve + fit.size * correlated(rng.choice(new, n), phi)


def sequence(
    clock: np.ndarray,
    y: np.ndarray,
    *,
    shortest: int,
    most: int,
    level: float,
    n_null: int,
    random_state: int,
) -> tuple[Joined, list[tuple[float, np.ndarray]]]:
    """Add knots while one more than those found is beyond what curves without it give at ``level``.

    Returns
    -------
    The lines, and for each test its F statistic and the null's draws: one for each knot that was found and, unless ``most``
    was reached, one that was not.

    References
    ----------
    Kim, Fay, Feuer, Midthune 2000, Permutation tests for joinpoint regression with applications to cancer rates,
    Statist. Med. 19; Bai and Perron 1998, Estimating and testing linear models with multiple structural changes,
    Econometrica 66 (l + 1 changes against l).
    """
    size = noise_size(y)
    phi, error = corrected_correlation(clock, y, shortest, most + 1, size, random_state)
    knots = np.empty(0, int)
    tests: list[tuple[float, np.ndarray]] = []
    fit = fit_joined(clock, y, knots, size, phi)
    for k in range(most):
        if not len(candidates(len(y), shortest, knots)):
            break
        statistic = _statistic(clock, k, shortest, most, size)
        value = statistic(y)
        draws = null_draws(_drawing(fit, statistic, error), n_null, random_state + k, f"change {k + 1}")
        tests.append((value, draws))
        if (1 + int((draws >= value).sum())) / (1 + n_null) > level:
            break
        found = search(clock, y, k + 1, shortest, phi, size)
        if len(found) <= k:
            break  # no room for another
        knots = found
        fit = fit_joined(clock, y, knots, size, phi)
    return fit, tests


def _drawing(
    fit: Joined, statistic: Callable[[np.ndarray], float], error: float
) -> Callable[[np.random.Generator], float]:
    return lambda rng: statistic(redrawn_lines(fit, rng, error))


def _statistic(
    clock: np.ndarray, k: int, shortest: int, most: int, size: np.ndarray
) -> Callable[[np.ndarray], float]:
    """F of the best knot beside the k best, the noise's correlation and those k found in the curve itself."""

    def value(y: np.ndarray) -> float:
        phi = flexible_correlation(clock, y, shortest, most + 1, size)
        knots = search(clock, y, k, shortest, phi, size)
        places = candidates(len(y), shortest, knots)
        return best_knot(clock, y, knots, places, phi, size)[1] if len(places) else 0.0

    return value


def design(clock: np.ndarray, knots: np.ndarray) -> Float[np.ndarray, "n c"]:
    """A constant, the clock, and a hinge at each knot, which bends the line from there on."""
    return np.column_stack(
        [np.ones_like(clock), clock, *(np.maximum(clock - clock[k], 0) for k in np.sort(knots))]
    )
