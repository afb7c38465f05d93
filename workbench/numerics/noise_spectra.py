"""What singular values of pure noise are, rank by rank: the band beside which a matrix's own are drawn."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.spectra import edge_of_noise

if TYPE_CHECKING:
    from jaxtyping import Float

DRAWS = 39  # of which the smallest and the largest hold 95 in 100
LARGEST = 1024  # shorter side that is drawn; a longer one has the band of this one, which is wider at the same share
POINTS = 48  # ranks that stand for all
_NORMAL = NormalDist()


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


@lru_cache(maxsize=256)
def edge_of_entries(count: int) -> float:
    """What the largest of so many normal numbers, in size, stays under 95 times in 100."""
    return float(_largest_of(count, np.array(0.95)))


def _largest_of(count: int, quantile: np.ndarray) -> np.ndarray:
    """The size that the largest of so many normal numbers has at these quantiles.

    By Python's own inverse (Wichura's), as exact as SciPy's, whose special functions take longer to import than many a comparison.
    """
    below = -np.expm1(np.log(quantile) / count) / 2
    return np.reshape([-_NORMAL.inv_cdf(p) for p in np.ravel(below).tolist()], np.shape(below))


def largest_of_noise(
    shape: tuple[int, int], rng: np.random.Generator, many: int = 1
) -> Float[np.ndarray, "many 2"]:
    """Draw what matrices of independent normal entries have, exactly in law and without drawing the matrices.

    Returns
    -------
    numpy.ndarray
        (many, 2) the largest singular value and the largest entry, over what they stay under 95 times in 100
        (`edge_of_noise`, `edge_of_entries`), the entries' scale being taken from the norm. Of a vector the first is 0.

    References
    ----------
    Dumitriu and Edelman 2002, Matrix models for beta ensembles, J. Math. Phys. 43: Householder reflections turn the matrix
    into a bidiagonal one of independent chi variables, which keeps singular values and norm.
    """
    n, m = max(shape), min(shape)
    count = n * m
    out = np.zeros((many, 2))
    level = np.sqrt(rng.chisquare(count, many) / count)
    out[:, 1] = _largest_of(count, rng.uniform(size=many)) / (level * edge_of_entries(count))
    if m == 1:
        return out
    rows = rows_of_the_largest(m)  # the rest has only its norm
    squares = rng.chisquare(n - np.arange(rows), (many, rows))
    beside = rng.chisquare(m - 1 - np.arange(min(rows, m - 1)), (many, min(rows, m - 1)))
    whole = squares.sum(axis=1) + beside.sum(axis=1)
    if rest := int((n - np.arange(rows, m)).sum() + (m - 1 - np.arange(rows, m - 1)).sum()):
        whole += rng.chisquare(rest, many)
    diagonal = squares.copy()
    diagonal[:, : beside.shape[1]] += beside
    off = np.sqrt(squares[:, 1:] * beside[:, : rows - 1])
    top = [largest_eigenvalue(d, e) for d, e in zip(diagonal, off, strict=True)]
    edge = edge_of_noise(1.0, (n, m))
    out[:, 0] = np.sqrt(np.array(top) * count / whole) / edge
    return out


def rows_of_the_largest(m: int) -> int:
    """How many of the first rows of m hold the leading vector of the tridiagonal matrix: some m^(1/3) (Dumitriu and Edelman)."""
    return min(m, int(10 * m ** (1 / 3)) + 20)


def largest_eigenvalue(diagonal: np.ndarray, off: np.ndarray) -> float:
    """Of a symmetric tridiagonal matrix, to eight digits, by LAPACK's bisection: SciPy's own function takes thrice the time."""
    from scipy.linalg.lapack import dstebz

    k = len(diagonal)
    values = dstebz(diagonal, off, 2, 0.0, 1.0, k, k, 1e-8 * float(diagonal[0]), "E")[1]
    return float(values[0])
