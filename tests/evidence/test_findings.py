"""Findings, curves and tables that join answers by the run, the question and what it is of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.core import history
from workbench.core.errors import DataError, MissingError
from workbench.core.evidence import Evidence
from workbench.core.history import Asked
from workbench.core.lineage import code
from workbench.core.run import Given, Run
from workbench.evidence import answers, ask, ask_each, ask_untrained, comparisons, helping
from workbench.evidence.claims import Band, chance, of_networks
from workbench.evidence.highest import possibly_highest
from workbench.evidence.nulls.untrained import beside_untrained
from workbench.results.estimate import Estimate


def asked(*evidence: Evidence, key: str = "k", method: str = "mine") -> Estimate:
    """A result with a run, as if this process had asked it."""
    given = Given(name="points", title="rows", kind="PointCloud", digest="0")
    run = Run(method=method, inputs=(given,), parameters={"key": key})
    result = Estimate(title="Mine of rows", evidence=evidence, run=run)
    history.remember(Asked(run, result.evidence, result.outcome, result.title, 0.0, False))
    return result


def answer(value: float = 1.0, id: str = "share", of: str = "", **more: Any) -> Evidence:
    given = {
        "label": f"share of {of}",
        "question": "?",
        "n": 9,
        "null": "noise",
        "hypothesis": "shares are even",
    }
    return Evidence(id=id, of=of, value=value, **{**given, **more})


LOW = tuple(np.linspace(-1, 1, 99))


def test_findings_count_every_question_asked_and_no_question_twice() -> None:
    history.forget()
    cloud = wb.circle(n=60, dimensions=6)
    kept = wb.pca(cloud, n_null=19, n_boot=19)
    wb.pca(cloud, n_components=3, n_null=19, n_boot=19)  # asked, and never looked at
    wb.pca(cloud, n_null=19, n_boot=19)
    findings = wb.Findings()
    assert len(findings.all) == 2
    findings.say("The plane", kept, "variance_explained")
    assert "q = 0.05" in findings.sentences[0]


def test_findings_say_when_nothing_is_there() -> None:
    history.forget()
    rng = np.random.default_rng(1)
    noise = {f"layer {i}": wb.pca(rng.standard_normal((80, 6)), n_null=19, n_boot=19) for i in range(3)}
    findings = wb.Findings()
    findings.compare("Shared structure", noise, "variance_explained")
    assert "nowhere distinguishable from chance" in findings.sentences[0]
    assert findings.claims[0].verdict == "could be chance"


def test_findings_refuse_what_is_not_in_the_correction() -> None:
    history.forget()
    with pytest.raises(wb.WorkbenchError, match="correction"):
        wb.Findings().of(Estimate(title="by hand", evidence=(answer(),)), "share")


def network_asked(seed: int, shift: float = 0.0, spread: float = 1.0) -> dict[str, Estimate]:
    """What three layers of a network answer, which share a draw of the network's own."""
    rng = np.random.default_rng(seed)
    own = spread * rng.standard_normal()
    return {
        f"layer {i}": asked(
            answer(5 + own + shift * i + 0.1 * rng.standard_normal(), null=""), key=f"{seed} {i}"
        )
        for i in range(3)
    }


