"""Signs turned by the elements of a group: a control whose draws share nearly all of their work.

What one side reads of what the other writes is a sum over coordinates. Where coordinates are dealt into parts whose signs turn
together, each part's share is computed once and every draw is a sum of these with signs. Draws that are elements of a group are
exchangeable with what is there, so that the test is exact: as exact as with signs drawn one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LEAST = 128  # parts: what stays together of a pattern is this part of it, so that few parts would hide some


_NUMBERS = 1 << 22  # that are held at a time: 16 MiB


@dataclass(frozen=True)
class SignGroup:
    """Elements of a group of sign changes, the first of which changes nothing.

    Attributes
    ----------
    signs : (1 + n, size) of 1 and -1, one row an element: rows of a Hadamard matrix of Sylvester's kind, whose products by
        entries are rows of it again.
    """

    signs: Float[np.ndarray, "m size"]

    @property
    def size(self) -> int:
        """Into how many parts coordinates are dealt."""
        return int(self.signs.shape[1])

    def dealt(self, width: int, rng: np.random.Generator) -> Int[np.ndarray, " d"]:
        """Deal so many coordinates into the parts at random, as evenly as can be."""
        rounds = -(-width // self.size)
        return rng.permutation(np.concatenate([rng.permutation(self.size) for _ in range(rounds)])[:width])


def sign_group(n: int, rng: np.random.Generator) -> SignGroup:
    """Draw n different elements beside the one that changes nothing, of a group of `LEAST` or more.

    References
    ----------
    Hemerik and Goeman 2018, Exact testing with random permutations, TEST 27: a random part of a group that has the identity.
    """
    from scipy.linalg import hadamard

    size = max(LEAST, 1 << n.bit_length())
    rows = np.append(0, 1 + rng.choice(size - 1, n, replace=False))
    return SignGroup(hadamard(size)[rows].astype(np.float32))


def in_parts(
    factors: Float[np.ndarray, "n d r"], where: Int[np.ndarray, " d"], parts: int
) -> Float[np.ndarray, "p q n r"]:
    """The coordinates of n factors part by part, with zeros where a part has fewer than another."""
    n, d, r = factors.shape
    counts = np.bincount(where, minlength=parts)
    order = np.argsort(where, kind="stable")
    places = np.arange(d) - np.repeat(np.cumsum(counts) - counts, counts)
    out = np.zeros((parts, int(counts.max()), n, r), np.float32)
    out[where[order], places] = factors[:, order].transpose(1, 0, 2)
    return out


def turned_overlaps(
    reads: Float[np.ndarray, "p q b r"], writes: Float[np.ndarray, "p q a s"], signs: Float[np.ndarray, "m p"]
) -> Float[np.ndarray, "m b a"]:
    """`head_circuits.overlaps` of what is read with each row of signs: squared norms of ``(signs * reads[i]).T @ writes[j]``."""
    p, _, b, r = reads.shape
    a, s = writes.shape[2:]
    out = np.empty((len(signs), b, a), np.float32)
    many = max(1, _NUMBERS // (max(p, len(signs)) * r * s))  # pairs at a time
    step = min(a, many), max(1, many // min(a, many))
    for first in range(0, a, step[0]):
        for start in range(0, b, step[1]):
            at = slice(start, start + step[1]), slice(first, first + step[0])
            out[:, at[0], at[1]] = _turned(reads[:, :, at[0]], writes[:, :, at[1]], signs)
    return out


def _turned(reads: np.ndarray, writes: np.ndarray, signs: np.ndarray) -> np.ndarray:
    p, q, b, r = reads.shape
    a, s = writes.shape[2:]
    shares = reads.reshape(p, q, b * r).transpose(0, 2, 1) @ writes.reshape(p, q, a * s)
    turned = signs @ shares.reshape(p, -1)
    np.square(turned, out=turned)
    together = np.repeat(
        np.eye(a, dtype=np.float32), s, axis=0
    )  # sums over s as a product: a third of the time
    return np.asarray((turned.reshape(-1, a * s) @ together).reshape(len(signs), b, r, a).sum(axis=2))
