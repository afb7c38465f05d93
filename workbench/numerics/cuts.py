"""A matrix as a chain of small legs, and the Schmidt entropy across every cut of the chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.schmidt import page_entropy, schmidt_entropy

if TYPE_CHECKING:
    from jaxtyping import Float


def legs_of(side: int) -> tuple[int, ...]:
    """The prime factors of a side, the largest first: as many legs as it has, of the sizes of these."""
    found, rest, p = [], side, 2
    while p * p <= rest:
        while rest % p == 0:
            found.append(p)
            rest //= p
        p += 1
    return tuple(sorted([*found, rest], reverse=True)) if rest > 1 else tuple(sorted(found, reverse=True))


def cut_shapes(legs: Sequence[int]) -> list[tuple[int, int]]:
    """What is left and right of each cut, in entries: one less than there are legs."""
    left = np.cumprod(legs)
    return [(int(n), int(left[-1] // n)) for n in left[:-1]]


def cut_entropies(x: Float[np.ndarray, " n"], legs: Sequence[int]) -> Float[np.ndarray, " c"]:
    """The Schmidt entropy across every cut, in nats.

    By the Gram matrix of the shorter side: squares of singular values below 1e-14 of the largest are rounding, and too small to
    count.

    Parameters
    ----------
    x : entries in the order of the legs, the first leg slowest.
    """
    found = []
    for n, m in cut_shapes(legs):
        flat = x.reshape(n, m)
        gram = flat @ flat.T if n <= m else flat.T @ flat
        found.append(schmidt_entropy(np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None))))
    return np.array(found)


def random_entropies(legs: Sequence[int]) -> Float[np.ndarray, " c"]:
    """Page's value for every cut, of real entries: what is expected of independent Gaussian ones, nearly."""
    return np.array([page_entropy(n, m) - 1 / (2 * max(n, m)) for n, m in cut_shapes(legs)])
