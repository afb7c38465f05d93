"""Planes through weight space where the loss is known exactly."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, ViewError
from workbench.numerics.landscapes import random_direction
from workbench.subjects.descents.trajectory import Trajectory

QUICK = {"n_null": 3, "n_boot": 3}


@pytest.fixture(scope="module")
def bowl() -> Trajectory:
    return wb.quadratic_descent(dimensions=6, condition=20, steps=60)


def hessian(descent: Trajectory) -> np.ndarray:
    x = descent.probe.x
    return x.T @ x / len(x)


@pytest.mark.parametrize("normalization", ["filter", "none"])
def test_known_answer_a_quadratic_bowl_is_a_quadratic(bowl: Trajectory, normalization: str) -> None:
    found = wb.loss_landscape(
        bowl, directions="random", normalization=normalization, points=7, extent=2.0, **QUICK
    )
    last = {n: np.array(a) for n, a in bowl.weights(bowl.weight_steps[-1]).items()}
    rng = np.random.default_rng([0, 0x6C616E64])
    u, v = (random_direction(last, normalization, rng)["weight"].ravel() for _ in range(2))
    w, h = last["weight"].ravel(), hessian(bowl)
    best = np.linalg.lstsq(bowl.probe.x, bowl.probe.y.ravel(), rcond=None)[0]
    for i, b in enumerate(found.row_values):
        for j, a in enumerate(found.column_values):
            off = w + a * u + b * v - best
            assert found.values[i, j] == pytest.approx(0.5 * off @ h @ off, rel=1e-8)


def test_known_answer_a_path_in_a_plane_is_held_whole_by_it() -> None:
    # gradient descent that two curvatures make stays in the plane of their eigenvectors
    two = wb.quadratic_descent(dimensions=2, condition=10, steps=60)
    found = wb.loss_landscape(two, points=5, **QUICK)
    assert found.evidence[0].value == pytest.approx(1)
    np.testing.assert_allclose(
        found.path_values, [two.probe.evaluate(two.network(int(s))).item() for s in found.path_ids], rtol=1e-6
    )


def test_peer_is_the_plain_loop_over_loaded_weights() -> None:
    d = wb.digits_descent(width=8, depth=1, steps=60)
    found = wb.loss_landscape(d, points=4, extent=0.7, **QUICK)
    names, steps = d.parameter_names, d.weight_steps
    rows = np.stack([d.weights(s).vector() for s in steps]).astype(np.float64)
    _, s, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    placed = (rows - rows[-1]) @ axes[:2].T
    flip = np.sign(placed[0]) * np.sign(found.path[0])
    np.testing.assert_allclose(placed * flip, found.path, atol=1e-4)
    assert found.evidence[0].value == pytest.approx((s[:2] ** 2).sum() / (s**2).sum(), rel=1e-5)
    network = d.network(int(steps[-1]))
    for i, b in enumerate(found.row_values):
        for j, a in enumerate(found.column_values):
            at = torch.from_numpy(rows[-1] + a * flip[0] * axes[0] + b * flip[1] * axes[1]).float()
            torch.nn.utils.vector_to_parameters(at, network.parameters())
            assert found.values[i, j] == pytest.approx(d.probe.evaluate(network).item(), rel=1e-4)
    assert names == tuple(n for n, _ in network.named_parameters())


def random_walk(seed: int, d: int = 40, k: int = 12) -> Trajectory:
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((k, d))
    path = np.cumsum(steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    network = torch.nn.Linear(d, 1, bias=False, dtype=torch.float64)
    made = Trajectory(
        pd.DataFrame({"loss": np.ones(k)}, index=np.arange(k)),
        weights={i: {"weight": path[i : i + 1]} for i in range(k)},
        name="random walk",
    )
    x = rng.standard_normal((16, d))
    return made.with_model(network).with_probe(x, np.zeros((16, 1)), "mse")


@pytest.mark.slow
def test_a_random_walk_is_seldom_said_to_keep_to_a_plane() -> None:
    from helpers import assert_calibrated

    def p_value(seed: int) -> float:
        return (
            wb.loss_landscape(random_walk(seed), points=3, n_null=19, n_boot=0, random_state=seed)
            .evidence[0]
            .p_value
        )

    assert_calibrated(p_value, runs=60)


@pytest.mark.slow
def test_the_plane_of_a_random_walk_is_seldom_said_to_be_steeper_or_flatter() -> None:
    """A walk that the loss did not steer lies in any plane, however unlike the curvatures of the loss are."""
    from helpers import assert_calibrated

    def p_value(seed: int) -> float:
        walk = random_walk(seed)
        x = np.random.default_rng([seed, 1]).standard_normal((30, 40)) * np.geomspace(0.1, 3, 40)
        walk = walk.with_probe(x, np.zeros((30, 1)), "mse")
        found = wb.loss_landscape(walk, points=3, n_null=39, n_boot=0, random_state=seed)
        return found.evidence[1].p_value

    assert_calibrated(p_value, runs=60)


def test_what_has_no_landscape_is_refused(bowl: Trajectory) -> None:
    flat = Trajectory(
        pd.DataFrame({"loss": [1.0, 1, 1]}, index=[0, 1, 2]),
        weights={i: {"weight": np.ones((1, 2))} for i in range(3)},
    )
    with pytest.raises(ViewError, match="its network"):
        wb.loss_landscape(flat)
    flat = flat.with_model(torch.nn.Linear(2, 1, bias=False, dtype=torch.float64))
    flat = flat.with_probe(np.ones((4, 2)), np.ones((4, 1)), "mse")
    with pytest.raises(DataError, match="the same at all of 3 steps"):
        wb.loss_landscape(flat)
    with pytest.raises(DataError, match="directions='random'"):
        wb.loss_landscape(wb.quadratic_descent(dimensions=1, steps=20))
    with pytest.raises(ViewError, match="3 steps"):
        wb.loss_landscape(bowl.select(bowl.steps <= 1))


@pytest.mark.parametrize("surface", [False, True])
def test_path_carries_its_steps_flat_and_in_three_dimensions(bowl: Trajectory, surface: bool) -> None:
    found = wb.loss_landscape(bowl, points=4, **QUICK)
    drawn = json.loads(found.figure(surface=surface).to_json())
    land, path = drawn["data"]
    assert (land["type"], path["type"]) == (("surface", "scatter3d") if surface else ("contour", "scatter"))
    assert len(path["hovertext"]) == len(bowl.weight_steps)
    assert "customdata" in path
    assert "customdata" not in land  # only a step stands behind a mark
    assert found.log