def test_what_training_did_is_claimed_with_where_and_what_it_did_not_is_only_listed() -> None:
    history.forget()
    untrained = [network_asked(seed) for seed in range(1, 6)]
    findings = wb.Findings()
    ways = {"less": "smaller", "more": "larger"}
    findings.contrast(
        "Shares are {}", network_asked(0, shift=30), untrained, "share", **ways, meaning="As made."
    )
    findings.contrast("Shares of none are {}", network_asked(9), untrained, "share", **ways)
    findings.contrast("Shares below are {}", network_asked(8, shift=-30), untrained, "share", **ways)
    said = {c.claim: c for c in findings.claims}
    assert {n: c.verdict for n, c in said.items()} == {
        "Shares are larger": "beyond chance",
        "Shares below are smaller": "beyond chance",
        "Share of : not told from untrained networks": "could be chance",
    }
    larger = said["Shares are larger"]
    assert "the difference is greatest at layer 2" in larger.numbers[1] and larger.meaning == "As made."
    assert "5 untrained networks" in larger.numbers[1]
    (band,) = larger.bands
    assert band.kind == "network" and band.high < larger.finding.evidence.value and larger.strength > 0
    assert [f.found for f in findings.contrasts] == [True, False, True]
    assert "2 of 3 comparisons hold" in findings._repr_mimebundle_()["text/plain"]
    with pytest.raises(MissingError, match="no result 'layer 1'"):
        findings.contrast("x", network_asked(0), [{"layer 0": untrained[0]["layer 0"]}], "share", **ways)


def test_a_network_that_is_one_more_draw_is_told_from_others_in_5_of_100() -> None:
    rng = np.random.default_rng(0)

    def told(shift: float) -> float:
        drawn = rng.standard_normal((1500, 6))
        drawn[:, 0] += shift
        p = [beside_untrained([answer(v[0])], [[answer(x)] for x in v[1:]]).p_value for v in drawn]
        return float(np.mean([q is not None and q <= 0.05 for q in p]))

    assert 0.037 < told(0) < 0.063
    assert told(6) > 0.9


def test_what_half_of_all_networks_have_none_of_is_seldom_claimed_of_one_more() -> None:
    rng = np.random.default_rng(0)
    drawn = np.where(rng.random((1500, 4)) < 0.5, 0, rng.uniform(0, 0.3, (1500, 4)))
    p = [beside_untrained([answer(v[0])], [[answer(x)] for x in v[1:]]).p_value for v in drawn]
    assert np.mean([q is not None and q <= 0.05 for q in p]) <= 0.05
    assert any(q is not None for q in p)


def test_several_contrasts_of_one_that_learned_nothing_have_no_finding_in_95_of_100() -> None:
    ways = {"less": "smaller", "more": "larger"}

    def claims(seed: int) -> int:
        history.forget()
        nets = [[network_asked(1000 * seed + 10 * k + j) for j in range(6)] for k in range(8)]
        findings = wb.Findings()
        for one, *others in nets:
            findings.contrast("Shares are {}", one, others, "share", **ways)
        return sum(f.found for f in findings.contrasts)

    assert np.mean([claims(seed) > 0 for seed in range(100)]) <= 0.11  # 5 %, and 2.6 standard errors of 100


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([1.0, 2.0], "2 untrained"),
        ([3.0] * 5, "the same number"),
        ([1.0, 2.0, np.nan], "no such number"),
        ([0.0, 0.001, 0.002], "have none of it"),
        ([], "0 untr"),
    ],
)
def test_where_untrained_networks_say_nothing_of_chance_nothing_is_tested(
    others: list[float], why: str
) -> None:
    made = beside_untrained([answer(9.0)], [[answer(x)] for x in others])
    assert made.p_value is None and why in made.untested


def test_the_band_of_untrained_networks_is_where_further_ones_lie_and_lineage_has_them() -> None:
    history.forget()
    untrained = [network_asked(seed) for seed in range(1, 6)]
    chart = wb.along(network_asked(0), untrained=untrained, x_title="layer")
    values = [u["layer 1"].evidence[0].value for u in untrained]
    half = 2.7764 * np.std(values, ddof=1) * np.sqrt(1 + 1 / 5)  # t of 4 degrees of freedom
    assert chart.null_low[1, 0] == pytest.approx(np.mean(values) - half, rel=0.02)
    assert chart.null_high[1, 0] == pytest.approx(np.mean(values) + half, rel=0.02)
    assert chart.run is not None
    line = code(chart.run).splitlines()[-1]
    assert line.count("'layer 1': ") == 6 and "untrained=[{" in line
    wb.along(network_asked(0), untrained=untrained[:2])  # of two, from the lower to the higher


