"""Head formula: the head's own scores over the rationals, a planted product is found, and budgets are kept."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.analyses.weights.head_formula import _factors, _written
from workbench.calibrating.worlds.heads import checkpoint
from workbench.core.errors import ParameterError
from workbench.numerics.expressions.dag import Dag
from workbench.subjects.checkpoint import Checkpoint

WIDTH, HEADS = 12, 3


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        f"layers.{i}.self_attn.{p}_proj.weight": rng.standard_normal((WIDTH, WIDTH)) / 4
        for i in range(2)
        for p in "qkvo"
    }


def net(seed: int = 0) -> Checkpoint:
    return checkpoint(weights(seed), HEADS)


def exactly(w: np.ndarray) -> list[list[Fraction]]:
    return [[Fraction(float(e)) for e in row] for row in w]


@pytest.mark.parametrize("circuit", ["query-key", "output-value"])
def test_known_answer_the_form_is_the_head_over_the_rationals(circuit: str) -> None:
    opened, h = net(), WIDTH // HEADS
    x = [Fraction(n, 8) for n in range(-5, 7)]
    y = [Fraction(n * n, 16) for n in range(12)]
    w = {p: np.asarray(opened[f"layers.1.self_attn.{p}_proj.weight"]) for p in "qkvo"}
    one, two = (w["q"], w["k"]) if circuit == "query-key" else (w["o"].T, w["v"])
    some = slice(2 * h, 3 * h)
    sides = [
        [sum(a * b for a, b in zip(row, token, strict=True)) for row in exactly(m[some])]
        for m, token in ((one, x), (two, y))
    ]
    wanted = sum(a * b for a, b in zip(*sides, strict=True))
    dag = Dag()
    left, right, _ = _factors(opened, 1, 2, circuit, 0)
    everything = [(i, j) for i in range(WIDTH) for j in range(WIDTH)]
    whole, expanded = _written(dag, left, right, "x", "y", everything)
    values = {f"{c}{i + 1}": v for c, token in (("x", x), ("y", y)) for i, v in enumerate(token)}
    assert dag.value(whole, values) == dag.value(expanded, values) == wanted
    broken = left.copy()
    broken[0, 0] = np.nextafter(np.float32(broken[0, 0]), np.float32(9))
    assert dag.value(_written(dag, broken, right, "x", "y", everything)[0], values) != wanted


def test_peer_numpy_has_the_same_coefficients_and_errors() -> None:
    result = wb.head_formula(net(), layer=1, head=2, n_terms=3, n_null=0)
    w = {p: np.asarray(net()[f"layers.1.self_attn.{p}_proj.weight"], float)[8:12] for p in "qk"}
    form = w["q"].T @ w["k"]
    at = np.unravel_index(np.abs(form).argmax(), form.shape)
    assert result.terms[0] == f"x{at[0] + 1}*y{at[1] + 1}" and result.weights[0] == pytest.approx(form[at])
    x, y = np.random.default_rng(0).standard_normal((2, 40_000, WIDTH))
    cut = np.where(np.abs(form) >= np.sort(np.abs(form).ravel())[-3], form, 0)
    scores, kept = (np.einsum("ni,ij,nj->n", x, f, y) for f in (form, cut))
    error = result.errors[result.cuts.tolist().index(3)]
    assert error == pytest.approx((scores - kept).std() / scores.std(), rel=0.02)
    assert result.errors[-1] == 0 and result.shares.sum() == pytest.approx(1)
    assert "shared" in result.forms and result.formula.count("x") == 3


def test_a_planted_product_is_found_and_the_same_scales_have_none() -> None:
    planted = weights(1)
    for p, column in (("q", 7), ("k", 4)):
        planted[f"layers.0.self_attn.{p}_proj.weight"] *= 0.05
        planted[f"layers.0.self_attn.{p}_proj.weight"][:, column] = 1.0  # 12 x8 y5
    found = wb.head_formula(checkpoint(planted, 1), n_terms=1, n_null=39)
    assert found.terms[0] == "x8*y5" and found.weights[0] == pytest.approx(12)
    assert found.evidence_of("held_by_few").p_value == 1 / 40 and found.errors[0] < 0.5
    rng = np.random.default_rng(2)
    twin = dict(planted)
    for p in "qk":  # every size where it is, the signs drawn anew
        name = f"layers.0.self_attn.{p}_proj.weight"
        twin[name] = np.abs(planted[name]) * rng.choice((-1.0, 1.0), planted[name].shape)
    assert wb.head_formula(checkpoint(twin, 1), n_terms=1, n_null=39).evidence[0].p_value > 0.05


def test_a_form_over_its_budget_is_refused_with_its_size() -> None:
    result = wb.head_formula(net(), max_terms=100, n_null=0)
    assert result.refused[0] == "" and all("144" in why or "100" in why for why in result.refused[1:])
    assert (result.costs[1:] == -1).all() and result.costs[0, 1] < 144 + 2 * WIDTH * WIDTH


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(ParameterError, match=r"layer=5 is not legal.*layers 0, 1"):
        wb.head_formula(net(), layer=5)
    with pytest.raises(ParameterError, match="head=3 is not legal: layer 0 has 3"):
        wb.head_formula(net(), head=3)


def test_calibrated_where_entries_have_scales_alone() -> None:
    def p_value(seed: int) -> float | None:
        rng = np.random.default_rng(seed)
        drawn = {n: w * np.exp(rng.standard_normal(WIDTH)) for n, w in weights(seed).items()}
        result = wb.head_formula.function(checkpoint(drawn, HEADS), n_terms=3, n_null=19, random_state=seed)
        return result.evidence_of("held_by_few").p_value

    assert_calibrated(p_value, runs=100)
