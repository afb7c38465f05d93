"""A series learnt by a reservoir: what its parts are by definition, what it refuses, and that its worlds are by their seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.linear_model import Ridge

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa import reservoir
from workbench.numerics.medusa.reservoir import Settings, fit, leverage, scored, unscored

SMALL = Settings(units=40)


def swinging(steps: int = 300, channels: int = 1) -> np.ndarray:
    """Noise that swings every 12 steps or so, seen through the exponential function."""
    rng, turn = np.random.default_rng(0), 2 * np.pi / 12
    x = rng.standard_normal((steps + 200, channels))
    for t in range(2, len(x)):
        x[t] += 2 * 0.95 * np.cos(turn) * x[t - 1] - 0.95**2 * x[t - 2]
    return np.exp(x[200:] / x.std())


def correlation(x: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(x[lag:, 0], x[:-lag, 0])[0, 1])


def test_a_free_run_has_the_values_and_the_swing_of_what_was_learnt() -> None:
    x = swinging(600)
    made = fit(x, seed=1).run(600, seed=2)
    assert made.shape == (600, 1) and ks_2samp(made[:, 0], x[:, 0], method="asymp").statistic <= 0.01
    for lag in (1, 3, 6, 12):
        assert abs(correlation(made, lag) - correlation(x, lag)) < 0.15
    assert correlation(x, 6) < -0.25  # there is something to find


def test_residuals_are_those_of_a_fit_without_their_step() -> None:
    """The leave-one-out identity against scikit-learn's ridge regression, fitted again without each of three steps."""
    model = fit(swinging(120), SMALL)
    past, z = model.features[:-1], scored(model.series, True)
    future = z[-len(past) :]
    for i in (0, 31, len(past) - 1):
        rest = np.delete(np.arange(len(past)), i)
        peer = Ridge(alpha=model.penalty, fit_intercept=True, solver="cholesky", tol=1e-12)
        peer.fit(past[rest, 1:], future[rest])
        assert model.residuals[i] == pytest.approx(future[i] - peer.predict(past[i : i + 1, 1:])[0], abs=1e-4)
    assert 0 < leverage(past, model.penalty).max() < 1


def test_the_reservoir_forgets_and_has_the_radius_asked_for() -> None:
    model = fit(swinging(), replace(SMALL, radius=0.7))
    assert np.abs(np.linalg.eigvals(model.body.recurrent)).max() == pytest.approx(0.7, abs=1e-5)
    z = scored(swinging(), True)
    changed = z.copy()
    changed[:5] += 3
    states = [model.body.driven(reservoir.last_scores(s, 2)) for s in (z, changed)]
    assert np.abs(states[0][-1] - states[1][-1]).max() < 1e-6


def test_one_seed_one_world_and_other_seeds_others() -> None:
    model = fit(swinging(), SMALL, seed=3)
    assert np.array_equal(model.run(100, seed=1), fit(swinging(), SMALL, seed=3).run(100, seed=1))
    runs = [model.run(100, seed=s, world=w) for s, w in ((1, 0), (2, 0), (1, 1))]
    assert len({r.tobytes() for r in runs}) == 3
    noisy = fit(swinging(), replace(SMALL, state_noise=0.1), seed=3).run(100, seed=1)
    assert not np.array_equal(noisy, runs[0])


def test_scores_and_ranks_are_each_others_inverse_and_equal_values_score_alike() -> None:
    x = swinging(200, 2).astype(np.float32)
    np.testing.assert_allclose(unscored(scored(x, True), x, True), x, rtol=1e-6)
    np.testing.assert_allclose(unscored(scored(x, False), x, False), x, rtol=1e-5)
    assert len(set(scored(np.array([[1.0], [2.0], [2.0], [3.0]]), True)[1:3, 0])) == 1


def test_a_series_that_runs_away_is_held() -> None:
    walk = (
        np.cumsum(np.random.default_rng(0).standard_normal((200, 1)), axis=0)
        + np.linspace(0, 50, 200)[:, None]
    )
    made = fit(walk, Settings(units=20, scores=False)).run(2000)
    assert np.isfinite(made).all() and np.ptp(made) < 2 * np.ptp(walk)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[:49], "49 steps; from 50 to 200,000"),
        (lambda x: np.where(np.arange(len(x))[:, None] == 7, np.nan, x), "1 numbers that aren't finite"),
        (lambda x: np.concatenate([x, np.full_like(x, 4.0)], axis=1), "Channel 1 .* is constant"),
        (lambda x: 1e12 + 1e-3 * x, "constant in single precision"),
        (lambda x: 1e300 * x, "other units"),
        (lambda x: np.tile(x, (1, 257)), "257 channels; from 1 to 256"),
    ],
)
def test_a_series_that_can_not_be_learnt_is_refused(change, said) -> None:
    with pytest.raises(DataError, match=said):
        fit(change(swinging()), SMALL)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("radius", 1.0),
        ("radius", float("nan")),
        ("leak", 0.0),
        ("units", 0),
        ("lags", 0),
        ("share", 0.0),
        ("state_noise", -1.0),
    ],
)
def test_settings_that_are_not_legal_are_refused_with_the_range(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=f"{name}=.* is not legal: .*(at least|above|from)"):
        replace(SMALL, **{name: value})


def test_a_run_of_no_legal_length_is_refused() -> None:
    with pytest.raises(ParameterError, match="from 50 to 200,000"):
        fit(swinging(), SMALL).run(49)
