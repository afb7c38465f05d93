"""Plateaus that were planted, and none where none was."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core.errors import DataError
from workbench.numerics.descent_laws import correlated
from workbench.numerics.joinpoints import Joints, design, fit_joined, noise_size
from workbench.numerics.slow_noise import cosines, family
from workbench.subjects.descents.trajectory import Descent, Trajectory

START, STOP = 120, 200


def descent(log_loss: np.ndarray) -> Trajectory:
    return Trajectory(
        pd.DataFrame({"loss": np.exp(log_loss)}, index=np.arange(len(log_loss))), name="planted"
    )


def noise(seed: int, n: int, phi: float, size: float = 0.05) -> np.ndarray:
    e = np.random.default_rng(seed).standard_normal(n) * size * np.sqrt(1 - phi**2)
    return correlated(e, phi)


def resting(n: int = 300) -> np.ndarray:
    """A fall of one per cent a step, with a rest from step 120 to 200."""
    t = np.arange(n)
    return 2 - 0.01 * np.where(t < START, t, np.maximum(START, t - (STOP - START)))


@pytest.mark.parametrize("phi", [0.0, 0.5])
def test_known_answer_a_planted_plateau_is_found_at_its_steps(phi: float) -> None:
    exact, near = 0, np.zeros(2)
    for seed in range(6):
        found = wb.plateaus.function(
            descent(resting() + noise(seed, 300, phi)).view(Descent),
            clock="step",
            n_null=19,
            n_boot=40,
            random_state=seed,
        )
        assert len(found.spans) == 1, (seed, found.spans)
        exact += bool(np.abs(found.spans[0] - [START, STOP]).max() <= 10)
        changes = [e for e in found.evidence if e.id == "step_of_change"]
        near += [abs(e.value - v) <= 10 for e, v in zip(changes, (START, STOP), strict=False)]
    assert exact >= 5
    assert (near >= 5).all(), near


@pytest.mark.slow
@pytest.mark.parametrize(("clock", "phi"), [("step", 0.0), ("auto", 0.6)])
def test_a_steady_descent_gives_an_alarm_at_the_stated_level(clock: str, phi: float) -> None:
    def p_value(seed: int) -> float:
        t = np.arange(120)
        steady = -0.01 * t if seed % 2 or clock == "step" else -0.5 * np.log1p(t)
        view = descent(steady + noise(seed, 120, phi, 0.1)).view(Descent)
        found = wb.plateaus.function(view, clock=clock, most=2, n_null=19, n_boot=0, random_state=seed)
        alarmed = found.evidence[0].p_value <= 0.05
        assert alarmed == any(e.id == "step_of_change" for e in found.evidence)
        assert alarmed or not len(found.spans)
        return found.evidence[0].p_value

    assert_calibrated(p_value, runs=60)


def test_known_answer_noise_of_two_sizes() -> None:
    # little noise at the start, ten times as much later: the early rest is found by counting the first for more
    t = np.arange(300)
    size = np.where(t < 150, 0.01, 0.1)
    y = -0.01 * np.maximum(0, t - 60) + size * np.random.default_rng(0).standard_normal(300)
    found = wb.plateaus(descent(y), clock="step", n_null=19, n_boot=40)
    assert found.spans[0] == pytest.approx([0, 60], abs=6)
    assert noise_size(y)[20] < noise_size(y)[280] / 5


def test_peer_is_an_exhaustive_search_by_numpy() -> None:
    y = resting(150)[:150] + noise(0, 150, 0.0)
    clock, models = np.arange(150) / 149, family(np.ones(150))
    joints = Joints(clock, models, np.empty(0, int), 10)
    waves = cosines(150)

    def left(knots: list[int]) -> float:  # in independent noise generalized least squares is the ordinary one
        x = waves @ design(clock, np.array(knots, int))
        return float(np.linalg.lstsq(x, waves @ y, rcond=None)[1][0])

    found = joints.gains((waves @ y)[:, None])
    places = [int(p) for p in joints.places]
    best = min(left([a, b]) for a in places for b in places if b - a >= 10)
    q = len(waves)
    assert found.one[0, 0] - found.none[0, 0] == pytest.approx(
        q / 2 * np.log(left([]) / min(left([p]) for p in places))
    )
    assert found.two[0, 0] - found.none[0, 0] == pytest.approx(q / 2 * np.log(left([]) / best))
    fit = fit_joined(clock, y, np.array([120]), models[:1])
    peer = np.linalg.lstsq(waves @ design(clock, np.array([120])), waves @ y, rcond=None)[0]
    np.testing.assert_allclose(fit.slopes, np.cumsum(peer))
    assert (y - fit.curve).mean() == pytest.approx(0, abs=1e-12)


def test_peer_is_the_density_of_scipy() -> None:
    from scipy.stats import multivariate_normal

    model = family(np.ones(60))[30]
    z = model.draw(3, np.random.default_rng(0))
    white = model.inverse @ z
    ours = -0.5 * np.square(white).sum(axis=0) - model.log_root - len(z) / 2 * np.log(2 * np.pi)
    np.testing.assert_allclose(
        ours, multivariate_normal(np.zeros(len(z)), model.root @ model.root.T).logpdf(z.T)
    )


def test_a_joint_beside_its_place_is_not_taken_for_another() -> None:
    """A step at each joint stands for what a hinge loses when it is moved a little."""
    clock = np.arange(240) / 239
    waves = cosines(240) @ np.maximum(clock - clock[120], 0)
    beside = Joints(clock, family(np.ones(240)), np.array([117]), 14)
    left = np.square(beside.rest[0] @ waves).sum()
    without = (
        waves
        - (x := cosines(240) @ design(clock, np.array([117]))) @ np.linalg.lstsq(x, waves, rcond=None)[0]
    )
    assert left < 0.1 * np.square(without).sum()


def test_a_curve_that_rests_all_along_is_one_plateau() -> None:
    found = wb.plateaus(descent(noise(3, 200, 0.3)), n_null=19, n_boot=40)
    assert np.array_equal(found.spans, [[0, 199]])
    steady = wb.plateaus(descent(-0.01 * np.arange(200) + noise(3, 200, 0.3)), n_null=19, n_boot=40)
    assert not len(steady.spans)


def test_says_what_cannot_be_asked() -> None:
    view = descent(resting() + noise(0, 300, 0.0))
    few = wb.plateaus(view, n_null=5, n_boot=0)
    assert few.outcome.status == "stopped"
    assert "raise n_null to 19" in few.outcome.advice
    one = descent(2 - 0.01 * np.minimum(np.arange(300), 150) + noise(0, 300, 0.0))
    assert "raise most" in wb.plateaus(one, clock="step", most=1, n_null=19, n_boot=0).outcome.advice
    with pytest.raises(DataError, match="scale='linear'"):
        wb.plateaus(Trajectory(pd.DataFrame({"loss": np.linspace(1, -1, 60)}, index=np.arange(60))))


def test_plateaus_are_shaded() -> None:
    drawn = json.loads(
        wb.plateaus(descent(resting() + noise(0, 300, 0.0)), clock="step", n_null=19, n_boot=5)
        .figure()
        .to_json()
    )
    assert [s["type"] for s in drawn["layout"]["shapes"]] == ["rect"]
