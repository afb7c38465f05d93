"""Arrays of dyadic rationals: whole numbers times one power of two, which is what floating point stores."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

SMALL = 1 << 20  # multiplications, up to which whole numbers are multiplied one by one


@dataclass(frozen=True, eq=False)
class Dyadic:
    """``whole * 2**power``: an object array of Python's integers, and one power of two for all."""

    whole: np.ndarray
    power: int

    @classmethod
    def of(cls, values: Any) -> Dyadic:
        """Return finite floating point numbers as what they are, without rounding."""
        x = np.asarray(values, np.float64)
        fraction, exponent = np.frexp(x)
        bits = np.ldexp(fraction, 53).astype(np.int64)
        at = bits != 0
        if not at.any():
            return cls(np.zeros(x.shape, np.int64).astype(object), 0)
        low = bits & -bits
        zeros = np.where(at, np.log2(np.maximum(low, 1)).astype(np.int64), 0)
        exponent = exponent - 53 + zeros
        power = int(exponent[at].min())
        odd = bits >> zeros
        up = np.where(at, exponent - power, 0)
        if int((np.log2(np.maximum(np.abs(odd), 1)) + up).max()) < 62:
            whole = (odd << up).astype(object)
        else:
            whole = odd.astype(object) << up.astype(object)
        return cls(np.asarray(whole, object), power)  # of one number NumPy gives the number itself

    def fraction(self, *at: int) -> Fraction:
        """One entry."""
        return Fraction(int(self.whole[at])) * Fraction(2) ** self.power


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the exact product of two matrices of whole numbers (object arrays).

    Large ones are cut into digits so short that a sum of products of two fits the 53 bits of a float64, whose
    matrix product is then exact (Ozaki et al. 2012).

    References
    ----------
    Ozaki, Ogita, Oishi and Rump 2012, Error-free transformations of matrix multiplication, Numer. Algorithms 59.
    """
    if a.shape[0] * a.shape[1] * b.shape[1] <= SMALL:
        return a @ b
    bits = (53 - int(a.shape[1]).bit_length()) // 2
    left, right = _digits(a, bits), _digits(b, bits)
    total = np.zeros((a.shape[0], b.shape[1]), np.int64).astype(object)
    for i, x in enumerate(left):
        for j, y in enumerate(right):
            total += (x @ y).astype(np.int64).astype(object) << (bits * (i + j))
    return total


def _digits(a: np.ndarray, bits: int) -> list[np.ndarray]:
    sign = np.where(a < 0, -1.0, 1.0)
    rest, mask = np.abs(a), (1 << bits) - 1
    digits = []
    while rest.any():
        digits.append((rest & mask).astype(np.float64) * sign)
        rest = rest >> bits
    return digits or [np.zeros(a.shape)]
