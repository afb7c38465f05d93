"""What singular values of pure noise are, rank by rank: the band beside which a matrix's own are drawn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

DRAWS = 39  # of which the smallest and the largest hold 95 in 100
LARGEST = 1024  # shorter side that is drawn; a longer one has the band of this one, which is wider at the same share
POINTS = 48  # ranks that stand for all


def ranks_shown(side: int, most: int = POINTS) -> np.ndarray:
    """Ranks from 1 to ``side``: the first ones each, then ever farther apart, (at most ``most``,) int64."""
    return np.unique(np.rint(np.geomspace(1, side, most)).astype(np.int64))


def band_of_noise(shape: tuple[int, int], ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where 95 of 100 of the singular values of independent normal entries of unit variance lie, at each of these ranks.

    Drawn exactly in law, as bidiagonal matrices (Householder reflections turn the noise into independent chi variables). Of
    a shorter side than `LARGEST` that is the law itself; a longer one is stood for by a smaller matrix of the same
    proportions, whose values scatter more.

    Parameters
    ----------
    ranks : (k,) from 1.

    Returns
    -------
    numpy.ndarray, numpy.ndarray
        (k,) low and (k,) high.

    References
    ----------
    Dumitriu and Edelman 2002, Matrix models for beta ensembles, J. Math. Phys. 43.
    """
    n, m = max(shape), min(shape)
    side = min(m, LARGEST)
    low, high = _drawn(max(side, round(n * side / m)), side)
    # the middle of a rank's share of all: the first of 10,000 isn't the first of 1,000, but nearly
    at = np.where(ranks == 1, 0.0, (ranks - 0.5) / m * side - 0.5) if side < m else ranks - 1.0
    scale = np.sqrt(m / side)
    places = np.arange(side)
    return scale * np.interp(at, places, low), scale * np.interp(at, places, high)


@lru_cache(maxsize=64)
def _drawn(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.linalg import eigvalsh_tridiagonal

    rng = np.random.default_rng([n, m])
    drawn = np.empty((DRAWS, m))
    for row in drawn:
        squares = rng.chisquare(n - np.arange(m))
        beside = rng.chisquare(m - 1 - np.arange(m - 1)) if m > 1 else np.empty(0)
        diagonal = squares.copy()
        diagonal[: m - 1] += beside
        values = eigvalsh_tridiagonal(diagonal, np.sqrt(squares[1:] * beside), lapack_driver="sterf")
        row[:] = np.sqrt(np.maximum(values[::-1], 0))
    return drawn.min(axis=0), drawn.max(axis=0)
