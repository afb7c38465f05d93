"""Laws: planted ones come back exactly, noise has none, and the same seed finds the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core.errors import DataError, MissingError
from workbench.numerics.expressions.dag import Dag
from workbench.numerics.laws import evolving
from workbench.numerics.laws.fitting import flat_product, snapped
from workbench.numerics.laws.searching import search

QUICK = {"generations": 0, "max_size": 5}


def table(
    formula, d: int, *, low: float = 1, high: float = 5, n: int = 200, noise: float = 0.01, seed: int = 0
) -> wb.PointCloud:
    """Inputs a, b ... and an output y with noise."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(low, high, (n, d))
    y = formula(*x.T)
    held = dict(zip("abcd", x.T, strict=False)) | {"y": y + noise * y.std() * rng.standard_normal(n)}
    return wb.PointCloud.from_table(pd.DataFrame(held))


@pytest.mark.parametrize(
    ("formula", "d", "wanted"),
    [
        (lambda a, b: a * b**2 / 2, 2, "1/2*a*b**2"),
        (lambda a, b: np.sqrt(a**2 + b**2), 2, "sqrt(a**2 + b**2)"),
        (lambda a, b: 2 * np.pi * np.sqrt(a / b), 2, "2π*sqrt(a/b)"),
        (lambda a: 3 * np.exp(-a / 2) + 1, 1, "3*exp(-1/2*a) + 1"),
    ],
)
def test_known_answer_plain_laws_come_back_exactly(formula, d: int, wanted: str) -> None:
    result = wb.laws(table(formula, d), target="y", **QUICK)
    assert result.forms[0] == wanted and result.title == f"y = {wanted}"
    assert result.evidence[0].p_value == 0.001 and result.evidence[0].value > 0.99
    assert np.all(result.errors[0] < 0.03)  # held out and out of range too


def test_a_law_that_fails_out_of_range_says_so_and_its_fit_stays_legible() -> None:
    x = np.linspace(-3, 3, 80)
    held = {"a": x, "y": np.where(np.abs(x) < 2.71, x**2, -60.0)}
    result = wb.laws(wb.PointCloud.from_table(pd.DataFrame(held)), target="y", n_null=99, **QUICK)
    assert result.title == "y = a**2" and result.errors[0, 1] < 1e-9 and result.errors[0, 2] > 1
    assert "doesn't hold out of range" in result.caveat
    holds = wb.laws(table(lambda a: a**2, 1), target="y", n_null=99, **QUICK)
    assert "out of range" not in holds.caveat
    far = replace(result, foretold=np.where(result.part == 2, 1e6, result.foretold)).draw()
    low, high = far.layout.yaxis.range
    assert low < -60 and 9 < high < 1e3
    assert any(a.text == f"{(result.part == 2).sum()} beyond what is shown" for a in far.layout.annotations)
    assert holds.draw().layout.yaxis.range is None


def test_known_answer_noise_has_no_law_and_a_permuted_output_is_caught() -> None:
    cloud = table(lambda a, b: a * b, 2, n=120)
    broken = wb.PointCloud(
        np.column_stack([cloud.values[:, :2], np.random.default_rng(1).permutation(cloud.values[:, 2])])
    )
    result = wb.laws(broken, **QUICK)
    assert result.title.startswith("No law of x3 is claimed") and result.evidence[0].p_value > 0.01


@pytest.mark.slow
def test_calibrated_on_outputs_that_have_nothing_to_do_with_the_inputs() -> None:
    def p(seed: int) -> float | None:
        x = np.random.default_rng(seed).standard_normal((60, 3))
        return (
            wb.laws(wb.PointCloud(x), generations=0, max_size=3, n_null=39, random_state=seed)
            .evidence[0]
            .p_value
        )

    assert_calibrated(p, runs=60, exact=False)


def test_peer_scikit_learn_has_the_same_affine_law() -> None:
    from sklearn.linear_model import LinearRegression

    cloud = table(lambda a, b: 3 * a - 2 * b + 1, 2)
    result = wb.laws(cloud, target="y", **QUICK)
    fit = LinearRegression().fit(cloud.values[:, :2], cloud.values[:, 2])
    assert result.forms[0] == "3*a - 2*b + 1"
    assert np.allclose([*fit.coef_, fit.intercept_], [3, -2, 1], atol=0.1)


def test_same_seed_same_evolved_forms() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 3, (80, 2))
    y = x[:, 0] * np.exp(-x[:, 1]) + 0.01 * rng.standard_normal(80)
    found = [
        evolving.evolved(d := Dag(), ("a", "b"), x, y, 8, 3) and [str(n) for n in d.nodes] for _ in range(2)
    ]
    assert found[0] == found[1] and len(found[0]) > 5


def test_a_number_is_rounded_only_where_the_fit_does_not_suffer() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(1, 3, 150)
    for true, wanted in [(np.pi, np.pi), (0.75, 0.75), (2.3171, None)]:
        dag = Dag()
        root = dag.sum([(flat_product(dag, [(dag.variable("a"), 2)]), 1.0001 * true)])
        made, _ = snapped(dag, root, {"a": a}, true * a**2 + 1e-3 * rng.standard_normal(150))
        coefficient = float(dag.nodes[made].numbers[0])
        if wanted is None:
            assert (
                coefficient == pytest.approx(true, rel=1e-3)
                and abs(coefficient - round(coefficient, 1)) > 1e-3
            )
        else:
            assert coefficient == wanted


def test_all_terms_up_to_a_size_are_tried_and_near_forms_kept() -> None:
    x = np.random.default_rng(0).uniform(1, 2, (40, 1))
    _, forms, complete = search(("a",), x, x[:, 0] ** 2, max_size=3, generations=0, random_state=0)
    assert complete == 3 and len(forms) > 1
    assert forms[0].error < 1e-20
    assert [f.length for f in forms] == sorted(f.length for f in forms)


def test_whole_groups_are_held_out() -> None:
    cloud = table(lambda a, b: a * b, 2, n=120)
    grouped = wb.PointCloud(cloud.values, table=pd.DataFrame({"text_id": np.arange(120) // 6}))
    result = wb.laws(grouped, **QUICK)
    inside = result.part < 2
    groups = (result.ids // 6)[inside]
    assert all(len(set(result.part[inside][groups == g])) == 1 for g in set(groups.tolist()))


def test_what_has_no_law_to_find_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = table(lambda a, b: a * b, 2)
    with pytest.raises(MissingError, match="target='z'"):
        wb.laws(cloud, target="z")
    with pytest.raises(DataError, match="in all rows"):
        wb.laws(wb.PointCloud(np.column_stack([np.arange(30.0), np.ones(30)])))
    with pytest.raises(DataError, match="20 rows"):
        wb.laws(wb.PointCloud(np.random.default_rng(0).random((10, 2))))
    monkeypatch.setitem(__import__("sys").modules, "pyoperon.sklearn", None)
    with pytest.raises(MissingError, match=r"workbench\[expressions\].*generations=0"):
        wb.laws(cloud, target="y", generations=1)
