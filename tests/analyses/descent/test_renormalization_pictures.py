"""The three pictures are exact, the fourth is fitted, and one slider moves all of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.errors import ParameterError
from workbench.numerics.descent_laws import fit_law
from workbench.subjects.descents.trajectory import Trajectory


def restarted(at: int = 100, n: int = 200) -> Trajectory:
    """An exponential to a floor that starts anew at a step, with noise of five per cent."""
    t = np.arange(n)
    since = np.where(t < at, t, t - at)
    loss = (0.1 + 1.9 * np.exp(-since / 30)) * np.exp(0.05 * np.random.default_rng(0).standard_normal(n))
    return Trajectory(pd.DataFrame({"loss": loss}, index=t), name="restarted")


def test_known_answer_the_exact_pictures_are_the_source() -> None:
    found = wb.renormalization_pictures(restarted(), n_null=3, n_boot=3)
    columns = dict(zip(found.names, found.y.T, strict=True))
    at = float(
        found.frame_marks[found.frame_names.index(next(n for n in found.frame_names if "step 100)" in n))]
    )
    for shape in ("quadratics", "lines"):
        plain = wb.narrowing_room(shape=shape, renormalized_at=None, n=200)
        again = wb.narrowing_room(shape=shape, renormalized_at=at, n=200)
        for j, side in enumerate(("upper", "lower")):
            np.testing.assert_allclose(columns[f"{shape}, {side}"], plain.values[:, j], atol=1e-12)
            np.testing.assert_allclose(
                columns[f"{shape}, {side}, renormalized"], again.values[:, j], atol=1e-12
            )


def test_known_answer_a_restart_is_seen_where_it_was() -> None:
    found = wb.renormalization_pictures(restarted(), n_null=19, n_boot=40)
    one, here = found.evidence[:2]
    assert one.p_value == here.p_value == 0.05
    scales = [
        found.evidence_of("time_scale", f"exponential with floor, {side}") for side in ("before", "after")
    ]
    assert all(e.interval[0] < 30 < e.interval[1] for e in scales)
    errors = np.square(np.log(found.frames[:, :, -1]) - np.log(found.y[:, -3])).sum(axis=1)
    assert found.frame_marks[errors.argmin()] == pytest.approx(5, abs=0.1)
    elsewhere = wb.renormalization_pictures(restarted(), at=2.5, n_null=19, n_boot=0).evidence[1]
    assert elsewhere.p_value > 0.1


def test_peer_is_each_half_fitted_alone() -> None:
    run = restarted()
    found = wb.renormalization_pictures(run, n_null=0, n_boot=0)
    loss = run.table.loss.to_numpy()
    for part in (slice(100), slice(100, None)):
        alone = fit_law("exponential with floor", np.arange(100.0), loss[part], log=True)
        np.testing.assert_allclose(found.y[part, -1], alone.curve)


def test_a_place_without_room_for_two_laws_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"at=0\.1 leaves 2 points"):
        wb.renormalization_pictures(restarted(), at=0.1)


def test_the_slider_carries_every_curve_and_its_line() -> None:
    found = wb.renormalization_pictures(restarted(), positions=5, n_null=3, n_boot=3)
    drawn = json.loads(found.figure().to_json())
    assert len({t["xaxis"] for t in drawn["data"]}) == 4
    (slider,) = drawn["layout"]["sliders"]
    assert len(slider["steps"]) == len(found.frames) == 5
    for step, mark in zip(slider["steps"], found.frame_marks, strict=True):
        frame = step["args"][0]
        assert step["method"] == "animate"
        assert len(frame["data"]) == len(drawn["data"]) == 11
        assert [s["x0"] for s in frame["layout"]["shapes"]] == [mark] * 4
