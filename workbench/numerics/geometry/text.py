"""Texts of letters whose next letter depends on the last two, so that the fewest bits a letter are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARP = 2.0  # standard deviation of what a letter's logits are drawn with
SETTLING = 200  # rounds in which the frequencies of pairs settle


@dataclass(frozen=True, eq=False)
class Language:
    """A Markov chain of order two.

    Attributes
    ----------
    following : (letters, letters, letters): the probabilities of a letter after each two.
    bits : a letter's entropy given the two before, which no model goes below on average.

    References
    ----------
    Shannon 1948, A mathematical theory of communication, section 7; Cover and Thomas 2006, theorem 4.2.4.
    """

    following: np.ndarray
    bits: float

    @classmethod
    def drawn(cls, letters: int, seed: int) -> Language:
        """A language whose probabilities are drawn."""
        logits = SHARP * np.random.default_rng(seed).normal(size=(letters, letters, letters))
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        pairs = np.full((letters, letters), 1 / letters**2)
        for _ in range(SETTLING):
            pairs = np.einsum("ab,abc->bc", pairs, p)
        return cls(p, float(-(pairs[:, :, None] * p * np.log2(p)).sum()))

    def written(self, texts: int, length: int, rng: np.random.Generator) -> np.ndarray:
        """(texts, length) of int64."""
        letters, steps = len(self.following), self.following.cumsum(-1)
        found = np.empty((texts, length + SETTLING // 10), np.int64)
        found[:, :2] = rng.integers(letters, size=(texts, 2))
        for i in range(2, found.shape[1]):
            thresholds = steps[found[:, i - 2], found[:, i - 1]]
            drawn = (rng.random(texts)[:, None] >= thresholds).sum(-1)
            found[:, i] = np.minimum(drawn, letters - 1)
        return found[:, found.shape[1] - length :]
