"""How far two sides of pairs of stretches are apart, from sums over each stretch, so that exchanging some costs little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.likeness.blocks import Pairs

if TYPE_CHECKING:
    from jaxtyping import Float

MARGINAL, AUTO, BETWEEN, TAILS = "marginal", "autocorrelation", "between_channels", "tails"
TAIL = 0.05
MOST_BETWEEN = 32  # channels whose correlations with each other are compared; of more, the first
TINY = np.finfo(float).tiny


class Statistics:
    """Distances of two sides, each 0 where they are alike.

    Parameters
    ----------
    pairs : two or more. lags : fewer than a stretch has steps.
    """

    def __init__(self, pairs: Pairs, lags: int):
        self.pairs = pairs
        both = np.stack([pairs.first, pairs.second])  # (2, p, l, c)
        flat = both.reshape(-1, both.shape[-1])
        z = both - flat.mean(axis=0)
        length, c = z.shape[2:]
        self.squares = np.square(z).sum(axis=2)
        self.products = np.stack(
            [
                (z[:, :, k:] * z[:, :, : length - k]).sum(axis=2) * length / (length - k)
                for k in range(1, lags + 1)
            ],
            axis=2,
        )
        some = min(c, MOST_BETWEEN)
        self.crossed = np.einsum("sptc,sptd->spcd", z[..., :some], z[..., :some])
        self.above = np.triu_indices(some, 1)
        self.names = (MARGINAL, AUTO, *((BETWEEN,) if c > 1 else ()), TAILS)
        order = np.argsort(flat, axis=0, kind="stable")
        self.ordered = np.take_along_axis(flat, order, axis=0)
        self.last = np.stack([np.append(o[1:] != o[:-1], True) for o in self.ordered.T], axis=1)
        stretch = np.repeat(np.arange(2 * len(pairs)), length)
        self.stretch = stretch[order]  # which stretch each of the ordered values is of

    def of(self, flip: np.ndarray) -> Float[np.ndarray, " s"]:
        """The distances named by ``names``, with the sides of some pairs exchanged."""
        p = np.arange(len(flip))
        one, other = flip.astype(int), 1 - flip.astype(int)
        found = {MARGINAL: self._marginal(flip), TAILS: self._tails(flip)}
        ratios = [
            self.products[s, p].sum(axis=0) / np.maximum(self.squares[s, p].sum(axis=0), TINY)
            for s in (one, other)
        ]
        found[AUTO] = float(np.abs(ratios[0] - ratios[1]).mean())
        if BETWEEN in self.names:
            sides = [_correlations(self.crossed[s, p].sum(axis=0))[self.above] for s in (one, other)]
            found[BETWEEN] = float(np.abs(sides[0] - sides[1]).mean())
        return np.array([found[n] for n in self.names])

    def _first(self, flip: np.ndarray) -> np.ndarray:
        """Whether each of the ordered values is on the first side."""
        of_first = np.concatenate([~flip, flip])
        return np.asarray(of_first[self.stretch])

    def _marginal(self, flip: np.ndarray) -> float:
        half = len(self.stretch) / 2
        step = np.where(self._first(flip), 1.0, -1.0).cumsum(axis=0) / half
        return float(np.where(self.last, np.abs(step), 0).max(axis=0).mean())

    def _tails(self, flip: np.ndarray) -> float:
        first = self._first(flip)
        many = max(1, round(TAIL * len(first) / 2))
        apart = []
        for values, mine in zip(self.ordered.T, first.T, strict=True):
            a, b = values[mine], values[~mine]
            spread = max(values.std(), TINY)
            apart += [
                abs(a[:many].mean() - b[:many].mean()) / spread,
                abs(a[-many:].mean() - b[-many:].mean()) / spread,
            ]
        return float(np.mean(apart))


def _correlations(crossed: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.maximum(np.diag(crossed), TINY))
    return np.asarray(crossed / scale[:, None] / scale)
