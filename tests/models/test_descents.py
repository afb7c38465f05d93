"""Networks that the workbench trains follow the curves that are known of them, and learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.core.errors import ParameterError
from workbench.models.linear_descent import strength
from workbench.models.quadratic_descent import curvatures
from workbench.subjects.descents.trajectory import Descent


@pytest.mark.parametrize("spectrum", ["geometric", "linear", "outlier"])
def test_known_answer_the_hessian_is_the_chosen_one(spectrum: str) -> None:
    descent = wb.quadratic_descent(dimensions=8, condition=50.0, spectrum=spectrum, steps=20)
    for step in (0, 20):
        network = descent.network(step)

        def loss(w: torch.Tensor, network: torch.nn.Module = network) -> torch.Tensor:
            x, y = descent.probe.tensors(network)
            return 0.5 * (torch.func.functional_call(network, {"weight": w}, x) - y).square().mean()

        hessian = torch.autograd.functional.hessian(loss, network.weight).reshape(8, 8).detach().numpy()
        np.testing.assert_allclose(
            np.linalg.eigvalsh(hessian)[::-1], curvatures(8, 50.0, spectrum), rtol=1e-8, atol=1e-12
        )


def test_known_answer_errors_shrink_by_their_curvature() -> None:
    descent = wb.quadratic_descent(dimensions=6, condition=10.0, steps=50, learning_rate=0.5)
    x, y = descent.probe.x, descent.probe.y
    best = np.linalg.solve(x, y).ravel()
    _, s, directions = np.linalg.svd(x)
    errors = np.array(
        [directions @ (descent.weights(t)["weight"].ravel() - best) for t in descent.weight_steps]
    )
    shrink = (1 - 0.5 * s**2 / len(x))[None] ** descent.weight_steps[:, None]
    np.testing.assert_allclose(errors, errors[:1] * shrink, rtol=1e-6, atol=1e-10)
    losses = 0.5 * (errors**2 * s**2 / len(x)).sum(1)
    rows = np.isin(descent.steps, descent.weight_steps)
    np.testing.assert_allclose(descent.table["loss"][rows], losses[:-1], rtol=1e-6)


def test_known_answer_too_large_a_rate_diverges_and_that_is_recorded() -> None:
    descent = wb.quadratic_descent(learning_rate=30.0, steps=400)
    assert descent.diverged is not None and f"diverged at step {descent.diverged}" in descent.outcome
    assert np.isfinite(descent.table["loss"][: descent.diverged]).all()


@pytest.mark.parametrize("depth", [1, 2])
def test_known_answer_modes_are_learned_along_their_curves(depth: int) -> None:
    modes, rate = (3.0, 1.5, 0.7), 0.002
    descent = wb.linear_descent(
        modes=modes, dimensions=5, depth=depth, initial=0.01, steps=2000, learning_rate=rate
    )
    x, y = descent.probe.x, descent.probe.y
    left, _, right = np.linalg.svd(np.linalg.solve(x, y).T)
    for step in descent.weight_steps:
        product = np.eye(5)
        for weight in descent.weights(step).values():
            product = weight @ product
        held = np.diag(left.T @ product @ right.T)[:3]
        expected = [strength(step * rate, m, 0.01, depth) for m in modes]
        np.testing.assert_allclose(held, expected, atol=0.02 * max(modes))
    if depth == 2:  # stage by stage: the strongest is learned while the weakest still waits
        assert strength(1.5, 3.0, 0.01, 2) > 2.0 and strength(1.5, 0.7, 0.01, 2) < 0.1


def test_known_answer_the_limits_of_the_closed_form() -> None:
    for depth in (1, 2):
        assert strength(0.0, 2.0, 0.1, depth) == pytest.approx(0.1)
        assert strength(1e3, 2.0, 0.1, depth) == pytest.approx(2.0)


def test_digits_are_learned() -> None:
    descent = wb.digits_descent()
    assert descent.table["loss"].tail(20).mean() < 0.25 < 2 < descent.table["loss"].iloc[0]
    network = descent.network(descent.weight_steps[-1])
    x, y = descent.probe.tensors(network)
    assert (network(x).argmax(1) == y).float().mean() > 0.9
    assert descent.view(Descent).probe.evaluate(network) < 0.4


def test_more_modes_than_room_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"modes=.* are 3 and dimensions=2"):
        wb.linear_descent(dimensions=2)


def test_torchs_own_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    wb.digits_descent(steps=3)
    assert torch.equal(torch.rand(3), expected)
