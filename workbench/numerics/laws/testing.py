"""Quick tests of what kind of function an output is of its inputs, each with the share of its variance that this explains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

FOLDS = 5
HOLDS = 0.98  # a share of the variance, from which on a kind of function is said to hold


class Tested(NamedTuple):
    """One kind of function. name : in words. share : of the output's variance, on rows that were left out in turn."""

    name: str
    share: float


def quick_tests(
    names: tuple[str, ...], x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]
) -> list[Tested]:
    """Ask what kind of function ``y`` is: constant, affine, polynomial, periodic, separable, symmetric, monotone.

    Each share is R² on folds that were left out, but for monotone, the squared rank correlation, and constant, the share of
    the mean square that the mean has.
    """
    z = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    d = z.shape[1]
    total = float(np.mean(y * y))
    done = [Tested("constant", float(y.mean() ** 2 / total) if total else 1.0)]
    done.append(Tested("affine", _left_out(lambda v: v, z, y)))
    if d <= 12:
        done.append(Tested("a polynomial of degree 3", _left_out(_cubic, z, y)))
    if d > 1:
        done.append(Tested("a sum of functions of one input each", _left_out(_apart, z, y)))
        if (y > 0).all():
            done.append(Tested("a product of functions of one input each", _left_out(_apart, z, np.log(y))))
    done += _of_each(names, z, y)
    return done


def _of_each(names: tuple[str, ...], z: np.ndarray, y: np.ndarray) -> Iterator[Tested]:
    from scipy.stats import rankdata

    ranks = rankdata(y)
    d = z.shape[1]
    for j in range(min(d, 8)):
        r = np.corrcoef(rankdata(z[:, j]), ranks)[0, 1] if z[:, j].std() and y.std() else 0.0
        yield Tested(f"monotone in {names[j]}", float(r * r))
        if d == 1:
            yield Tested(
                f"periodic in {names[j]}", max(_left_out(_waves(f), z, y) for f in np.arange(0.25, 4.1, 0.25))
            )
        mirrored = z.copy()
        mirrored[:, j] *= -1
        if (
            abs(np.quantile(z[:, j], 0.1) + np.quantile(z[:, j], 0.9)) < 0.3
        ):  # about a middle that has both sides
            yield Tested(f"even in {names[j]} about its mean", _neighbours(z, mirrored, y))
    for i in range(min(d, 5)):
        for j in range(i):
            swapped = z.copy()
            swapped[:, [i, j]] = swapped[:, [j, i]]
            yield Tested(f"symmetric in {names[j]} and {names[i]}", _neighbours(z, swapped, y))


def _left_out(features: Callable[[np.ndarray], np.ndarray], z: np.ndarray, y: np.ndarray) -> float:
    """R² of a regression on some features, each fold foretold from the others."""
    f = np.column_stack([features(z), np.ones(len(z))])
    if len(z) < 2 * f.shape[1] or not y.std():
        return 0.0
    guessed = np.empty(len(y))
    fold = np.arange(len(y)) % FOLDS
    for k in range(FOLDS):
        inside = fold != k
        normal = f[inside].T @ f[inside] + 1e-8 * len(y) * np.eye(f.shape[1])
        guessed[~inside] = f[~inside] @ np.linalg.solve(normal, f[inside].T @ y[inside])
    return float(max(0.0, 1 - np.mean((guessed - y) ** 2) / y.var()))


def _apart(z: np.ndarray) -> np.ndarray:
    return np.column_stack([z**p for p in range(1, 6)])


def _cubic(z: np.ndarray) -> np.ndarray:
    d = z.shape[1]
    pairs = [z[:, i] * z[:, j] for i in range(d) for j in range(i + 1)]
    return np.column_stack([z, *pairs, *(p * z[:, j] for p in pairs for j in range(d))][: len(z) // 3])


def _waves(frequency: float) -> Callable[[np.ndarray], np.ndarray]:
    angle = 2 * np.pi * frequency / np.sqrt(12)
    return lambda z: np.column_stack(
        [np.sin(k * angle * z) for k in (1, 2)] + [np.cos(k * angle * z) for k in (1, 2)]
    )


def _neighbours(z: np.ndarray, moved: np.ndarray, y: np.ndarray) -> float:
    """How well an output is foretold by that of the row nearest to where its own row is moved to: R²."""
    from scipy.spatial import cKDTree

    distance, near = cKDTree(z).query(moved)
    close = distance <= np.median(distance)
    left = y[close] - y[near[close]]
    return float(max(0.0, 1 - np.mean(left**2) / (2 * y.var()))) if y.std() else 0.0
