"""Real data are as good as real data, their steps in random order are not; errors are those of scikit-learn's forecasters."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV

import workbench as wb
from workbench.calibrating.worlds.two_series import SWING, linear, shuffled
from workbench.core.errors import DataError

QUICK = {"n_null": 19, "n_boot": 5}


def series(draw, steps: int, seed: int) -> wb.TimeSeries:
    return wb.TimeSeries(draw(np.random.default_rng(seed), steps), name="swing")


def test_known_answer_another_run_is_as_good_and_one_in_random_order_is_not() -> None:
    real = series(linear(SWING), 900, 0)
    same = wb.usefulness(real, series(linear(SWING), 600, 1), **QUICK).evidence
    assert [(e.id, e.of) for e in same] == [
        (kind, f"{k} ahead") for kind in ("boosted", "linear") for k in ("1 step", "4 steps")
    ]
    for e in same:
        assert e.value == pytest.approx(1, abs=0.1) and e.interval[0] < 1 < e.interval[1]
        assert e.p_value == pytest.approx(1 / 20) and e.null_name == "no_order" and e.alternative == "less"
    disordered = wb.usefulness(real, series(shuffled(linear(SWING)), 600, 1), **QUICK).evidence
    assert all(e.p_value > 0.05 for e in disordered)
    # without order a forecast is the mean: it errs by the spread, the best linear one by the noise's part of it
    (far,) = (e for e in disordered if (e.id, e.of) == ("linear", "1 step ahead"))
    x = real.values
    noise = x[2:, 0] - SWING[0] * x[1:-1, 0] - SWING[1] * x[:-2, 0]
    assert far.value == pytest.approx(x[600:].std() / noise[598:].std(), rel=0.1)


def test_known_answer_the_known_part_itself_is_one() -> None:
    real = series(linear(SWING), 600, 0)
    found = wb.usefulness(real, wb.TimeSeries(real.values[:400]), n_null=0, n_boot=0).evidence
    assert all(e.value == 1 and e.interval is None for e in found)


def test_peer_scikit_learn_trained_on_synthetic_tested_on_real() -> None:
    real, made = series(linear(SWING, 2), 600, 0), series(linear(SWING, 2), 300, 1)
    found = {
        (e.id, e.of): e.value for e in wb.usefulness(real, made, lags=3, ahead=2, n_null=0, n_boot=0).evidence
    }
    mean, spread = real.values[:400].mean(axis=0), real.values[:400].std(axis=0)
    known, held, synthetic = (
        (x - mean) / spread for x in (real.values[:400], real.values[400:], made.values)
    )

    def rows(x: np.ndarray, ahead: int) -> tuple[np.ndarray, np.ndarray]:
        past = np.array([x[t - 2 : t + 1].ravel() for t in range(2, len(x) - ahead)])
        return past, x[2 + ahead :]

    for ahead, of in ((1, "1 step ahead"), (2, "2 steps ahead")):
        past, future = rows(held, ahead)
        error = {}
        for name, part in (("real", known), ("synthetic", synthetic)):
            a, b = rows(part, ahead)
            line = RidgeCV(np.logspace(-3, 4, 15)).fit(a, b).predict(past)
            trees = np.stack(
                [
                    HistGradientBoostingRegressor(
                        max_iter=30,
                        learning_rate=0.2,
                        max_leaf_nodes=8,
                        min_samples_leaf=10,
                        early_stopping=False,
                    )
                    .fit(a, y)
                    .predict(past)
                    for y in b.T
                ],
                axis=1,
            )
            error[name] = [np.sqrt(np.square(forecast - future).mean()) for forecast in (line, trees)]
        ratio = np.divide(error["synthetic"], error["real"])
        assert (found["linear", of], found["boosted", of]) == pytest.approx(tuple(ratio), rel=1e-5)


def test_one_horizon_is_asked_once() -> None:
    real = series(linear(SWING), 300, 0)
    found = wb.usefulness(real, real, ahead=1, n_null=0, n_boot=0).evidence
    assert [e.name for e in found] == ["boosted@1 step ahead", "linear@1 step ahead"]


def test_refuses_too_few_steps_and_says_which() -> None:
    real = series(linear(SWING), 300, 0)
    with pytest.raises(
        DataError, match=r"lags=32 and ahead=60 take 111 steps of each part, and the shortest has 100"
    ):
        wb.usefulness(real, real, lags=32, ahead=60)
