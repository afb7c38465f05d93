"""Series whose attractor is known unfold into it; the control tells dynamics from coloured noise."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.stats import binom

import workbench as wb
from workbench.analyses.topology.takens import prediction_errors
from workbench.core.errors import DataError, MissingError

NO_CONTROL = {"n_null": 0}


def sine(steps: int = 300, period: float = 23.7, noise: float = 0.03) -> wb.TimeSeries:
    rng = np.random.default_rng(0)
    return wb.TimeSeries(np.sin(2 * np.pi * np.arange(steps) / period) + noise * rng.standard_normal(steps))


def logistic(steps: int) -> np.ndarray:
    x = np.empty(steps)
    x[0] = 0.3
    for t in range(1, steps):
        x[t] = 3.9 * x[t - 1] * (1 - x[t - 1])
    return x


def autoregressive(seed: int, steps: int = 100) -> np.ndarray:
    rng = np.random.default_rng([seed, 11])
    x = np.zeros(steps + 100)
    for t in range(2, len(x)):
        x[t] = 1.2 * x[t - 1] - 0.5 * x[t - 2] + rng.standard_normal()
    return x[100:]


def test_known_answer_sine_becomes_a_circle() -> None:
    cloud = wb.takens(sine(), dimension=2, **NO_CONTROL)
    bars = wb.persistence(cloud.values, max_points=100, **NO_CONTROL).bars(1)
    lengths = bars[:, 1] - bars[:, 0]
    assert lengths[0] > 5 * lengths[1]
    quarter = wb.takens(sine(), time_delay=6, dimension=2, **NO_CONTROL).values
    assert np.allclose(np.linalg.norm(quarter, axis=1), 1, atol=0.2)


def test_known_answer_logistic_map_is_determined_by_its_past() -> None:
    result = wb.takens(wb.TimeSeries(logistic(300)), time_delay=1, dimension=2, n_null=19)
    (evidence,) = result.evidence
    assert evidence.p_value == pytest.approx(1 / 20)
    assert evidence.value < 0.1
    assert min(evidence.null_values) > 0.5
    assert evidence.null_name == "linear_process"
    older, newer = result.values.T
    assert np.allclose(newer, 3.9 * older * (1 - older), atol=1e-5)


def test_known_answer_noise_is_not_predictable() -> None:
    noise = wb.TimeSeries(np.random.default_rng(1).standard_normal(300))
    (evidence,) = wb.takens(noise, time_delay=1, dimension=2, n_null=19).evidence
    # five futures averaged: variance 1 + 1/5; a line says nothing either
    assert evidence.value == pytest.approx(np.sqrt(1 + 1 / 5), abs=0.12)
    assert evidence.p_value > 0.1


def test_peer_giotto_tda_searches_and_embeds_the_same() -> None:
    from gtda.time_series import SingleTakensEmbedding

    x = sine(500).values[:, 0]
    for stride in (1, 3):
        peer = SingleTakensEmbedding("fixed", time_delay=4, dimension=3, stride=stride)
        ours = wb.takens(wb.TimeSeries(x), time_delay=4, dimension=3, stride=stride, **NO_CONTROL)
        assert np.allclose(ours.values, peer.fit_transform(x), atol=1e-6)
    search = SingleTakensEmbedding("search", time_delay=8, dimension=4)
    found = wb.takens(wb.TimeSeries(x), max_time_delay=8, max_dimension=4, **NO_CONTROL)
    assert np.allclose(found.values, search.fit_transform(x), atol=1e-6)


def test_ids_are_those_of_the_last_step() -> None:
    whole = wb.TimeSeries(np.arange(200.0) + np.random.default_rng(2).uniform(-0.2, 0.2, 200))
    series = whole.select(whole.ids[20:])
    result = wb.takens(series, time_delay=2, dimension=3, stride=4, **NO_CONTROL)
    assert result.ids[-1] == 199
    assert np.allclose(result.values[:, -1], whole.values[result.ids, 0])
    assert np.allclose(result.values[:, 0], whole.values[result.ids - 4, 0])
    assert result.axes == ("t - 4", "t - 2", "t")


def test_channels_stand_side_by_side() -> None:
    x = np.column_stack([sine(200).values[:, 0], logistic(200)])
    both = wb.takens(wb.TimeSeries(x), time_delay=3, dimension=2, **NO_CONTROL)
    each = [wb.takens(wb.TimeSeries(c), time_delay=3, dimension=2, **NO_CONTROL).values for c in x.T]
    assert np.array_equal(both.values, np.concatenate(each, axis=1))
    assert both.axes == ("channel 0, t - 3", "channel 0, t", "channel 1, t - 3", "channel 1, t")


def test_a_prediction_sees_no_overlapping_step() -> None:
    """A slow walk is predicted by its own neighbours in time, unless these are left out."""
    steps = np.arange(100.0)[:, None]
    near, line = prediction_errors(steps, delay=2, dimension=2)
    assert near > 1e-4 and line < 1e-20


def test_what_may_be_a_random_walk_or_has_a_trend_is_not_tested() -> None:
    rng = np.random.default_rng(8)
    walk = np.cumsum(rng.standard_normal(300))
    for x in (walk, 3 * np.linspace(0, 1, 300) + autoregressive(1, 300) / 3):
        (evidence,) = wb.takens(wb.TimeSeries(x), time_delay=1, dimension=2).evidence
        assert "random walk" in evidence.untested and evidence.p_value is None and evidence.value > 0
    (steps,) = wb.takens(wb.TimeSeries(np.diff(walk)), time_delay=1, dimension=2).evidence
    assert steps.p_value > 0.05


def test_a_series_without_noise_that_a_line_predicts_exactly_is_not_tested() -> None:
    t = np.arange(600)
    for x, how in (
        (np.sin(t / 7), {}),
        (np.sin(t / 7) + np.sin(t / 11.3), {"time_delay": 1, "dimension": 5}),
    ):
        (evidence,) = wb.takens(wb.TimeSeries(x), n_null=19, **how).evidence
        assert evidence.p_value is None and "to rounding" in evidence.untested
    noisy = np.sin(t / 7) + 1e-3 * np.random.default_rng(0).standard_normal(600)
    (evidence,) = wb.takens(wb.TimeSeries(noisy), n_null=19).evidence
    assert evidence.p_value > 0.05


def test_swings_that_come_and_go_are_linear() -> None:
    """An oscillation of few swings: runs of a fitted autoregression vary as it does."""
    rng = np.random.default_rng(9)
    x = np.zeros(400)
    for t in range(2, 400):
        x[t] = 1.9 * np.cos(np.pi / 6) * x[t - 1] - 0.95**2 * x[t - 2] + rng.standard_normal()
    (evidence,) = wb.takens(wb.TimeSeries(x[100:])).evidence
    assert evidence.p_value > 0.05


@pytest.mark.slow
def test_claims_nothing_of_linear_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")

    def p_value(seed: int) -> float:
        series = wb.TimeSeries(autoregressive(seed))
        return (
            wb.takens(series, time_delay=1, dimension=2, n_null=19, random_state=seed).evidence[0].p_value
            or 1.0  # not tested
        )

    assert sum(p_value(seed) <= 0.05 for seed in range(200)) <= binom.ppf(0.9995, 200, 0.05)


@pytest.mark.slow
def test_claims_nothing_of_linear_noise_seen_through_a_monotone_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")

    def p_value(seed: int) -> float:
        series = wb.TimeSeries(np.exp(autoregressive(seed) / 2))
        return wb.takens(series, n_null=19, max_time_delay=3, random_state=seed).evidence[0].p_value or 1.0

    assert sum(p_value(seed) <= 0.05 for seed in range(100)) <= binom.ppf(0.9995, 100, 0.05)


def test_a_series_that_comes_to_rest_answers() -> None:
    x = np.concatenate([logistic(300), np.zeros(900)])
    (evidence,) = wb.takens(wb.TimeSeries(x), time_delay=1, dimension=2, n_null=5).evidence
    assert evidence.value == 1
    assert "stands still" in evidence.untested


def test_refuses_what_cannot_be_unfolded() -> None:
    with pytest.raises(DataError, match="constant"):
        wb.takens(wb.TimeSeries(np.column_stack([logistic(100), np.ones(100)])))
    with pytest.raises(DataError, match="constant"):
        wb.takens(wb.TimeSeries(np.ones(1)))
    with pytest.raises(DataError, match="max_dimension=5"):
        wb.takens(wb.TimeSeries(logistic(12)))
    with pytest.raises(DataError, match="give more steps"):
        wb.takens(wb.TimeSeries(logistic(100)), time_delay=20, dimension=3)
    with pytest.raises(DataError, match="Lower one of them"):
        wb.takens(wb.TimeSeries(logistic(2000)), time_delay=100, dimension=90)


def test_without_giotto_tda_the_refusal_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gtda.time_series", None)
    with pytest.raises(MissingError, match="--no-deps"):
        wb.takens(sine())