def test_what_is_asked_of_a_control_is_no_question() -> None:
    history.forget()
    cloud = wb.circle(n=60, dimensions=6)
    trained = {"a": wb.pca(cloud, n_null=19, n_boot=19)}
    arms = [{"a": wb.circle(n=60, dimensions=6, random_state=i)} for i in (1, 2)]
    asked = ask_untrained(wb.pca, trained, arms)
    assert len(asked) == 2 and all(r["a"].evidence[0].p_value is None for r in asked)
    assert len(wb.Findings().all) == len(trained["a"].evidence)


def test_a_verdict_is_less_more_or_alike_and_says_what_was_found() -> None:
    history.forget()
    result = asked(
        answer(-9, of="low", null_values=LOW, alternative="two-sided"),
        answer(9, of="high", null_values=LOW, alternative="two-sided"),
        answer(0, of="none", null_values=LOW, alternative="two-sided"),
    )
    findings = wb.Findings()
    ways = {"less": "fewer than", "more": "more than", "alike": "as many as"}
    for of in ("low", "high", "none"):
        findings.judge("Rows with {} are {} chance has it".replace("{}", of, 1), result, "share", of, **ways)
    findings.judge("Never asked {}", None, "share", **ways)
    assert [(c.claim, c.verdict) for c in findings.claims] == [
        ("Rows with low are fewer than chance has it", "beyond chance"),
        ("Rows with high are more than chance has it", "beyond chance"),
        ("Rows with none are as many as chance has it", "could be chance"),
    ]
    assert findings.claims[2].numbers[0].endswith("which doesn't reject “shares are even”")
    assert findings.claims[0].numbers[0].endswith("which rejects “shares are even”")
    assert findings.sentences[2].startswith(
        "Rows with none are as many as chance has it (could be chance): 0 "
    )


def test_a_number_beyond_too_few_draws_is_not_said_to_be_like_chance() -> None:
    history.forget()
    few = tuple(np.linspace(-1, 1, 39))
    far = asked(
        answer(50, of="far", null_values=few),
        *[answer(0.1, of=f"near {i}", null_values=few) for i in range(9)],
    )
    findings = wb.Findings()
    ways = {"less": "fewer than", "more": "more than", "alike": "as many as"}
    findings.judge("Rows are {} chance has it", far, "share", "far", **ways)
    findings.judge_each(
        far, "share", {"far": "far"}, less="Less in {}", more="More in {}", alike="As much in {}"
    )
    findings.compare("Rows", {"here": far}, "share", "far")
    assert {c.verdict for c in findings.claims} == {"too few draws to tell"}
    assert [c.claim for c in findings.claims] == [
        "Share of far",
        "Share of far",
        "Rows: too few draws to tell",
    ]
    assert "none of 39 draws was as extreme" in findings.sentences[0]
    assert "too few draws to tell" in findings._repr_mimebundle_()["text/html"]


def test_each_of_several_answers_is_a_claim_and_the_strongest_comes_first() -> None:
    history.forget()
    values = {"a": 9.0, "b": 0.1, "c": -9.0, "d": 12.0}
    two = {of: answer(v, of=of, null_values=LOW, alternative="two-sided") for of, v in values.items()}
    result = asked(*two.values(), answer(2.0, of="e", null="", untested="no draws"))
    findings = wb.Findings()
    names = {of: f"the {of}" for of in "abcde"}
    findings.judge_each(result, "share", names, less="{} has less", more="{} has more")
    findings.judge_each(None, "share", names, less="", more="")
    assert [(c.claim, c.verdict) for c in findings.claims] == [
        ("The d has more", "beyond chance"),
        ("The a has more", "beyond chance"),
        ("The c has less", "beyond chance"),
        ("Share of b", "could be chance"),
        ("Share of e", "not tested"),
    ]
    assert findings.claims[0].finding.subject == "rows" and len(findings.claims[0].keys) == 1
    assert findings.claims[-1].numbers == ("2; not tested: no draws",)


