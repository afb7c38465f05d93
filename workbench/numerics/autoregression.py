"""Autoregressions of any order: noise that depends on its own past, up to a random walk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_LAGS, POINTS_A_LAG = 8, 20
SETTLING = 400  # points that are drawn before the first that counts


@dataclass(frozen=True)
class Autoregression:
    """Noise in the form of Dickey and Fuller's regression: ``e[t] = persistence e[t-1] + lags · Δe[t-1...] + new[t]``.

    Attributes
    ----------
    persistence : how much of a disturbance stays for good; 1 is a random walk.
    lags : (p,) what else the next change owes to the last p.
    new : (m,) innovations, less their mean.

    References
    ----------
    Said and Dickey 1984, Testing for unit roots in autoregressive-moving average models of unknown order, Biometrika 71.
    """

    persistence: float
    lags: Float[np.ndarray, " p"]
    new: Float[np.ndarray, " m"]

    def draw(self, n: int, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
        """A series of ``n`` points whose innovations are those drawn with replacement; a random walk starts at 0."""
        from scipy.signal import lfilter

        innovations = rng.choice(self.new, n + SETTLING)
        made = np.asarray(lfilter([1.0], self.polynomial(), innovations))[SETTLING:]
        return made - made[0] if self.persistence >= 1 else made

    def polynomial(self) -> Float[np.ndarray, " q"]:
        """Coefficients of the lag polynomial, from the present on."""
        out = np.zeros(len(self.lags) + 2)
        out[0], out[1] = 1, -self.persistence
        out[1:-1] -= self.lags
        out[2:] += self.lags
        return out


def autoregression(
    noise: Float[np.ndarray, " n"], lags: int, persistence: float | None = None
) -> Autoregression:
    """Fit by least squares, all of it or beside a given persistence."""
    change, before = np.diff(noise), noise[:-1]
    start = lags
    past = np.column_stack(
        [before[start:], *(change[start - j : len(change) - j] for j in range(1, lags + 1))]
    )
    now = change[start:]
    if persistence is None:
        found = np.linalg.lstsq(past, now, rcond=None)[0]
        persistence = 1 + float(found[0])
    shift = (persistence - 1) * past[:, 0]
    short = np.linalg.lstsq(past[:, 1:], now - shift, rcond=None)[0] if lags else np.zeros(0)
    new = now - shift - past[:, 1:] @ short
    return Autoregression(persistence, short, new - new.mean())


def bounded(noise: Float[np.ndarray, " n"], lags: int, persistence: float) -> Autoregression:
    """Fit beside a given persistence, with as many of the lags as leave a process that doesn't explode."""
    for p in range(lags, 0, -1):
        fit = autoregression(noise, p, persistence)
        if np.abs(np.roots(fit.polynomial())).max(initial=0) < 1 + 1e-6:
            return fit
    return autoregression(noise, 0, persistence)


def order(noise: Float[np.ndarray, " n"]) -> int:
    """How many lags of its changes a series takes, by Schwarz's criterion on the same points."""
    n = len(noise)
    most = min(MOST_LAGS, n // POINTS_A_LAG)
    m = n - 1 - most

    def criterion(p: int) -> float:
        new = autoregression(noise[most - p :], p).new
        return m * float(np.log(np.square(new).mean() + 1e-300)) + p * float(np.log(m))

    return min(range(most + 1), key=criterion)
