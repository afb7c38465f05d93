"""What a geometry GPT reads: a language that is drawn, whose fewest bits a letter are known, or Shakespeare's plays."""

from __future__ import annotations

import functools
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

TextName = Literal["language", "plays"]
LETTERS = 16  # of the language
BYTES = 256
HELD_OUT = ("Macbeth", "The Tempest")
"""The plays that nothing is trained on."""

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

    @property
    def vocabulary(self) -> int:
        return len(self.following)

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

    def held_out(self, texts: int, length: int, rng: np.random.Generator) -> np.ndarray:
        """(texts, length) of int64: others, since none is written twice."""
        return self.written(texts, length, rng)


@dataclass(frozen=True)
class Plays:
    """Eight of Shakespeare's plays by title, as bytes; `HELD_OUT` are held out. See data/ORIGIN.md."""

    plays: dict[str, np.ndarray]
    vocabulary: int = BYTES

    @classmethod
    def read(cls) -> Plays:
        """Those that are shipped; read once."""
        return cls(_shipped())

    def written(self, texts: int, length: int, rng: np.random.Generator) -> np.ndarray:
        """(texts, length) of int64: pieces of plays that aren't held out, from anywhere in them."""
        whole = [play for title, play in self.plays.items() if title not in HELD_OUT]
        starts = np.array([len(play) - length + 1 for play in whole])
        which = rng.choice(len(whole), texts, p=starts / starts.sum())
        at = rng.integers(starts[which])
        return np.stack([whole[i][b : b + length] for i, b in zip(which, at, strict=True)]).astype(np.int64)

    def held_out(self, texts: int, length: int, rng: np.random.Generator) -> np.ndarray:
        """(texts, length) of int64: the same pieces of the plays held out for every draw, evenly apart."""
        whole = np.concatenate([self.plays[title] for title in HELD_OUT])
        starts = np.linspace(0, len(whole) - length, texts).astype(int)
        return np.stack([whole[b : b + length] for b in starts]).astype(np.int64)


@functools.cache
def _shipped() -> dict[str, np.ndarray]:
    packed = (Path(__file__).parent / "data" / "plays.txt.xz").read_bytes()
    titled = [part.split(b"\n", 1) for part in lzma.decompress(packed).split(b"\f")[1:]]
    return {title.decode(): np.frombuffer(play, np.uint8) for title, play in titled}


def text_of(name: TextName, seed: int) -> Language | Plays:
    """What is read, by its name; ``seed`` draws the language."""
    return Plays.read() if name == "plays" else Language.drawn(LETTERS, seed)
