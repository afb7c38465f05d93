"""Clouds that are one lump: what a cloud would look like without groups, holes or bends, whatever its margins and tails.

A cloud isn't Gaussian because it has no groups. So a claim of shape is set beside three lumps, and holds if it holds
beside each: the Gaussian one of the same covariance, the elliptical one whose rows lie as far out as the data's (heavy
tails), and the one whose columns have the data's own distributions, each with one mode, joined by the same rank
correlations (uniform, lognormal). Whole groups of rows are mixed with whole groups, position by position, so that rows
of one group resemble each other, and rows their neighbours, in the draws as in the data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.exchangeable import as_blocks
from workbench.numerics.surrogates import row_rotations

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

Draw = Callable[[np.random.Generator], np.ndarray]
GRID = 256  # points of a column's density
VALLEY, ERRORS = (
    0.25,
    3.0,
)  # a valley this much lower than its lower hill, and so many standard errors, parts two
TYLER_STEPS = 10
TINY = np.finfo(np.float64).tiny
LEAST_ROWS = 4  # rows for each direction whose scale the radius counts


def gaussian(x: Float[np.ndarray, "n d"], groups: Int[np.ndarray, " n"] | None) -> Draw:
    """Return what draws the Gaussian lump: rows, or whole groups, rotated at random about their mean.

    Exact for Gaussian rows, and for Gaussian groups of one size, each a vector of all its rows; see `row_rotations`.
    """
    if groups is None:
        return row_rotations(x)
    table, line, column = as_blocks(groups)
    d = x.shape[1]
    mean = x.mean(axis=0, dtype=np.float64)
    mixed = row_rotations((x - mean)[table].reshape(len(table), -1))
    return lambda rng: mean + mixed(rng).reshape(*table.shape, d)[line, column]


def elliptical(x: Float[np.ndarray, "n d"], groups: Int[np.ndarray, " n"] | None) -> Draw:
    """Return what draws an elliptical lump: directions of a Gaussian one, each row as far out as it is in the data.

    A hole in the middle, as of a sphere, is filled, since it may be what is asked about; see `no_hole`.

    How far out is measured in the leading directions, as many as a quarter of the rows, by the shape in which rows lie
    alike in all of them whatever their distance (Tyler's): a few far rows would tilt a covariance.

    References
    ----------
    Tyler 1987, A distribution-free M-estimator of multivariate scatter, Ann. Statist. 15.
    """
    centre = np.median(x, axis=0).astype(np.float64)
    centred = x - centre
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    k = max(1, min(int((s > s[0] * 1e-6).sum()), len(x) // LEAST_ROWS))
    leading = vt[:k].T / s[:k] * np.sqrt(len(x))
    radius = np.sqrt(np.square(centred @ leading).mean(axis=1))
    for _ in range(TYLER_STEPS):
        directions = centred @ leading / np.maximum(radius, TINY)[:, None]
        shape = directions.T @ directions / len(x)
        w, v = np.linalg.eigh(shape)
        leading = leading @ (v / np.sqrt(np.maximum(w, TINY)))
        radius = np.sqrt(np.square(centred @ leading).mean(axis=1))
    middle = max(float(np.median(radius)), TINY)
    drawn_in = gaussian(centred / np.maximum(radius / middle, 1.0)[:, None], groups)  # far rows brought near
    ordered = no_hole(np.sort(radius), k)

    def drawn(rng: np.random.Generator) -> np.ndarray:
        rows = drawn_in(rng)
        own = np.sqrt(np.square(rows @ leading).mean(axis=1))
        # the farthest as far as the farthest of the data: rows that resemble each other still do
        wanted = ordered[own.argsort(kind="stable").argsort(kind="stable")]
        return np.asarray(centre + rows * (wanted / np.maximum(own, TINY))[:, None])

    return drawn


def no_hole(ordered: Float[np.ndarray, " n"], k: int) -> Float[np.ndarray, " n"]:
    """Return sorted radii, those short of a hole made smaller until rows lie nowhere thinner than farther out.

    The volume within a row's radius has a density that falls where the rows' own density does, so its distribution is
    made concave: the least concave majorant, which leaves the radii of such rows (nearly) as they are.

    Parameters
    ----------
    k : dimensions that the radii are measured in.

    References
    ----------
    Grenander 1956, On the theory of mortality measurement II, Skand. Aktuarietidskr. 39.
    """
    n = len(ordered)
    volume = np.concatenate([[0.0], (ordered / max(float(ordered[-1]), TINY)) ** k])
    knots = [0]  # of the greatest convex minorant of volume over rank
    for i in range(1, n + 1):
        while len(knots) > 1:
            a, b = knots[-2:]
            if (volume[b] - volume[a]) * (i - a) < (volume[i] - volume[a]) * (b - a):
                break
            knots.pop()
        knots.append(i)
    filled = np.interp(np.arange(1, n + 1), knots, volume[knots])
    return np.asarray(ordered[-1] * filled ** (1 / k))


def own_margins(x: Float[np.ndarray, "n d"], groups: Int[np.ndarray, " n"] | None) -> Draw:
    """Return what draws a lump with the columns' own distributions and rank correlations: a Gaussian copula.

    Each draw has values of its own, between those of the data: with the very same ones draws would vary too little.

    A column whose density has a valley is smoothed until it has none, its variance kept, since the groups that are asked
    about may show in a column.
    """
    from scipy.special import ndtri

    n = len(x)
    scores = ndtri((average_ranks(x) - 0.5) / n)
    margins = one_mode(np.sort(x, axis=0).astype(np.float64))
    draw = gaussian(scores, groups)

    def drawn(rng: np.random.Generator) -> np.ndarray:
        rows = np.empty_like(margins)
        np.put_along_axis(rows, draw(rng).argsort(axis=0, kind="stable"), drawn_anew(margins, rng), axis=0)
        return rows

    return drawn


def average_ranks(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Rank each column from 1, equals by their mean: scipy.stats' ``rankdata``, whose import takes half a second."""
    order = x.argsort(axis=0, kind="stable")
    ordered = np.take_along_axis(x, order, axis=0)
    changes = ordered[1:] != ordered[:-1]
    place = np.arange(1, len(x) + 1)[:, None]
    edge = np.ones((1, x.shape[1]), bool)
    first = np.maximum.accumulate(np.where(np.vstack([edge, changes]), place, 0), axis=0)
    last = np.minimum.accumulate(np.where(np.vstack([changes, edge]), place, len(x))[::-1], axis=0)[::-1]
    ranks = np.empty(x.shape)
    np.put_along_axis(ranks, order, (first + last) / 2, axis=0)
    return ranks


def drawn_anew(ordered: Float[np.ndarray, "n d"], rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
    """Draw sorted values for each sorted column, between its own: the distribution with straight lines between values."""
    place = np.sort(rng.random(ordered.shape), axis=0) * (len(ordered) - 1)
    below = np.minimum(place.astype(np.int64), len(ordered) - 2)
    low, high = (np.take_along_axis(ordered, below + i, axis=0) for i in (0, 1))
    return np.asarray(low + (place - below) * (high - low))


LUMPS: dict[str, Callable[[np.ndarray, np.ndarray | None], Draw]] = {
    "Gaussian": gaussian,
    "elliptical": elliptical,
    "with the columns' own distributions": own_margins,
}


def one_mode(ordered: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return sorted columns, those whose density has a valley smoothed until it has none; mean and variance stay.

    References
    ----------
    Silverman 1981, Using kernel density estimates to investigate multimodality, J. R. Stat. Soc. B 43.
    """
    n = len(ordered)
    out = ordered.copy()
    spread = ordered.std(axis=0)
    middle = (np.quantile(ordered, 0.75, axis=0) - np.quantile(ordered, 0.25, axis=0)) / 1.34
    width = 0.9 * np.where(middle > 0, np.minimum(spread, middle), spread) * n**-0.2
    at = np.flatnonzero(spread > 0)
    low = ordered[0] - 4 * spread
    step = (ordered[-1] + 4 * spread - low) / GRID
    place = (ordered[:, at] - low[at]) / step[at]
    cell = np.minimum(place.astype(np.int64), GRID - 1) + np.arange(len(at)) * GRID
    counts = np.bincount(cell.ravel(), minlength=len(at) * GRID).reshape(len(at), GRID).T.astype(np.float64)
    parted = valley(counts, width[at] / step[at])
    at, counts = at[parted], counts[:, parted]
    narrow, wide = width[at], 4 * spread[at]
    for _ in range(12):  # the least width that leaves no valley lies between these
        between = np.sqrt(narrow * wide)
        parted = valley(counts, between / step[at])
        narrow, wide = np.where(parted, between, narrow), np.where(parted, wide, between)
    density = smoothed(counts, wide / step[at])
    for j, own in zip(at, density.T, strict=True):
        share = np.concatenate([[0], np.cumsum(own)]) / own.sum()
        smooth = np.interp((np.arange(n) + 0.5) / n, share, low[j] + step[j] * np.arange(GRID + 1))
        out[:, j] = ordered[:, j].mean() + (smooth - smooth.mean()) * (spread[j] / smooth.std())
    return out


def valley(counts: Float[np.ndarray, "m d"], width: Float[np.ndarray, " d"]) -> Bool[np.ndarray, " d"]:
    """Whether each column of counts, smoothed, falls between two hills by a quarter of the lower one and more than by chance.

    Parameters
    ----------
    width : of the Gaussian that they are smoothed with, in steps of the grid; it says how many rows a count rests on.
    """
    hills = smoothed(counts, width)
    left, right = np.maximum.accumulate(hills), np.maximum.accumulate(hills[::-1])[::-1]
    lower = np.minimum(left, right)
    # of the difference of two such sums
    error = np.sqrt((lower + hills) / (2 * np.sqrt(np.pi) * np.maximum(width, 1e-3)))
    return np.asarray((lower - hills > np.maximum(VALLEY * lower, ERRORS * error)).any(axis=0))


def smoothed(counts: Float[np.ndarray, "m d"], width: Float[np.ndarray, " d"]) -> Float[np.ndarray, "m d"]:
    """Each column convolved with a Gaussian of its own width, in steps of the grid, with nothing beyond its ends."""
    m = len(counts)
    frequency = np.arange(2 * m + 1)[:, None] / (
        4 * m
    )  # of four times the length: no width here reaches round
    response = np.exp(-2 * np.square(np.pi * frequency * width))
    return np.maximum(np.fft.irfft(np.fft.rfft(counts, 4 * m, axis=0) * response, axis=0)[:m], 0.0)
