"""A classifier that tells windows of two series apart, each pair of stretches by what the others taught it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.likeness.blocks import Pairs

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_WINDOWS = 400  # of a side
PENALTY = 1.0


def windows(block: Float[np.ndarray, "l c"], width: int) -> Float[np.ndarray, "n d"]:
    """Every run of ``width`` steps, flat."""
    n = len(block) - width + 1
    return np.concatenate([block[i : i + n] for i in range(width)], axis=1)


class Telling:
    """Kernel ridge regression on windows, whose labels can be exchanged pair by pair without another fit.

    The kernel is Gaussian, of the median distance. What is said of a pair's windows is linear in the other pairs' labels,
    so that exchanging some is a product of matrices.

    Parameters
    ----------
    pairs : two or more. width : steps of a window.
    """

    def __init__(self, pairs: Pairs, width: int):
        every = max(1, -(-len(pairs) * (pairs.length - width + 1) // MOST_WINDOWS))
        sides = [[windows(b, width)[::every] for b in side] for side in (pairs.first, pairs.second)]
        self.many, self.each = len(pairs), len(sides[0][0])
        x = np.concatenate([np.concatenate([a, b]) for a, b in zip(*sides, strict=True)])
        kernel = _kernel(x)
        size = 2 * self.each
        self.label = np.tile(np.repeat([-1.0, 1.0], self.each), self.many)
        self.says = np.zeros((self.many, size, self.many))
        for p in range(self.many):
            here = slice(p * size, (p + 1) * size)
            rest = np.delete(np.arange(len(x)), np.arange(here.start, here.stop))
            fitted = np.linalg.solve(
                kernel[np.ix_(rest, rest)] + PENALTY * np.eye(len(rest)), kernel[rest, here]
            )
            by_row = fitted.T * self.label[rest]
            others = np.delete(np.arange(self.many), p)
            self.says[p][:, others] = by_row.reshape(size, self.many - 1, size).sum(axis=2)

    def areas(self, flip: np.ndarray) -> Float[np.ndarray, " pairs"]:
        """The area under the receiver operating curve in each pair, with the labels of some pairs exchanged."""
        from scipy.stats import rankdata

        sign = np.where(flip, -1.0, 1.0)
        rank = rankdata(self.says @ sign, axis=1)[:, self.each :]
        area = (rank.sum(axis=1) - self.each * (self.each + 1) / 2) / self.each**2
        return np.where(flip, 1 - area, area)


def _kernel(x: np.ndarray) -> np.ndarray:
    """Gaussian, of the median distance: it hangs on no centre, which would be one side's rather than the other's."""
    squares = np.square(x).sum(axis=1)
    far = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)
    middle = np.median(far[np.triu_indices(len(x), 1)])
    return np.asarray(np.exp(-far / max(middle, np.finfo(float).tiny)))