def test_what_leads_stands_first_only_where_it_holds() -> None:
    history.forget()
    result = asked(*(answer(v, of=of, null_values=LOW) for of, v in {"a": 9.0, "b": 90.0, "c": 0.0}.items()))
    findings = wb.Findings()
    for of in "abc":
        findings.judge(f"Much of {of}", result, "share", of, leads=of in "ac")
    assert [c.claim for c in findings.claims] == ["Much of a", "Much of b", "Much of c"]


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ([1.0, 1.5, 2.0], "beyond chance"),
        ([8.0, 9.0, 10.0], "in others too"),
        ([20.0, 21.0, 22.0], "in others too"),  # they have even more of it
        ([], "beyond chance"),
    ],
)
def test_what_other_networks_have_too_is_not_claimed_of_this_one(others: list[float], verdict: str) -> None:
    history.forget()
    result = asked(answer(9.0, null_values=LOW))
    findings = wb.Findings()
    beside = {"untrained networks": [asked(answer(v), key=str(v)) for v in others]}
    findings.judge("There is {}", result, "share", more="much", beside=beside)
    (claim,) = findings.claims
    assert claim.verdict == verdict and claim.finding.found
    assert [b.kind for b in claim.bands] == ["chance", "network"][: 1 + bool(others)]


def followed(first: float, last: float, firsts: np.ndarray, lasts: np.ndarray) -> Estimate:
    """A number at the end and its change, beside draws of a null that makes the same choices at both steps."""
    ways = {"alternative": "two-sided", "of": "all"}
    return asked(
        answer(last, "rank", null_values=tuple(lasts), **ways),
        answer(last - first, "change", null_values=tuple(lasts - firsts), **ways),
    )


@pytest.mark.parametrize(
    ("first", "last", "null", "verdict"),
    [
        (
            24.0,
            12.0,
            (24.0, 20.0),
            "beyond chance",
        ),  # by 12 and a half, where the null falls by 4 and a sixth
        (57.0, 27.0, (104.0, 54.0), "could be chance"),  # by 30 beside 50, but by 53 % beside 48 %
        (24.0, 20.0, (24.0, 20.0), "could be chance"),
    ],
)
def test_a_change_is_told_from_its_nulls_as_a_difference_and_as_a_share(
    first: float, last: float, null: tuple[float, float], verdict: str
) -> None:
    history.forget()
    noise = np.linspace(-0.2, 0.2, 199)
    result = followed(first, last, null[0] + noise, null[1] - noise)
    findings = wb.Findings()
    begun = [{"the end": asked(answer(first + d, "rank", "all"), key=str(d))} for d in (-1.0, 0.0, 1.0)]
    findings.judge_change(
        "It loses {} than its null", result, "rank", "all", less="more", more="less", begun=begun
    )
    findings.judge_change("Never", None, "rank", less="", more="")
    (claim,) = findings.claims
    assert claim.verdict == verdict
    assert (claim.claim == "It loses more than its null") == (verdict == "beyond chance")
    assert "of what it was" in claim.numbers[1]
    chances, networks = claim.bands
    assert chances.kind == "chance" and networks.low < 0 < networks.high  # one more beginning changes nothing


def test_a_test_that_cannot_reject_is_none() -> None:
    history.forget()
    few = asked(answer(9.0, null_values=LOW[:9]), key="few")
    two = asked(answer(9.0, null_values=LOW[:30], alternative="two-sided"), key="two")
    enough = asked(answer(9.0, null_values=LOW[:19]), key="enough")
    stopped = Run(method="mine", inputs=(), parameters={"n_null": 99})
    history.remember(
        Asked(stopped, (answer(0.0, null_values=(1.0,) * 10),), few.outcome, "stopped", 0.0, False)
    )
    findings = wb.Findings()
    assert [f.q_value is None for f in findings.all] == [True, True, False, False]
    assert "allow no p-value below 0.1 (n_null=19 would)" in findings.of(few, "share").evidence.untested
    assert "n_null=39" in findings.of(two, "share").evidence.untested
    assert findings.of(enough, "share").evidence.p_value == 0.05


