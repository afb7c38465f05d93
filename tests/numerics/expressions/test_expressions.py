"""Expressions: exact, canonical, as deep as one likes, and refused with their size where they would be too large."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from workbench.core.errors import DataError, MissingError
from workbench.numerics.expressions.canonical import canonical, same
from workbench.numerics.expressions.dag import Dag
from workbench.numerics.expressions.forms import cost, forms
from workbench.numerics.expressions.show import latex, text, to_sympy


def test_a_relu_network_is_itself_over_the_rationals() -> None:
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((5, 7)).astype(np.float32), rng.standard_normal(5).astype(np.float32)
    v = rng.standard_normal(5).astype(np.float32)
    dag = Dag()
    inputs = [dag.variable(f"x{i}") for i in range(7)]
    hidden = [dag.apply("relu", dag.affine(inputs, w[j], float(b[j]))) for j in range(5)]
    root = dag.affine(hidden, v)
    x = [Fraction(int(i), 8) for i in rng.integers(-40, 40, 7)]
    units = [
        max(Fraction(float(b[j])) + sum(Fraction(float(a)) * c for a, c in zip(w[j], x, strict=True)), 0)
        for j in range(5)
    ]
    wanted = sum(Fraction(float(c)) * u for c, u in zip(v, units, strict=True))
    named = {f"x{i}": c for i, c in enumerate(x)}
    assert dag.value(root, named) == wanted
    assert dag.numeric(root, {n: np.array([float(c)]) for n, c in named.items()})[0] == pytest.approx(
        float(wanted)
    )
    broken = dag.affine(hidden, np.nextafter(v, np.float32(9)))  # the last bit of each weight
    assert dag.value(broken, named) != wanted


def test_equal_parts_are_one_node() -> None:
    dag = Dag()
    x, y = dag.variable("x"), dag.variable("y")
    assert dag.sum([(x, 1), (y, 2)]) == dag.sum([(y, 2), (x, 1)])
    assert dag.product([(x, 1), (x, 1)]) == dag.product([(x, 2)])
    assert dag.sum([(x, 1), (x, -1)], 3) == dag.number(3)


def test_a_chain_of_ten_thousand_is_built_evaluated_and_counted() -> None:
    dag = Dag()
    node = x = dag.variable("x")
    for _ in range(10_000):
        node = dag.apply("relu", dag.sum([(node, 1), (x, Fraction(1, 2))]))
    assert dag.value(node, {"x": Fraction(1)}) == 5001
    assert cost(dag, node) == (9_999, 10_000, 10_000)  # the first sum is 3/2 x
    with pytest.raises(DataError, match="in 20,001 levels"):
        text(dag, node)


def test_a_sum_of_many_is_one_node_and_its_square_is_exact() -> None:
    rng = np.random.default_rng(1)
    w = rng.standard_normal(384).astype(np.float32)
    dag = Dag()
    neuron = dag.affine([dag.variable(f"x{i}") for i in range(384)], w)
    squared = canonical(dag, dag.product([(neuron, 2)]))
    assert squared.terms == 384 * 385 // 2
    e = [0] * len(squared.names)
    e[3] = e[9] = 1
    c = squared.polynomial[tuple(e)]
    assert Fraction(int(c.p), int(c.q)) == 2 * Fraction(float(w[3])) * Fraction(float(w[9]))


def test_what_is_over_its_budget_is_refused_with_its_size() -> None:
    dag = Dag()
    many = dag.sum((dag.variable(f"x{i}"), 1) for i in range(50))
    root = dag.product([(many, 8)])
    with pytest.raises(DataError, match=r"1,652,411,475 terms; the budget is 200,000"):
        canonical(dag, root)
    by_name = {f.name: f for f in forms(dag, root)}
    assert by_name["shared"].cost == (49, 3, 0)
    assert "1,652,411,475" in by_name["expanded"].refused


def test_all_forms_are_equal_and_cost_what_they_take() -> None:
    dag = Dag()
    x, y = dag.variable("x"), dag.variable("y")
    s = dag.sum([(x, 1), (y, 1)], 1)
    root = dag.product([(s, 3)])
    values = {"x": Fraction(2, 3), "y": Fraction(-7, 5)}
    made = {f.name: f for f in forms(dag, root)}
    assert {dag.value(f.root, values) for f in made.values()} == {(Fraction(2, 3) - Fraction(7, 5) + 1) ** 3}
    assert made["factored"].cost == made["shared"].cost == (2, 2, 0)
    assert made["expanded"].cost.total > made["Horner"].cost.total > made["factored"].cost.total


def test_same_is_proven_refuted_or_untold() -> None:
    dag = Dag()
    x, y = dag.variable("x"), dag.variable("y")
    a = dag.product([(dag.sum([(x, 1), (y, 1)]), 2)])
    b = dag.sum([(dag.product([(x, 2)]), 1), (dag.product([(x, 1), (y, 1)]), 2), (dag.product([(y, 2)]), 1)])
    assert same(dag, a, b) is True
    assert same(dag, a, dag.sum([(b, 1)], Fraction(1, 2**60))) is False
    assert same(dag, dag.apply("gelu", a), dag.apply("gelu", b)) is True
    sine, cosine = (dag.product([(dag.apply(f, x), 2)]) for f in ("sin", "cos"))
    assert same(dag, dag.sum([(sine, 1), (cosine, 1)]), dag.number(1)) is None  # which no rule here knows


def test_peer_sympy_has_the_same_values_and_hostile_names_are_no_latex() -> None:
    import sympy

    dag = Dag()
    x, y = dag.variable("x"), dag.variable(r"\input{a}$")
    root = dag.sum(
        [(dag.product([(dag.apply("sin", dag.sum([(x, 2)], 1)), 1), (y, -2)]), Fraction(1, 3)), (x, -1)], 0.5
    )
    symbol = {s.name: s for s in to_sympy(dag, root).free_symbols}
    peer = to_sympy(dag, root).subs({symbol["x"]: sympy.Rational(1, 4), symbol[r"\input{a}$"]: 3})
    ours = dag.numeric(root, {"x": np.array([0.25]), r"\input{a}$": np.array([3.0])})[0]
    assert float(peer) == pytest.approx(ours, rel=1e-12)
    assert "input{" not in latex(dag, root) and "$" not in latex(dag, root)


def test_text_reads_as_it_is_meant() -> None:
    dag = Dag()
    x, y = dag.variable("x"), dag.variable("y")
    root = dag.sum(
        [(dag.product([(dag.sum([(x, 1)], 1), 2), (y, -1)]), -2), (dag.apply("exp", y), np.pi)], 0.5
    )
    assert text(dag, root) == "-2*(x + 1)**2/y + π*exp(y) + 1/2"


def test_bad_input() -> None:
    dag = Dag()
    with pytest.raises(DataError, match="finite"):
        dag.affine([dag.variable("x")], np.array([np.nan]))
    with pytest.raises(MissingError, match="relu"):
        dag.apply("erf", dag.variable("x"))
    with pytest.raises(DataError, match="floating point"):
        dag.value(dag.apply("gelu", dag.variable("x")), {"x": Fraction(1)})


def test_horners_form_of_many_terms_is_the_same_polynomial_and_takes_each_variable_out_once() -> None:
    """The square of 40 terms by Horner's rule: a product for each variable and one for each pair, and the value unchanged."""
    dag = Dag()
    xs = [dag.variable(f"x{i}") for i in range(40)]
    root = dag.product([(dag.sum([(x, i + 1) for i, x in enumerate(xs)]), 2)])
    horner = next(f for f in forms(dag, root) if f.name == "Horner")
    values = {f"x{i}": Fraction(i - 17, 4) for i in range(40)}
    assert dag.value(horner.root, values) == dag.value(root, values)
    assert horner.cost is not None and horner.cost.multiplications == 40 * 41 // 2 + 40 - 1
