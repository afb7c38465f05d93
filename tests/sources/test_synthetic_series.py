"""A series from a series: what each method keeps of it, what it was made from, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import workbench as wb
from workbench.calibrating.worlds.two_series import SWING, linear, through_exp
from workbench.core.errors import DataError, MissingError
from workbench.numerics.synthesis import makers
from workbench.numerics.synthesis.linear import copula
from workbench.numerics.synthesis.resampled import analogs, stationary_bootstrap


def swing(channels: int = 1, steps: int = 400) -> wb.TimeSeries:
    x = through_exp(linear(SWING, channels, 0.5))(np.random.default_rng(0), steps)
    return wb.TimeSeries(x, name="mine", channels=[f"c{i}" for i in range(channels)], interval=0.5)


def correlation(x: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(x[lag:, 0], x[:-lag, 0])[0, 1])


@pytest.mark.parametrize(
    "maker", [pytest.param(m, marks=[pytest.mark.slow] * (m == "gru")) for m in makers.MAKERS]
)
def test_known_answer_the_swing_is_kept_and_the_channels_with_it(maker: str) -> None:
    if maker == "var":
        pytest.importorskip("statsmodels")
    real = swing(2)
    made = wb.synthetic_series(real, maker=maker, steps=1000, random_state=1)
    assert made.values.shape == (1000, 2) and made.channels == ("c0", "c1") and made.interval == 0.5
    assert made.name == f"mine · made by {maker}"
    assert made.truth == {"maker": maker, "learnt_from": 400, "settings": {}}
    assert correlation(made.values, 6) < -0.2 < 0.4 < correlation(made.values, 1)
    assert np.corrcoef(made.values.T)[0, 1] == pytest.approx(np.corrcoef(real.values.T)[0, 1], abs=0.2)
    assert np.abs(made.values.mean(axis=0) - real.values.mean(axis=0)).max() < 0.3
    assert made.run.method == "synthetic_series" and made.run.inputs[0].name == "series"


def test_what_is_held_out_takes_no_part() -> None:
    real = swing()
    other = np.array(real.values)
    other[300:] = 7 + np.arange(100)[:, None]
    a, b = (
        wb.synthetic_series(s, held_out=0.25, maker="stationary_bootstrap")
        for s in (real, wb.TimeSeries(other))
    )
    assert np.array_equal(a.values, b.values) and a.truth["learnt_from"] == 300


def test_settings_are_chosen_among_those_that_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bootstrap of single steps has no order to learn from, so that the longer stretches are taken."""
    tried = ({"block": 1.0}, {"block": 40.0}, {"block": 1.5})
    monkeypatch.setitem(makers.TRIED, "stationary_bootstrap", tried)
    made = wb.synthetic_series(swing(), maker="stationary_bootstrap", tuned=True)
    assert made.truth["settings"] == {"block": 40.0}


def test_peer_a_bootstrap_has_stretches_of_the_length_asked_for_and_analogs_follow_what_followed() -> None:
    x = np.arange(500.0)[:, None]
    made = stationary_bootstrap(x, 20_000, 0, block=10.0)
    assert np.mean(np.diff(made[:, 0]) % 500 == 1) == pytest.approx(0.9, abs=0.01)
    turn = np.exp(2j * np.pi * np.arange(120) / 12)
    circle = np.stack([turn.real, turn.imag], axis=1)
    made = analogs(circle, 100, 0, lags=1, nearest=1) @ np.array([1, 1j])
    assert np.allclose(made[1:] / made[:-1], turn[1])


def test_peer_the_copula_of_a_gaussian_autoregression_is_that_autoregression() -> None:
    x = linear(SWING)(np.random.default_rng(0), 4000)
    made = copula(x, 8000, 0, lags=2)
    past = np.column_stack([made[1:-1], made[:-2]])
    assert np.linalg.lstsq(past, made[2:], rcond=None)[0][:, 0] == pytest.approx(np.array(SWING), abs=0.05)


def test_peer_var_of_statsmodels_keeps_the_coefficients() -> None:
    pytest.importorskip("statsmodels")
    from statsmodels.tsa.api import VAR

    x = linear(SWING, 2, 0.5)(np.random.default_rng(0), 2000)
    made = wb.synthetic_series(wb.TimeSeries(x), maker="var", steps=4000).values
    fitted = [VAR(np.asarray(v, float)).fit(2).coefs for v in (x, made)]
    assert np.abs(fitted[0] - fitted[1]).max() < 0.1


def test_without_statsmodels_the_refusal_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.tsa.ar_model", None)
    with pytest.raises(MissingError, match=r"workbench\[synthetic\]"):
        wb.synthetic_series(swing(), maker="var")


def test_refuses_what_can_not_be_learnt() -> None:
    x = swing()
    with pytest.raises(DataError, match=r"mine .* has 49 steps"):
        wb.synthetic_series(x.select(x.ids[:49]))
    with pytest.raises(DataError, match="of which 40 steps are learnt from,"):
        wb.synthetic_series(x, held_out=0.9)
    with pytest.raises(DataError, match="constant"):
        wb.synthetic_series(wb.TimeSeries(np.ones(100)))
