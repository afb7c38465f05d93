"""Lines through weight space where the loss is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError
from workbench.subjects.descents.trajectory import Trajectory


@pytest.fixture(scope="module")
def bowl() -> Trajectory:
    return wb.quadratic_descent(dimensions=6, condition=20, steps=60)


def test_known_answer_curvature_of_a_bowl_along_the_path(bowl: Trajectory) -> None:
    found = wb.loss_slice(bowl, points=9, n_null=0, n_boot=0)
    rows = np.stack([bowl.weights(s).vector() for s in bowl.weight_steps]).astype(np.float64)
    _, _, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    h = bowl.probe.x.T @ bowl.probe.x / len(bowl.probe.x)
    quadratic = np.polyfit(found.x, found.y[:, 0], 2)
    assert quadratic[0] == pytest.approx(axes[0] @ h @ axes[0] / 2, rel=1e-6)
    np.testing.assert_allclose(np.polyval(quadratic, found.x), found.y[:, 0], atol=1e-10)


def test_peer_is_the_plain_loop_over_loaded_weights() -> None:
    d = wb.digits_descent(width=8, depth=1, steps=60)
    found = wb.loss_slice(d, directions="random", normalization="none", points=5, n_null=0, n_boot=0)
    rng = np.random.default_rng([0, 0x6C616E64])
    last = d.weights(d.weight_steps[-1])
    drawn = [rng.standard_normal(last[n].shape).ravel() for n in d.parameter_names]
    direction = np.concatenate(drawn) / np.linalg.norm(np.concatenate(drawn))
    network = d.network(int(d.weight_steps[-1]))
    for x, loss in zip(found.x, found.y[:, 0], strict=True):
        torch.nn.utils.vector_to_parameters(
            torch.from_numpy(last.vector() + x * direction).float(), network.parameters()
        )
        assert loss == pytest.approx(d.probe.evaluate(network).item(), rel=1e-4)


@pytest.mark.slow
def test_interval_covers_the_loss_of_more_samples() -> None:
    d = wb.digits_descent(width=8, depth=1, steps=60)
    x, y = np.asarray(d.probe.x), d.probe.y
    whole = wb.loss_slice(d, points=3, n_null=0, n_boot=0).y[:, 0]
    rng = np.random.default_rng(0)
    hits = np.zeros(3)
    for seed in range(25):
        some = rng.choice(len(x), 64)
        found = wb.loss_slice(
            d.with_probe(x[some], y[some], "cross_entropy"), points=3, n_null=0, n_boot=200, random_state=seed
        )
        hits += (found.low[:, 0] <= whole) & (whole <= found.high[:, 0])
    assert (hits >= 20).all(), hits  # 24 expected; fewer with probability 0.001 at 95 % coverage


@pytest.mark.slow
def test_a_random_line_is_like_random_lines(bowl: Trajectory) -> None:
    from helpers import assert_calibrated

    def p_value(seed: int) -> float:
        return (
            wb.loss_slice(
                bowl,
                directions="random",
                normalization="layer",
                points=3,
                n_null=39,
                n_boot=0,
                random_state=seed,
            )
            .evidence[0]
            .p_value
        )

    assert_calibrated(p_value, runs=60)


def test_a_line_that_leaves_the_numbers_is_refused(bowl: Trajectory) -> None:
    huge = bowl.with_probe(np.asarray(bowl.probe.x) * 1e200, bowl.probe.y, "half_squared_error")
    with pytest.raises(DataError, match="Lower extent"):
        wb.loss_slice(huge)
