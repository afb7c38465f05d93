"""Laws that were planted, and descents whose law is known in closed form."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core.errors import DataError, MissingError
from workbench.numerics.averages import averaged
from workbench.numerics.descent_laws import (
    LAWS,
    correlated,
    fit_law,
    fit_laws,
    fit_many,
    settled,
    simplest,
    slower,
    whitened,
)
from workbench.subjects.descents.trajectory import Descent, Trajectory

OWN = {"time scale": 60.0, "exponent": 0.5, "stretch": 0.6}


def planted(
    name: str, seed: int, *, n: int = 300, phi: float = 0.5, noise: float = 0.05, log: bool = True
) -> np.ndarray:
    law = LAWS[name]
    shape = law.shape(np.arange(float(n)), *(OWN[p] for p in law.own))
    floor = 0.1 if law.floor else 0.0
    e = np.random.default_rng(seed).standard_normal(n) * noise * np.sqrt(1 - phi**2)
    curve = floor + (2 - floor) * shape
    return curve * np.exp(correlated(e, phi)) if log else curve + correlated(e, phi)


def descent(loss: np.ndarray, **columns: np.ndarray) -> Trajectory:
    return Trajectory(
        pd.DataFrame({"loss": loss, **columns}, index=np.arange(len(loss))), name="planted descent"
    )


@pytest.mark.parametrize("name", [n for n in LAWS if n != "constant"])
def test_known_answer_planted_laws_are_chosen(name: str) -> None:
    found = [
        min(fit_laws(np.arange(300.0), planted(name, seed), log=True), key=lambda f: f.bic)
        for seed in range(4)
    ]
    assert sum(f.law.name == name for f in found) >= 3, [f.law.name for f in found]
    truth = {"start": 2.0, "level": 2.0, "floor": 0.1, **OWN}
    for f in found:
        if f.law.name == name:
            for value, parameter in zip(f.parameters, f.law.parameters, strict=True):
                assert abs(value / truth[parameter] - 1) < 0.4, (name, parameter, value)


def test_known_answer_linear_network() -> None:
    # one matrix under gradient descent: every mode's error shrinks by 1 - lr a step, so the loss by its square
    found = wb.descent_law(wb.linear_descent(depth=1, steps=200, learning_rate=0.02), n_null=3, n_boot=10)
    scale = found.evidence_of("time_scale", "exponential").value
    assert scale == pytest.approx(-1 / (2 * np.log(0.98)), rel=1e-4)
    # two matrices: once the others are learned the slowest mode's error shrinks as exp(-2 s t), the loss as its square
    late = wb.linear_descent(modes=(1.0,), initial=0.5, steps=400, learning_rate=0.01).select("step >= 250")
    found = wb.descent_law(late, n_null=0, n_boot=0)
    scale = next(e.value for e in found.evidence if e.id == "time_scale")
    assert scale == pytest.approx(1 / (4 * 0.01), rel=0.02)


@pytest.mark.slow
def test_intervals_cover_the_planted_constants() -> None:
    hits = np.zeros(3)
    for seed in range(40):
        view = descent(planted("exponential with floor", seed, n=200)).view(Descent)
        found = wb.descent_law.function(view, n_null=0, n_boot=40, random_state=seed)
        if found.names[1] != "exponential with floor":
            hits += 1  # a choice that fails is counted by its own test
            continue
        for j, (e, truth) in enumerate(zip(found.evidence[len(LAWS) :], (2.0, 0.1, 60.0), strict=True)):
            hits[j] += e.interval[0] <= truth <= e.interval[1]
    assert (hits >= 32).all(), hits  # 38 expected; fewer with probability 0.001 at 95 % coverage


def test_peer_is_scipy_curve_fit() -> None:
    from scipy.optimize import curve_fit

    t = np.arange(300.0)
    y = planted("exponential with floor", 0, phi=0.0, log=False)
    ours = fit_law("exponential with floor", t, y, log=False, rounds=1)  # one round is ordinary least squares
    peer, _ = curve_fit(lambda t, a, c, s: c + (a - c) * np.exp(-t / s), t, y, p0=(2, 0.1, 50))
    np.testing.assert_allclose(ours.parameters, peer, rtol=1e-4)


@pytest.mark.slow
def test_a_curve_that_only_wavers_is_seldom_given_a_law() -> None:
    def p_value(seed: int) -> float:
        loss = planted("constant", seed, n=60, phi=0.6)
        found = wb.descent_law.function(descent(loss).view(Descent), n_null=9, n_boot=0, random_state=seed)
        return found.evidence_of("misfit", "constant").p_value

    assert_calibrated(p_value, runs=20, level=0.1)


def test_laws_that_cannot_be_told_apart_are_all_named() -> None:
    """A short stretch of a power law with a floor is near other laws; a whole exponential with its floor is near none."""
    loss = planted("power law with floor", 0, n=40, noise=0.06)
    short = wb.descent_law(descent(loss), n_null=39, n_boot=0)
    left = short.evidence_of("laws_left")
    assert left.value >= 2
    assert "any of" in left.label
    whole = wb.descent_law(descent(planted("exponential with floor", 0, noise=0.02)), n_null=39, n_boot=0)
    assert whole.evidence_of("laws_left").label == "laws that are left (exponential with floor)"
    assert whole.evidence_of("misfit", "exponential").p_value == 0.025
    assert simplest(("exponential", "exponential with floor", "power law with floor")) == (
        "exponential",
        "power law with floor",
    )


def test_a_restart_is_seen_at_its_step_and_nowhere_else() -> None:
    first, second = planted("exponential", 1, n=150), planted("exponential", 2, n=150)
    one, here = wb.descent_law(
        descent(np.append(first, second)), split_at=150, n_null=19, n_boot=20
    ).evidence[:2]
    assert one.p_value == here.p_value == 0.05
    _, elsewhere = wb.descent_law(
        descent(np.append(first, second)), split_at=75, n_null=19, n_boot=0
    ).evidence[:2]
    assert elsewhere.p_value > 0.1
    smooth = wb.descent_law(
        descent(planted("exponential", 3, n=300)), split_at=150, n_null=19, n_boot=0
    ).evidence[0]
    assert smooth.p_value > 0.05


def test_noise_that_is_not_of_its_kind_is_not_tested() -> None:
    """Independent noise on a slow one: curves redrawn as a first-order autoregression waver less slowly than that."""
    rng = np.random.default_rng(0)
    slow = correlated(rng.standard_normal(240) * np.sqrt(1 - 0.95**2), 0.95)
    loss = planted("exponential", 0, n=240, noise=0) * np.exp(0.05 * (slow + rng.standard_normal(240)))
    found = wb.descent_law(descent(loss), n_null=39, n_boot=40)
    asked = [e for e in found.evidence if e.id == "misfit"]
    assert len(asked) == len(LAWS)
    assert all(e.p_value is None and "more slowly" in e.untested for e in asked)
    assert all(e.interval is None for e in found.evidence) and "No law is ruled out" in found.caveat
    assert not any(slower(np.random.default_rng(s).standard_normal(240)) for s in range(20))


def test_constants_of_a_law_that_is_one_of_several_have_no_interval() -> None:
    loss = planted("power law with floor", 0, n=40, noise=0.06)
    found = wb.descent_law(descent(loss), n_null=39, n_boot=40)
    assert found.evidence_of("laws_left").value >= 2
    assert all(e.interval is None for e in found.evidence) and "have no interval" in found.caveat


def test_correlation_is_settled_at_what_it_is() -> None:
    """A law with three constants takes part of slow noise for its own; over many curves that is made up for."""
    t = np.arange(240.0)
    found, mended = [], []
    for seed in range(20):
        fit = fit_law(
            "exponential with floor", t, planted("exponential with floor", seed, n=240, phi=0.9), log=True
        )
        found.append(fit.correlation)
        mended.append(settled(fit, t, np.random.default_rng(seed)).correlation)
    assert np.mean(found) < 0.885
    assert abs(np.mean(mended) - 0.9) < abs(np.mean(found) - 0.9) / 2


def test_many_curves_are_fitted_as_each_by_itself() -> None:
    t = np.arange(100.0)
    curves = np.array([planted("power law with floor", s, n=100) for s in range(5)])
    together = fit_many("power law with floor", t, curves, log=True)
    for i, y in enumerate(curves):
        alone = fit_law("power law with floor", t, y, log=True)
        assert together.log_likelihoods[i] == pytest.approx(alone.log_likelihood, abs=1e-6)
        np.testing.assert_allclose(together.curves[i], alone.curve, rtol=1e-4)


def test_whitening_is_undone_and_averages_keep_the_mean() -> None:
    e = np.random.default_rng(0).standard_normal(50)
    np.testing.assert_allclose(whitened(correlated(e, 0.8), 0.8), e)
    x, y, k = averaged(np.arange(25), e[:25], 10, log=False)
    assert k == 3 and len(x) == 9
    np.testing.assert_allclose([x[0], y[0], x[-1], y[-1]], [1, e[:3].mean(), 24, e[24]])


def test_what_has_no_law_is_refused() -> None:
    loss = planted("exponential", 0, n=60)
    with pytest.raises(DataError, match="scale='linear'"):
        wb.descent_law(descent(loss - 1))
    with pytest.raises(DataError, match="at every step"):
        wb.descent_law(descent(np.ones(60)))
    with pytest.raises(DataError, match="16 or more"):
        wb.descent_law(descent(loss[:9]))
    with pytest.raises(DataError, match="leaves 4 points before"):
        wb.descent_law(descent(loss), split_at=4)
    with pytest.raises(MissingError, match="accuracy"):
        wb.descent_law(descent(loss), column="accuracy")
    rising = wb.descent_law(
        descent(loss, accuracy=1 - loss / 3), column="accuracy", scale="linear", n_null=3, n_boot=3
    )
    assert rising.names[0] == "accuracy"


def test_figure_has_both_laws_and_a_logarithmic_axis() -> None:
    loss = np.append(planted("exponential", 1, n=60), planted("exponential", 2, n=60))
    drawn = json.loads(wb.descent_law(descent(loss), split_at=60, n_null=3, n_boot=3).figure().to_json())
    assert drawn["layout"]["yaxis"]["type"] == "log"
    assert any("then" in t.get("name", "") for t in drawn["data"])