def test_a_band_of_several_answers_is_the_mean_of_theirs_and_none_where_one_has_no_draws() -> None:
    low, high = answer(0.0, null_values=LOW), answer(0.0, null_values=tuple(np.array(LOW) + 10))
    both = chance([low, high])
    assert both is not None and (both.low, both.high) == pytest.approx((5 - 0.95, 5 + 0.95))
    assert chance([low, answer(0.0)]) is None and chance([]) is None
    assert of_networks([1.0, np.nan], "untrained networks") is None
    assert of_networks([1.0, 3.0], "untrained networks") == Band("network", 1.0, 3.0, "untrained networks")
    assert Band("chance", 1.0, 3.0, "").distance(5.0) == pytest.approx(2.0)


def test_whose_draws_are_too_few_is_said() -> None:
    history.forget()
    many = asked(answer(9.0, null_values=tuple(np.linspace(-1, 1, 499))), method="many")
    for i in range(29):
        asked(answer(9.0, null_values=LOW[:19]), method=f"few {i}")
    asked(answer(0.0, null_values=LOW), method="nothing")
    one = asked(
        answer(9.0, null_values=LOW[:19]), method="one"
    )  # p = 1 / 20, which no correction makes smaller
    findings = wb.Findings()
    for result in (one, many):
        findings.judge("Shares are {}", result, "share")
    said = {c.method: c for c in findings.claims}
    assert not any(c.finding.found for c in said.values())
    (own,), (others,) = said["one"].numbers, said["many"].numbers
    assert "none of 19 draws was as extreme, and more would be needed to tell (n_null=99)" in own
    assert "of 499 draws was as extreme, and more behind the other questions would be needed" in others


def test_words_come_from_the_null_and_what_was_not_tested_supports_none() -> None:
    history.forget()
    result = asked(
        answer(9, of="high", null_values=LOW),
        answer(0, of="none", null_values=LOW),
        answer(3, of="bare", null="", untested="its rows are one series"),
    )
    findings = wb.Findings()
    for of in ("high", "none", "bare"):
        findings.judge(f"The share of {of} is {{}}", result, "share", of)
    assert [c.claim for c in findings.claims] == [
        "The share of high is higher than with noise",
        "The share of none is not shown to differ from that with noise",
        "Share of bare",
    ]
    assert findings.claims[2].numbers == ("3; not tested: its rows are one series",)


def layers(rng: np.random.Generator, truths: list[float], error: float = 0.1) -> dict[str, Evidence]:
    """Estimates that err independently, each with its 95 % interval."""
    values = truths + error * rng.standard_normal(len(truths))
    half = 1.96 * error
    return {f"layer {i}": answer(v, null="", interval=(v - half, v + half)) for i, v in enumerate(values)}


@pytest.mark.parametrize("many", [5, 12])
def test_equal_layers_are_told_apart_by_chance_only(many: int) -> None:
    rng = np.random.default_rng(3)
    runs = 600
    single = missed = 0
    for _ in range(runs):
        equal = layers(rng, [0.5] * many)
        tops = possibly_highest(equal)
        single += len(tops) == 1
        best = layers(rng, [0.5] * (many - 1) + [0.52])
        missed += f"layer {many - 1}" not in possibly_highest(best)
    allowed = 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert max(single, missed) / runs <= allowed
    far = [possibly_highest(layers(rng, [0.5] * (many - 1) + [1.2])) for _ in range(50)]
    assert np.mean([tops == [f"layer {many - 1}"] for tops in far]) > 0.9


