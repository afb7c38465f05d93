"""The correction for the number of questions."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core import history
from workbench.core.evidence import Evidence
from workbench.evidence.correction import Finding
from workbench.numerics.multiplicity import hierarchical
from workbench.results.estimate import Estimate
from workbench.subjects.activations import Activations


def questions(values: list[float]) -> Estimate:
    draws = tuple(np.linspace(-2, 2, 99))
    return Estimate(
        title="many",
        evidence=tuple(
            Evidence(question="?", id=f"s{i}", label=f"s{i}", value=v, n=10, null="noise", null_values=draws)
            for i, v in enumerate(values)
        ),
    )


def rejected(p: np.ndarray, families: np.ndarray, level: float) -> np.ndarray:
    """The procedure step by step: families by Hochberg on Simes p-values, then Hochberg inside at the selected share."""

    def step_up(p: np.ndarray, level: float) -> np.ndarray:
        order = np.argsort(p)
        passing = [i for i in range(len(p)) if p[order[i]] <= level / (len(p) - i) + 1e-12]
        out = np.zeros(len(p), bool)
        out[order[: max(passing, default=-1) + 1]] = True
        return out

    names = np.unique(families)
    simes = np.array(
        [min(np.sort(p[families == f]) * (n := (families == f).sum()) / np.arange(1, n + 1)) for f in names]
    )
    selected = step_up(simes, level)
    out = np.zeros(len(p), bool)
    for f in names[selected]:
        out[families == f] = step_up(p[families == f], level * selected.mean())
    return out


def test_correction_is_hierarchical_by_its_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        p, families = rng.random(12) ** 3, rng.integers(0, 5, 12)
        q = hierarchical(p, families)
        for level in (0.01, 0.05, 0.1, 0.3, 0.7):
            np.testing.assert_array_equal(q <= level + 1e-9, rejected(p, families, level))


def test_a_lone_answer_keeps_its_p_value_and_equal_ones_are_found_together() -> None:
    result = questions([3.0])
    assert [f.q_value for f in wb.correct([result])] == [result.evidence[0].p_value]
    assert [f.q_value for f in wb.correct([questions([3.0, 3.0, 3.0])])] == [pytest.approx(0.01)] * 3


EASY, TRUE_NULLS = 10, 6
PAGES = {
    "a family each": np.arange(16),
    "all in one": np.zeros(16, int),
    "the nulls in one": np.r_[np.arange(10), np.full(6, 10)],
    "the easy in one": np.r_[np.zeros(10, int), np.arange(1, 7)],
}


@pytest.mark.parametrize("page", PAGES)
def test_easy_questions_make_a_false_claim_no_easier(page: str) -> None:
    rng = np.random.default_rng(1)
    runs, draws = 1000, 399
    false = 0
    for _ in range(runs):
        p = np.r_[np.full(EASY, 1), rng.integers(1, draws + 2, TRUE_NULLS)] / (draws + 1)
        q = hierarchical(p, PAGES[page])
        assert (q[:EASY] <= 0.05).all()
        false += bool((q[EASY:] <= 0.05).any())
    assert false / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("many", "draws"), [(10, 199), (20, 399)])
def test_one_effect_among_many_questions_is_found_or_says_how_many_draws_it_needs(
    many: int, draws: int
) -> None:
    rng = np.random.default_rng(2)

    def page(n: int) -> list[Finding]:
        evidence = tuple(
            Evidence(
                question="?",
                id=f"s{i}",
                label="s",
                value=9.0 if i == 0 else rng.standard_normal(),
                n=1,
                null="noise",
                null_values=tuple(rng.standard_normal(n)),
            )
            for i in range(many)
        )
        return wb.correct([Estimate(evidence=evidence)])

    few, enough = page(99), page(draws)
    assert not few[0].found and few[0].draws_needed == draws
    assert all(not f.draws_needed for f in few[1:] if f.evidence.p_value != 0.01)
    assert enough[0].found and not enough[0].draws_needed


def test_what_is_asked_again_counts_once_and_with_other_parameters_each_time() -> None:
    cloud = wb.circle(n=60, dimensions=6)
    history.forget()
    short, long = (wb.pca(cloud, n_null=n, n_boot=0) for n in (19, 99))
    both = wb.Findings()
    assert both.of(short, "variance_explained").q_value == both.of(long, "variance_explained").q_value == 0.01
    (kept, *_), run = long.evidence, long.run
    assert run is not None
    for seed in range(1, 20):  # nineteen further tries, of which nothing came
        other = replace(run, parameters={**run.parameters, "random_state": seed})
        nothing = replace(kept, value=float(np.median(kept.null_values)))
        for _ in range(2):
            history.remember(history.Asked(other, (nothing,), long.outcome, long.title, 0.0, False))
    after = wb.Findings()
    assert len(after.all) == 21
    assert after.of(long, "variance_explained").q_value == pytest.approx(20 * 0.01)


def layers(n: int) -> Activations:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((60, 5)).astype(np.float32)
    sites = {f"layer.{i}": rows + i * rng.standard_normal(rows.shape).astype(np.float32) for i in range(n)}
    return Activations(sites, pd.DataFrame(index=pd.RangeIndex(60)), name="layers")


def test_layers_that_were_looked_at_before_one_was_tested_count_as_tests() -> None:
    acts = layers(6)
    ask = functools.partial(wb.pca, n_boot=0)
    history.forget()
    typed = ask(acts.at("layer.3"), n_null=19)
    p = typed.evidence_of("variance_explained").p_value
    assert p is not None and wb.Findings().of(typed, "variance_explained").q_value == p
    for i in range(6):  # numbers of others, after the test, took no part in choosing it
        ask(acts.at(f"layer.{i}"), n_null=0)
    assert wb.Findings().of(typed, "variance_explained").q_value == p

    history.forget()
    for i in range(6):
        ask(acts.at(f"layer.{i}"), n_null=0)
    chosen = ask(acts.at("layer.3"), n_null=19)
    assert wb.Findings().of(chosen, "variance_explained").q_value == pytest.approx(min(1, 6 * p))
    others = [ask(acts.at(f"layer.{i}"), n_null=19) for i in range(6) if i != 3]
    tested = [r.evidence_of("variance_explained").p_value for r in (chosen, *others)]
    q = hierarchical(np.array(tested), np.zeros(6, np.int64))  # each counts once, however often it was asked
    assert wb.Findings().of(chosen, "variance_explained").q_value == pytest.approx(q[0])

    history.forget()
    for other in (
        layers(5).at("layer.1"),
        acts.select("index < 40").at("layer.1"),
    ):  # parts of something else
        ask(other, n_null=0)
    again = ask(acts.at("layer.3"), n_null=19)
    assert wb.Findings().of(again, "variance_explained").q_value == p


def test_correction_keeps_the_false_discovery_rate() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(100):
        values = np.r_[np.full(5, 9.0), rng.standard_normal(20)]
        null = [tuple(rng.standard_normal(199)) for _ in values]
        evidence = tuple(
            Evidence(question="?", id=f"s{i}", label=str(i), value=v, n=1, null="noise", null_values=d)
            for i, (v, d) in enumerate(zip(values, null, strict=True))
        )
        found = [f.found for f in wb.correct([Estimate(evidence=evidence)], level=0.1)]
        shares.append(sum(found[5:]) / max(1, sum(found)))
    assert np.mean(shares) < 0.1 + 3 * np.std(shares) / 10


def test_what_has_no_null_is_never_found() -> None:
    lone = Estimate(evidence=(Evidence(question="?", id="s", label="s", value=3.0, n=4),))
    (finding,) = wb.correct([lone])
    assert finding.q_value is None and not finding.found
