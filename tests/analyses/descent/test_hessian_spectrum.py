"""Hessian spectrum over a descent: bowls of known curvature, and what intervals and null hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import assert_calibrated, hand_made_descent, untrained_descent
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, ParameterError, ViewError
from workbench.models.quadratic_descent import curvatures


@pytest.mark.parametrize("spectrum", ["geometric", "outlier"])
def test_known_answer_a_bowl_is_the_same_at_every_step(spectrum: str) -> None:
    bowl = wb.quadratic_descent(spectrum=spectrum, steps=60)
    found = wb.hessian_spectrum(bowl, n_eigenvalues=2, trace_draws=200, n_null=5)
    exact = curvatures(16, 100, spectrum)
    np.testing.assert_allclose(found.y[:, :3], np.tile(exact[[0, 1, -1]], (len(found.x), 1)), atol=1e-8)
    assert (found.low[:, 3] < exact.sum()).all()
    assert (found.high[:, 3] > exact.sum()).all()
    assert found.x[0] == 0
    assert found.x[-1] == 60
    top, change, *_ = found.evidence
    assert top.p_value == 1, "a bowl's curvature doesn't depend on the weights"
    assert abs(change.value) < 1e-8
    assert found.outcome.status == "converged"


def test_peer_the_whole_matrix_of_a_trained_network() -> None:
    """Beside numpy's eigenvalues of the dense matrix by `torch.autograd.functional.hessian`."""
    d = wb.digits_descent(width=3, depth=1, steps=80)
    network = d.network(80).double()
    x, y = d.probe.tensors(network)
    shapes = [p.shape for p in network.parameters()]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = [p.reshape(s) for p, s in zip(flat.split([s.numel() for s in shapes]), shapes, strict=True)]
        hidden = torch.relu(x @ parts[0].T + parts[1])
        return nn.functional.cross_entropy(hidden @ parts[2].T + parts[3], y)

    flat = torch.cat([p.detach().reshape(-1) for p in network.parameters()])
    whole = torch.autograd.functional.hessian(loss, flat).numpy()
    values = np.linalg.eigvalsh(whole)[::-1]
    found = wb.hessian_spectrum(d, n_eigenvalues=3, lanczos_steps=60, trace_draws=64, max_steps=1, n_null=0)
    np.testing.assert_allclose(found.y[0, :4], values[[0, 1, 2, -1]], atol=1e-5)
    assert found.low[0, 4] < np.trace(whole) < found.high[0, 4]


@pytest.mark.slow
def test_the_interval_over_samples_covers_as_often_as_it_says() -> None:
    """Linear regression on x of known covariance: the curvature of all there are is the covariance itself."""
    covariance = np.array([4.0, 1.0, 1.0, 0.25])
    held = np.zeros(2)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((200, 4)) * np.sqrt(covariance)
        d = hand_made_descent(
            nn.Linear(4, 1, bias=False, dtype=torch.float64), x, np.zeros((200, 1)), "half_squared_error"
        )
        found = wb.hessian_spectrum.function(
            d.view(wb.hessian_spectrum.inputs[0].takes), n_eigenvalues=1, n_null=0, device="cpu"
        )
        for j, exact in enumerate((4.0, covariance.sum())):
            held[j] += found.low[0, (0, 2)[j]] <= exact <= found.high[0, (0, 2)[j]]
    assert (held >= 52).all(), held


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_they_say() -> None:
    """At initialization entries are exchangeable, so that the permuted weights are the truth."""

    def p_value(seed: int) -> float:
        d = untrained_descent(seed, width=4, samples=12)
        found = wb.hessian_spectrum.function(
            d.view(wb.hessian_spectrum.inputs[0].takes),
            n_eigenvalues=1,
            lanczos_steps=6,
            trace_draws=2,
            n_null=9,
            random_state=seed,
            device="cpu",
        )
        return found.evidence[0].p_value

    assert_calibrated(p_value, runs=50, level=0.2)


def test_too_few_lanczos_steps_are_said() -> None:
    found = wb.hessian_spectrum(wb.digits_descent(width=8, depth=1, steps=60), lanczos_steps=5, n_null=0)
    assert found.outcome.status == "stopped"
    assert "lanczos_steps" in found.outcome.advice


def test_refusals() -> None:
    d = wb.quadratic_descent(dimensions=2, steps=5)
    with pytest.raises(ParameterError, match="n_eigenvalues=2"):
        wb.hessian_spectrum(d)
    network = nn.Linear(2, 2)
    diverged = {s: {n: t * (np.nan if s else 1) for n, t in network.state_dict().items()} for s in (0, 1)}
    d = hand_made_descent(network, np.ones((4, 2), np.float32), np.zeros(4, int), steps=diverged)
    with pytest.raises(DataError, match=r"not finite.*step < 1"):
        wb.hessian_spectrum(d)
    bare = wb.Trajectory(d.table, name="bare")
    with pytest.raises(ViewError, match="a batch and a loss"):
        wb.hessian_spectrum(bare)