def test_the_highest_is_one_of_those_that_none_exceeds_for_sure() -> None:
    history.forget()

    def result(name: str, value: float, half: float | None) -> Estimate:
        interval = None if half is None else (value - half, value + half)
        return asked(answer(value, null="", interval=interval), key=name)

    def said(values: dict[str, float], half: float | None = 0.1) -> str:
        results = {n: result(f"{n} {v} {half}", v, half) for n, v in values.items()}
        findings = wb.Findings()
        findings.compare("“topic”", results, "share", highest="easiest", lowest="hardest", unit="layers")
        return findings.claims[0].claim

    assert (
        said({"a": 0.1, "b": 0.9, "c": 0.95, "d": 0.5})
        == "“topic” is easiest at one of b and c and hardest at a"
    )
    assert said({"a": 0.5, "b": 0.51, "c": 0.52}) == "“topic”: none of 3 layers can be told from another"
    assert (
        said({"a": 0.1, "b": 0.9}, None)
        == "“topic”: none of 2 layers has an interval by which to tell it from another"
    )
    many = {f"{i}": 0.9 + i / 1000 for i in range(6)}
    assert said({"a": 0.1, **many}) == "“topic” is easiest at one of 6 of the 7 layers and hardest at a"


def test_what_helps_is_above_0_by_all_and_beyond_chance_by_the_last_after_holm() -> None:
    def arm(of: str, control: float, restart: float, extreme: int) -> list[Evidence]:
        null = (99.0,) * extreme + (0.0,) * (99 - extreme)
        return [answer(control, "below_control", of), answer(restart, "below_restart", of, null_values=null)]

    every = [
        *arm("a", 1, 1, 0),
        *arm("b", -1, 1, 0),
        *arm("c", 1, -1, 0),
        *arm("d", 1, 1, 2),
        *arm("e", 1, 1, 0),
    ]
    result = Estimate(title="Arms", evidence=(*every, answer(1, "below_control", "restart")))
    # p = 0.01 is 0.05 among five by Holm; d, at 0.03, would hold alone and doesn't among them
    assert helping(result, "below_control", "below_restart") == ["a", "e"]
    assert helping(result, "below_control", "below_restart", level=0.01) == []
    assert list(answers(result, "below_restart")) == list("abcde")
    with pytest.raises(MissingError, match=r"has no evidence 'below_rstart'.*below_restart"):
        answers(result, "below_rstart")
    table = comparisons(list(answers(result, "below_restart").values()), "difference")
    assert table["p, corrected (Holm)"].tolist() == pytest.approx([0.05, 0.05, 1, 0.06, 0.05])
    assert table["difference"].tolist() == [1, 1, -1, 1, 1]


def test_what_cannot_be_asked_is_told_and_the_rest_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    few, many = np.ones((1, 3)), wb.circle(n=60, dimensions=4)
    assert ask(wb.intrinsic_dimension, few, n_null=0, n_boot=0) is None
    assert capsys.readouterr().out.startswith("Not asked: ")
    assert ask_each(wb.intrinsic_dimension, {"a": many, "b": few}, n_null=0, n_boot=0) == {}
    assert list(ask_each(wb.pca, {"a": many, "b": many}, n_null=0, n_boot=0)) == ["a", "b"]
    with pytest.raises(wb.WorkbenchError, match="n_null=-1"):
        ask(wb.pca, many, n_null=-1)


def test_several_questions_of_several_things_are_curves_and_what_is_missing_is_named() -> None:
    def result(shift: float) -> Estimate:
        return Estimate(
            title="Mine", evidence=(answer(shift, of="a"), answer(shift + 1, of="b"), answer(7, "other"))
        )

    steps = {"1": result(0), "2": result(5)}
    every = wb.along(steps)
    np.testing.assert_array_equal(every.y, [[0, 1, 7], [5, 6, 7]])
    assert every.y_title == "share, other"
    some = wb.along(steps, "share", ["b", "a"])
    np.testing.assert_array_equal(some.y, [[1, 0], [6, 5]])
    assert some.names == ("share of b", "share of a")
    with pytest.raises(MissingError, match=r"of='a', of='b'"):
        wb.along(steps, "share")
    with pytest.raises(DataError, match="at least one"):
        wb.along({})
