"""Finite transseries: sums of c e^(kx) x^a (log x)^b, ordered by what becomes of them as x grows.

A small closed class: monomials are a group under multiplication, ordered by (k, a, b); coefficients and exponents are exact. Sums,
differences and products are exact too; what has no end, an inverse, is cut off, and says at what.

References
----------
Edgar 2010, Transseries for beginners (0801.4877), sections 2 and 3: of these, those of height 1 over log, with linear exponents.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import total_ordering
from typing import NamedTuple

Number = int | Fraction


class Monomial(NamedTuple):
    """e^(kx) x^a (log x)^b; one dominates another where its exponents come later in this order."""

    k: Fraction = Fraction(0)
    a: Fraction = Fraction(0)
    b: Fraction = Fraction(0)

    def times(self, other: Monomial, power: int = 1) -> Monomial:
        """Its product with a power of another."""
        return Monomial(*(mine + power * theirs for mine, theirs in zip(self, other, strict=True)))

    def log_at(self, log_x: float) -> float:
        """Natural logarithm at x = e^log_x; only parts that are there are computed, so that e^x may be beyond all floats."""
        found = float(self.a) * log_x
        if self.k:
            found += float(self.k) * math.exp(log_x)
        return found + float(self.b) * math.log(log_x) if self.b else found


ONE = Monomial()


@total_ordering
@dataclass(frozen=True, init=False, eq=False)
class Transseries:
    """A finite sum of monomials with coefficients, the dominant first.

    Attributes
    ----------
    terms : monomials and their coefficients, none of them 0.

    Raises
    ------
    TypeError
        A coefficient or exponent isn't exact: a whole number or a fraction.
    """

    terms: tuple[tuple[Monomial, Fraction], ...]

    def __init__(self, terms: Mapping[Monomial, Number] | Iterable[tuple[Monomial, Number]] = ()):
        found: dict[Monomial, Fraction] = {}
        for monomial, c in terms.items() if isinstance(terms, Mapping) else terms:
            if any(isinstance(n, bool) or not isinstance(n, int | Fraction) for n in (c, *monomial)):
                raise TypeError(
                    f"terms: exponents and coefficients are whole numbers or fractions, not {(c, *monomial)!r}"
                )
            exact = Monomial(*map(Fraction, monomial))
            found[exact] = found.get(exact, Fraction(0)) + c
        ordered = sorted(((m, c) for m, c in found.items() if c), reverse=True)
        object.__setattr__(self, "terms", tuple(ordered))

    @classmethod
    def of(cls, c: Number = 1, *, k: Number = 0, a: Number = 0, b: Number = 0) -> Transseries:
        """One term, c e^(kx) x^a (log x)^b."""
        return cls([(Monomial(Fraction(k), Fraction(a), Fraction(b)), c)])

    @property
    def dominant(self) -> Monomial:
        """The monomial that all others vanish beside.

        Raises
        ------
        ZeroDivisionError
            It is 0, which has none.
        """
        if not self.terms:
            raise ZeroDivisionError("0 has no dominant term")
        return self.terms[0][0]

    @property
    def sign(self) -> int:
        """That of the values for all large x: -1, 0 or 1."""
        return (self.terms[0][1] > 0) - (self.terms[0][1] < 0) if self.terms else 0

    def __add__(self, other: Transseries) -> Transseries:
        return Transseries([*self.terms, *other.terms])

    def __neg__(self) -> Transseries:
        return Transseries([(m, -c) for m, c in self.terms])

    def __sub__(self, other: Transseries) -> Transseries:
        return self + -other

    def __mul__(self, other: Transseries) -> Transseries:
        return Transseries([(m.times(n), c * d) for m, c in self.terms for n, d in other.terms])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transseries) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)

    def __lt__(self, other: Transseries) -> bool:
        """Whether it is less for all large x."""
        return (self - other).sign < 0

    def dominates(self, other: Transseries) -> bool:
        """Whether the other's values vanish beside its own as x grows; 0 vanishes beside all but itself."""
        return bool(self.terms) and (not other.terms or self.dominant > other.dominant)

    def cut(self, count: int) -> Transseries:
        """The ``count`` dominant terms; what is left out vanishes beside the last of them."""
        return Transseries(self.terms[:count])

    def inverse(self, count: int) -> Transseries:
        """Its inverse but for what vanishes beside 1 as the ``count``-th power of its second term over its first does.

        With self = c m (1 + r): (1 - r + r² - ...) / (c m), so that self · inverse = 1 - (-r)^count exactly.

        Raises
        ------
        ZeroDivisionError
            It is 0.
        """
        m, c = self.dominant, self.terms[0][1]
        over = Transseries([(ONE.times(m, -1), 1 / c)])
        minus_r = Transseries([(ONE, 1)]) - self * over
        power, found = Transseries([(ONE, 1)]), Transseries()
        for _ in range(count):
            found, power = found + power, power * minus_r
        return found * over

    def over_dominant(self, log_x: float) -> float:
        """Its value at x = e^log_x, x > e, divided by the dominant monomial's, which may be beyond all floats; of 0, 0."""
        if not self.terms:
            return 0.0
        beside = [(m.times(self.dominant, -1), c) for m, c in self.terms]
        return math.fsum(float(c) * math.exp(m.log_at(log_x)) for m, c in beside)

    def at(self, x: float) -> float:
        """Its value at x > 1.

        Raises
        ------
        ValueError
            x isn't above 1, where log x is positive. OverflowError where the value is beyond all floats.
        """
        if not x > 1:
            raise ValueError(f"x: it must be above 1, not {x!r}")
        return math.fsum(float(c) * math.exp(m.log_at(math.log(x))) for m, c in self.terms)
