"""Transseries: an ordered ring whose order is that of the values far out; inverses are right to the order that they say."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.numerics.geometry.transseries import ONE, Monomial, Transseries

HALVES = st.integers(-4, 4).map(lambda n: Fraction(n, 2))
MONOMIALS = st.builds(Monomial, st.integers(-2, 2).map(Fraction), HALVES, st.integers(-2, 2).map(Fraction))
SERIES = st.lists(st.tuples(MONOMIALS, st.integers(-9, 9)), max_size=4).map(Transseries)
NOT_ZERO = SERIES.filter(lambda t: bool(t.terms))
ZERO, UNIT = Transseries(), Transseries.of()
FAR = (
    700.0  # log x: log x itself is far above the sum of the coefficients here, and e^x all but beyond floats
)
quick = settings(max_examples=60, deadline=None)


@quick
@given(SERIES, SERIES, SERIES)
def test_they_are_a_ring(f: Transseries, g: Transseries, h: Transseries) -> None:
    assert f + g == g + f and (f + g) + h == f + (g + h) and f + ZERO == f and f - f == ZERO
    assert f * g == g * f and (f * g) * h == f * (g * h) and f * UNIT == f
    assert f * (g + h) == f * g + f * h


@quick
@given(SERIES, SERIES, SERIES)
def test_the_order_is_total_and_goes_with_sums_and_products(
    f: Transseries, g: Transseries, h: Transseries
) -> None:
    assert [f < g, f == g, f > g].count(True) == 1
    assert (f < g) == (f + h < g + h)
    if h > ZERO:
        assert (f < g) == (f * h < g * h)
    if f < g and g < h:
        assert f < h
    if f.terms and g.terms:  # no product of others is 0
        assert (f * g).dominant == f.dominant.times(g.dominant) and (f * g).sign == f.sign * g.sign


@quick
@given(NOT_ZERO, SERIES)
def test_dominance_is_what_values_far_out_say(f: Transseries, g: Transseries) -> None:
    assert f.over_dominant(FAR) * f.sign > 0
    assert abs(f.over_dominant(FAR) - float(f.terms[0][1])) <= 3 * 9 / FAR
    if g.terms and f.dominates(g):
        apart = g.dominant.times(f.dominant, -1).log_at(FAR)
        assert apart <= -math.log(FAR) + 1e-9  # at the least a power of log x lies between them


@quick
@given(NOT_ZERO, st.integers(1, 4))
def test_what_is_cut_off_vanishes_beside_what_is_left(f: Transseries, count: int) -> None:
    left = f.cut(count)
    rest = f - left
    assert len(left.terms) <= count and (not rest.terms or Transseries([left.terms[-1]]).dominates(rest))


@quick
@given(NOT_ZERO, st.integers(1, 4))
def test_an_inverse_is_right_to_the_order_that_it_says(f: Transseries, count: int) -> None:
    m, c = f.terms[0]
    r = f * Transseries([(ONE.times(m, -1), 1 / c)]) - UNIT
    power = UNIT
    for _ in range(count):
        power = power * (ZERO - r)
    assert f * f.inverse(count) == UNIT - power
    assert power == ZERO or UNIT.dominates(power)


@pytest.mark.parametrize("x", [2.0, 30.0])
def test_values(x: float) -> None:
    f = Transseries.of(3, a=2) - Transseries.of(Fraction(1, 2), k=-1, b=3) + Transseries.of(a=Fraction(-1, 2))
    assert f.at(x) == pytest.approx(3 * x**2 - 0.5 * math.exp(-x) * math.log(x) ** 3 + x**-0.5)
    assert (f * f).at(x) == pytest.approx(f.at(x) ** 2)


def test_known_orders_and_the_geometric_series() -> None:
    e, x, log = Transseries.of(k=1), Transseries.of(a=1), Transseries.of(b=1)
    far = Transseries.of(10**9, a=50)
    assert e > far > x > Transseries.of(10**9, b=50) > log > UNIT > Transseries.of(k=-1) > ZERO > -e
    assert (UNIT - Transseries.of(a=-1)).inverse(3) == UNIT + Transseries.of(a=-1) + Transseries.of(a=-2)


def test_what_is_not_exact_or_has_no_answer_is_refused() -> None:
    with pytest.raises(TypeError, match=r"whole numbers or fractions, not \(0.5"):
        Transseries([(ONE, 0.5)])  # type: ignore[list-item]
    with pytest.raises(ZeroDivisionError, match="0 has no dominant"):
        ZERO.inverse(2)
    with pytest.raises(ValueError, match="above 1, not 1"):
        UNIT.at(1)
