"""Distances of two series that are known, those that scipy computes, and two runs of one process."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

import workbench as wb
from workbench.calibrating.worlds.two_series import SHORT, SWING, linear, shuffled, through_exp
from workbench.core.errors import DataError
from workbench.core.result import Result


def asked(result: Result) -> dict[str, wb.Evidence]:
    return {e.id: e for e in result.evidence}


def two(first, second, seed: int = 0, steps: int = 900) -> tuple[wb.TimeSeries, wb.TimeSeries]:
    rng = np.random.default_rng(seed)
    return wb.TimeSeries(first(rng, steps), name="real"), wb.TimeSeries(second(rng, steps // 3), name="made")


def test_known_answer_a_shift_a_scale_and_an_order() -> None:
    rng = np.random.default_rng(0)
    real = wb.TimeSeries(linear(SHORT)(rng, 900))
    held = real.values[600:]
    same = asked(wb.likeness(real, wb.TimeSeries(held)))
    assert all(e.value == 0 and e.interval[0] == 0 for e in same.values())
    far = asked(wb.likeness(real, wb.TimeSeries(held + 100)))
    assert far["marginal"].value == 1  # no value of the one reaches any of the other
    assert far["autocorrelation"].value < 0.5 and far["marginal"].p_value < 0.02
    turned = asked(wb.likeness(real, wb.TimeSeries(-held)))
    assert turned["autocorrelation"].value == pytest.approx(0, abs=1e-12)


def test_known_answer_what_differs_is_what_is_found() -> None:
    swing, short = linear(SWING), linear(SHORT)
    order = asked(wb.likeness(*two(swing, shuffled(swing))))
    assert order["autocorrelation"].p_value <= 0.02 and order["marginal"].p_value > 0.05
    values = asked(wb.likeness(*two(short, through_exp(short), 1, 1800)))
    assert values["marginal"].p_value <= 0.02 and values["tails"].p_value <= 0.05
    coupled = asked(wb.likeness(*two(linear(SHORT, 3, 0.5), linear(SHORT, 3))))
    # three channels' noise has half in common, and so have they; those that aren't coupled have none
    assert coupled["between_channels"].value == pytest.approx(0.5, abs=0.12)
    assert coupled["between_channels"].p_value <= 0.02


def test_peer_scipy_and_numpy() -> None:
    """On one length, with the stretches end to end: Kolmogorov and Smirnov's distance, and correlations."""
    real, made = two(linear(SHORT, 2, 0.3), through_exp(linear(SHORT, 2)))
    held = real.values[600:]
    found = asked(wb.likeness(real, made, lags=8, n_null=0))
    peer = [ks_2samp(a, b).statistic for a, b in zip(held.T, made.values.T, strict=True)]
    assert found["marginal"].value == pytest.approx(np.mean(peer), abs=1e-9)
    ends = []
    for a, b in zip(held.T, made.values.T, strict=True):
        spread = np.concatenate([a, b]).std()
        a, b = np.sort(a), np.sort(b)
        ends += [abs(a[:15].mean() - b[:15].mean()) / spread, abs(a[-15:].mean() - b[-15:].mean()) / spread]
    assert found["tails"].value == pytest.approx(np.mean(ends), abs=1e-6)
    sides = [np.corrcoef(x.T)[0, 1] for x in (held, made.values)]
    assert found["between_channels"].value == pytest.approx(
        abs(sides[0] - sides[1]), abs=0.05
    )  # one mean of both
    rho = [
        np.mean([[np.corrcoef(c[k:], c[:-k])[0, 1] for c in x.T] for k in range(1, 9)], axis=1)
        for x in (held, made.values)
    ]
    assert found["autocorrelation"].value == pytest.approx(
        np.abs(rho[0] - rho[1]).mean(), abs=0.08
    )  # in stretches


def test_two_runs_of_one_process_are_alike() -> None:
    """How often they aren't is in the ledger; here that one isn't, and the number is small."""
    found = asked(wb.likeness(*two(linear(SWING), linear(SWING))))
    assert all(e.p_value > 0.05 for e in found.values())
    assert found["marginal"].null_name == "same_process" and found["marginal"].conservative


def test_a_series_that_remembers_for_long_is_not_tested() -> None:
    walk = lambda rng, steps: np.cumsum(rng.standard_normal((steps, 1)), axis=0)  # noqa: E731
    for e in wb.likeness(*two(walk, walk)).evidence:
        assert e.p_value is None and "too short" in e.untested and np.isfinite(e.value)


def test_refuses_what_can_not_be_compared() -> None:
    x = wb.TimeSeries(linear(SHORT, 2)(np.random.default_rng(0), 300), channels=("a", "b"), name="mine")
    with pytest.raises(DataError, match=r"mine has the channels a, b and .* 0, 1"):
        wb.likeness(x, wb.TimeSeries(x.values))
    with pytest.raises(DataError, match="5 steps; 12 or more"):
        wb.likeness(x, x.select(x.ids[:5]))
    with pytest.raises(DataError, match="width=32 takes 2 stretches of 64 steps"):
        wb.likeness(x, x, lags=32)
    still = wb.TimeSeries(np.column_stack([x.values[:, 0], np.r_[np.zeros(250), np.ones(50)]]))
    with pytest.raises(DataError, match=r"Channel '1' .* is constant before"):
        wb.likeness(still, still)
