"""Update alignment: descents whose updates are known; null and intervals measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import assert_calibrated
from scipy.stats import binom

import workbench as wb
from workbench.core.errors import DataError, ViewError
from workbench.models.quadratic_descent import curvatures
from workbench.subjects.descents.trajectory import Trajectory


def walk(updates: np.ndarray) -> Trajectory:
    w = np.concatenate([np.zeros((1, updates.shape[1])), updates.cumsum(axis=0)])
    table = pd.DataFrame({"loss": np.ones(len(w))}, index=range(len(w)))
    return Trajectory(table, weights={i: {"a.w": row} for i, row in enumerate(w)}, name="walk")


def test_known_answer_straight_on_and_back() -> None:
    on = walk(np.tile([[1.0, 2.0]], (5, 1)))
    np.testing.assert_allclose(wb.update_alignment(on).y, 1)
    np.testing.assert_allclose(wb.update_alignment(on, beside="path").y, 1)
    bouncing = wb.quadratic_descent(dimensions=1, learning_rate=1.9, steps=5)
    np.testing.assert_allclose(wb.update_alignment(bouncing).y, -1)
    right = walk(np.eye(4))
    np.testing.assert_allclose(wb.update_alignment(right).y, 0, atol=1e-12)
    np.testing.assert_allclose(wb.update_alignment(right, beside="path").y, 0.5)


def test_known_answer_the_bowls_updates() -> None:
    """Along an eigenvector an update is λ (1 - η λ)^t of the distance at the start."""
    d = wb.quadratic_descent(dimensions=6, learning_rate=1.5, steps=8)
    x, y = (t.numpy() for t in d.probe.tensors())
    hessian = x.T @ x / 6
    values, vectors = np.linalg.eigh(hessian)
    np.testing.assert_allclose(values[::-1], curvatures(6, 100, "geometric"), atol=1e-10)
    start = vectors.T @ np.linalg.solve(x, y).ravel()
    u = np.array([values * (1 - 1.5 * values) ** t * start for t in range(8)])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    found = wb.update_alignment(d)
    np.testing.assert_array_equal(found.x, range(1, 8))
    np.testing.assert_allclose(found.y[:, 0], (u[1:] * u[:-1]).sum(axis=1), atol=1e-8)


def test_peer_torchs_cosine_similarity() -> None:
    d = wb.digits_descent(width=5, depth=1, steps=30)
    found = wb.update_alignment(d, max_steps=100, n_null=0)
    w = torch.tensor(np.array([d.weights(s).vector() for s in d.weight_steps], np.float64))
    u = w.diff(dim=0)
    np.testing.assert_allclose(
        found.y[:, 0], torch.nn.functional.cosine_similarity(u[1:], u[:-1], dim=1), atol=1e-6
    )
    assert found.names == ("all layers", "layer 0", "layer 2")


@pytest.mark.slow
@pytest.mark.parametrize("beside", ["previous", "path"])
def test_false_alarms_are_as_rare_as_they_say(beside: str) -> None:
    def p_value(seed: int) -> float:
        u = np.random.default_rng(seed).standard_normal((9, 12)) * np.linspace(0.1, 2, 12)
        return (
            wb.update_alignment.function(
                walk(u).view(wb.update_alignment.inputs[0].takes),
                beside=beside,
                n_null=39,
                random_state=seed,
            )
            .evidence[0]
            .p_value
        )

    assert_calibrated(p_value)


def test_a_walk_that_keeps_its_direction_a_little_is_found() -> None:
    u = np.random.default_rng(0).standard_normal((20, 50)) + 0.5
    assert wb.update_alignment(walk(u)).evidence[0].p_value == 0.002


def test_random_ways_along_few_lines_are_no_direction() -> None:
    """Where updates have five directions, chance cosines are large, and entries turned one by one would hide it."""
    rng = np.random.default_rng(0)
    rejected = 0
    for seed in range(60):
        u = rng.standard_normal((20, 5)) @ rng.standard_normal((5, 200))
        rejected += (
            wb.update_alignment.function(
                walk(u).view(wb.update_alignment.inputs[0].takes), n_null=39, random_state=seed
            )
            .evidence[0]
            .p_value
            <= 0.05
        )
    assert rejected <= binom.ppf(0.999, 60, 0.05)


def test_few_updates_are_not_tested() -> None:
    said = wb.update_alignment(walk(np.ones((6, 3)))).evidence[0]
    assert said.p_value is None
    assert "it takes 7" in said.untested
    assert wb.update_alignment(walk(np.ones((7, 3)))).evidence[0].p_value < 0.05


def test_refusals() -> None:
    with pytest.raises(ViewError, match="weights at 3 steps"):
        wb.update_alignment(walk(np.ones((1, 2))))
    with pytest.raises(DataError, match="not finite"):
        wb.update_alignment(walk(np.array([[1.0, 1], [np.inf, 1], [1, 1]])))
