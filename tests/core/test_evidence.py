"""P-values, intervals and the correction."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core import history
from workbench.core.evidence import Evidence, monte_carlo_p
from workbench.numerics.resampling import (
    bootstrap_interval,
    null_draws,
    random_frame,
    shuffle_columns,
    subsample_interval,
)
from workbench.results.estimate import Estimate


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_p_values_reject_a_true_null_at_their_level(alternative) -> None:
    def p(seed: int) -> float:
        draws = np.random.default_rng(seed).standard_normal(40)
        return monte_carlo_p(draws[0], draws[1:], alternative)

    assert_calibrated(p, runs=2000)


def test_p_values_count_the_observation() -> None:
    assert monte_carlo_p(5.0, [1.0] * 19, "greater") == 1 / 20
    assert monte_carlo_p(1.0, [1.0] * 19, "greater") == 1.0  # ties speak for the null
    assert monte_carlo_p(5.0, [1.0] * 19, "two-sided") == 2 / 20


def test_no_number_is_no_finding_and_survives_json() -> None:
    import json

    assert monte_carlo_p(np.nan, [1.0] * 99, "greater") == 1
    assert monte_carlo_p(5.0, [1.0] * 98 + [np.nan], "greater") == 2 / 100
    odd = Evidence(
        question="?", statistic="s", value=np.nan, n=1, interval=(-np.inf, 1.0), null_values=(1.0, np.nan)
    )
    again = Evidence.from_json(json.loads(json.dumps(odd.to_json(), allow_nan=False)))
    assert np.isnan(again.value)
    assert np.isnan(again.null_values[1])


@pytest.mark.parametrize("interval", [bootstrap_interval, "subsample"])
def test_intervals_cover_the_truth(interval) -> None:
    covered = 0
    for seed in range(200):
        x = np.random.default_rng(seed).exponential(size=200)
        if interval == "subsample":
            low, high = subsample_interval(lambda i, x=x: float(x[i].mean()), float(x.mean()), 200, 200, seed)
        else:
            low, high = bootstrap_interval(lambda i, x=x: float(x[i].mean()), 200, 200, seed)
        covered += low <= 1.0 <= high
    assert 0.89 * 200 <= covered <= 0.99 * 200


def test_a_longer_null_starts_with_the_shorter_one() -> None:
    draw = lambda rng: rng.standard_normal()  # noqa: E731
    assert (null_draws(draw, 9, 3)[:4] == null_draws(draw, 4, 3)).all()


def test_shuffling_keeps_every_column_and_breaks_rows() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(np.arange(200.0)[:, None], 2, axis=1)
    y = shuffle_columns(x, rng)
    assert (np.sort(y, axis=0) == x).all()
    assert abs(np.corrcoef(y.T)[0, 1]) < 0.3


def test_frames_are_orthonormal_and_uniform() -> None:
    frames = np.array([random_frame(3, 2, np.random.default_rng(i)) for i in range(2000)])
    assert np.allclose(np.einsum("nij,nik->njk", frames, frames), np.eye(2))
    assert np.abs(frames.mean(axis=0)).max() < 0.06
    assert np.allclose((frames**2).mean(axis=0), 1 / 3, atol=0.03)


def questions(values: list[float]) -> Estimate:
    draws = tuple(np.linspace(-2, 2, 99))
    return Estimate(
        title="many",
        evidence=tuple(
            Evidence(question="?", statistic=f"s{i}", value=v, n=10, null="noise", null_values=draws)
            for i, v in enumerate(values)
        ),
    )


def test_correction_is_benjamini_hochberg_by_its_definition() -> None:
    result = questions([3.0, 2.5, 1.9, 0.1, -1.0])
    p = np.array([e.p_value for e in result.evidence])
    expected = [min(1.0, *(pj * len(p) / (p <= pj).sum() for pj in p[p >= pi])) for pi in p]
    assert np.allclose([f.q_value for f in wb.correct([result])], expected)


def test_correction_keeps_the_false_discovery_rate() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(100):
        values = np.r_[np.full(5, 9.0), rng.standard_normal(20)]
        null = [tuple(rng.standard_normal(199)) for _ in values]
        evidence = tuple(
            Evidence(question="?", statistic=str(i), value=v, n=1, null="noise", null_values=d)
            for i, (v, d) in enumerate(zip(values, null, strict=True))
        )
        found = [f.found for f in wb.correct([Estimate(evidence=evidence)], false_discovery_rate=0.1)]
        shares.append(sum(found[5:]) / max(1, sum(found)))
    assert np.mean(shares) < 0.1 + 3 * np.std(shares) / 10


def test_what_has_no_null_is_never_found() -> None:
    lone = Estimate(evidence=(Evidence(question="?", statistic="s", value=3.0, n=4),))
    (finding,) = wb.correct([lone])
    assert finding.q_value is None and not finding.found


def test_findings_count_every_question_asked_and_no_question_twice() -> None:
    history.forget()
    cloud = wb.circle(n=60, dimensions=6)
    kept = wb.pca(cloud, n_null=19, n_boot=19)
    wb.pca(cloud, n_components=3, n_null=19, n_boot=19)  # asked, and never looked at
    wb.pca(cloud, n_null=19, n_boot=19)
    findings = wb.Findings()
    assert len(findings.all) == 2
    findings.say("The plane", kept, kept.evidence[0].statistic)
    assert "q = 0.05" in findings.sentences[0]


def test_findings_say_when_nothing_is_there() -> None:
    history.forget()
    rng = np.random.default_rng(1)
    noise = {f"layer {i}": wb.pca(rng.standard_normal((80, 6)), n_null=19, n_boot=19) for i in range(3)}
    findings = wb.Findings()
    findings.compare("Shared structure", noise, noise["layer 0"].evidence[0].statistic)
    assert "nowhere distinguishable from chance" in findings.sentences[0]


def test_findings_refuse_what_is_not_in_the_correction() -> None:
    history.forget()
    with pytest.raises(wb.WorkbenchError, match="correction"):
        wb.Findings().of(questions([1.0]), "s0")


def test_the_interval_of_a_difference_covers_it_and_is_no_wider_than_need_be() -> None:
    from workbench.evidence.findings import difference

    rng = np.random.default_rng(0)

    def estimate(truth: float, error: float) -> Evidence:
        value = truth + error * rng.standard_normal()
        half = 1.96 * error
        return Evidence(question="?", statistic="s", value=value, n=9, interval=(value - half, value + half))

    found = [difference(estimate(2.0, 0.3), estimate(1.5, 0.4)) for _ in range(2000)]
    covered = np.mean([e.interval is not None and e.interval[0] <= 0.5 <= e.interval[1] for e in found])
    assert 0.935 < covered < 0.965


def test_two_sets_of_results_are_contrasted_in_one_chart_and_one_finding() -> None:
    history.forget()

    def asked(scale: float) -> dict[str, Estimate]:
        clouds = {f"layer {i}": wb.circle(n=80, noise=scale, dimensions=4, random_state=i) for i in (1, 2)}
        return {n: wb.pca(c, n_null=19, n_boot=50, whiten=scale > 1) for n, c in clouds.items()}

    sharp, blurred = asked(0.01), asked(5.0)
    statistic = sharp["layer 1"].evidence[0].statistic
    chart = wb.side_by_side({"sharp": sharp, "blurred": blurred}, statistic, x_title="layer")
    assert chart.names == ("sharp", "blurred")
    assert chart.y.shape == chart.low.shape == chart.null_high.shape == (2, 2)
    found = wb.Findings()
    found.contrast("Sharp is flatter", sharp, blurred, statistic, meaning="As it was made.")
    assert found.sentences[0].startswith("Sharp is flatter at all 2 of them, most at layer")
    assert "a difference of" in found.sentences[0]
    assert found.statements[0].meaning == "As it was made."
