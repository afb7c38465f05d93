"""Noise of two speeds: independent from point to point, on a slow one of any memory up to a random walk; known by its cosines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

COSINES = 60
"""Half-waves over the curve, at most, by which it is known: what is faster than these is no change of pace."""
MEMORIES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, np.inf)
"""Of the slow noise, as shares of the curve; the last is a random walk."""
SLOW = (1.0, 3.0, 9.0, 27.0, 81.0, 243.0, 729.0, 2187.0, np.inf)
"""Its power over that of the independent noise, both in the slowest half-wave; the last is slow noise alone."""


@dataclass(frozen=True, eq=False)
class SlowNoise:
    """One member of the family.

    Attributes
    ----------
    memory : points after which the slow part has lost all but 1/e of itself; 0 without one, infinite for a random walk.
    slow : its power over that of the independent part in the slowest half-wave.
    size : (n,) of the independent part along the curve, relative. all_of_it : whether the slow part's innovations have it too.
    root : (q, q) lower triangular, the Cholesky factor of the cosines' covariance. inverse : of the root.
    log_root : the logarithm of the root's determinant.
    """

    memory: float
    slow: float
    size: Float[np.ndarray, " n"]
    all_of_it: bool
    root: Float[np.ndarray, "q q"]
    inverse: Float[np.ndarray, "q q"]
    log_root: float

    def draw(self, many: int, rng: np.random.Generator) -> Float[np.ndarray, "q many"]:
        """Cosines of Gaussian noise of this kind, a column a draw."""
        return np.asarray(self.root @ rng.standard_normal((len(self.root), many)))

    def __str__(self) -> str:
        if not self.memory:
            return "independent from point to point"
        slow = (
            "a random walk"
            if np.isinf(self.memory)
            else f"slow noise with a memory of {self.memory:.2g} points"
        )
        return slow if np.isinf(self.slow) else f"independent noise on {slow}"


@lru_cache(maxsize=8)
def cosines(n: int) -> Float[np.ndarray, "q n"]:
    """The slowest half-waves of a curve of ``n`` points, rows of unit length, without the mean."""
    from scipy.fft import dct

    return np.asarray(dct(np.eye(n), type=2, norm="ortho", axis=0)[1 : min(COSINES, n - 1) + 1])


def family(size: Float[np.ndarray, " n"]) -> tuple[SlowNoise, ...]:
    """Every noise that a curve is tried with, from independent to a random walk.

    Of the noise's spectrum only what is slow matters to a change of pace, whatever it does from point to point: there, a
    constant and a Lorentzian are near most spectra (Müller and Watson). Where noise is larger here than there, its slow part
    may be so too or not, and both are tried.

    Parameters
    ----------
    size : of the independent part along the curve, relative; ones where it is even.

    References
    ----------
    Müller and Watson 2008, Testing models of low-frequency variability, Econometrica 76; 2016, Measuring uncertainty about
    long-run predictions, Rev. Econ. Stud. 83 (a level, a slow part and a random walk).
    """
    if not np.ptp(size):
        return _even(len(size))
    return (*_members(size, all_of_it=True), *_members(size, all_of_it=False)[1:])


@lru_cache(maxsize=8)
def _even(n: int) -> tuple[SlowNoise, ...]:
    return tuple(_members(np.ones(n), all_of_it=True))


def _members(size: Float[np.ndarray, " n"], *, all_of_it: bool) -> list[SlowNoise]:
    n, d = len(size), cosines(len(size))
    scaled = d * size
    white = scaled @ scaled.T
    found = [_member(0.0, 0.0, size, all_of_it, white)]
    for share in MEMORIES:
        slow = d @ _wandering(size if all_of_it else np.ones(n), share * n) @ d.T
        slow *= white[0, 0] / slow[0, 0]
        for k in SLOW:
            found.append(_member(share * n, k, size, all_of_it, slow if np.isinf(k) else white + k * slow))
    return found


def _wandering(size: Float[np.ndarray, " n"], memory: float) -> Float[np.ndarray, "n n"]:
    """Covariance of a walk, or of an autoregression with a memory, whose innovations have a size."""
    from scipy.signal import lfilter

    keeps = float(np.exp(-1 / memory))
    new = np.square(size) * (1.0 if np.isinf(memory) else 1 - keeps**2)
    new[0] = size[0] ** 2  # as if it had been so before
    variance = np.asarray(lfilter([1.0], [1.0, -(keeps**2)], new))
    t = np.arange(len(size))
    return np.asarray(variance[np.minimum.outer(t, t)] * keeps ** np.abs(np.subtract.outer(t, t)))


def _member(
    memory: float, slow: float, size: np.ndarray, all_of_it: bool, covariance: np.ndarray
) -> SlowNoise:
    root = np.linalg.cholesky(covariance)
    inverse = np.linalg.solve(root, np.eye(len(root)))
    return SlowNoise(memory, slow, size, all_of_it, root, inverse, float(np.log(np.diag(root)).sum()))
