"""The Hessian as an operator: a bowl whose spectrum is known, a tiny network's whole matrix, and what its intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import workbench as wb
from workbench.core.errors import DataError, ParameterError
from workbench.models.quadratic_descent import curvatures
from workbench.numerics.hessian import (
    Hessian,
    extreme_eigenpairs,
    hutchinson,
    lanczos_quadrature,
    signs,
)
from workbench.numerics.objectives import Probe
from workbench.numerics.per_sample import sample_losses


def bowl(dimensions: int = 24, spectrum: str = "geometric") -> tuple[Hessian, np.ndarray]:
    d = wb.quadratic_descent(dimensions=dimensions, spectrum=spectrum, steps=3, condition=50.0)
    return Hessian(d.network(2), d.probe, d.parameter_names), curvatures(dimensions, 50.0, spectrum)


def tiny(loss: str = "cross_entropy", seed: int = 0) -> tuple[nn.Module, Probe]:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4))
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, 12) if loss == "cross_entropy" else rng.random((12, 4)).astype(np.float32)
    return network, Probe(rng.standard_normal((12, 3)).astype(np.float32), y, loss)


def dense(network: nn.Module, probe: Probe) -> np.ndarray:
    """The whole Hessian by `torch.func`, reverse over reverse."""
    names = [n for n, _ in network.named_parameters()]
    shapes = [p.shape for p in network.parameters()]

    class Bound(nn.Module):
        def __init__(self, held: dict[str, torch.Tensor]):
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1, dtype=torch.float64))  # says the dtype and the device
            self.held = held

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(network, self.held, (x,))

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([s.numel() for s in shapes])
        return probe.evaluate(Bound({n: p.reshape(s) for n, p, s in zip(names, parts, shapes, strict=True)}))

    flat = torch.cat([p.detach().double().reshape(-1) for p in network.parameters()])
    return torch.func.jacrev(torch.func.jacrev(loss))(flat).numpy()


@pytest.mark.parametrize("spectrum", ["geometric", "linear", "outlier"])
def test_known_answer_the_bowls_spectrum(spectrum: str) -> None:
    """Copies of the outlier bowl's repeated eigenvalue are found too."""
    h, exact = bowl(spectrum=spectrum)
    found = extreme_eigenpairs(h, h.n, 3, 2, steps=24)
    np.testing.assert_allclose(found.values, exact[[0, 1, 2, -2, -1]], atol=1e-10)
    np.testing.assert_allclose(
        torch.stack([h(v) for v in found.vectors.T]).T, found.vectors * torch.tensor(found.values), atol=1e-10
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "half_squared_error", "binary_cross_entropy", "l1"])
def test_agrees_with_the_whole_matrix_of_torch_func(loss: str) -> None:
    network, probe = tiny(loss)
    whole = dense(network.double(), probe)
    names = [n for n, _ in network.named_parameters()]
    h = Hessian(network, probe, names)
    np.testing.assert_allclose(h.dense(), whole, atol=1e-10)
    rng = np.random.default_rng(1)
    v = torch.from_numpy(rng.standard_normal(h.n))
    np.testing.assert_allclose(h(v), whole @ v.numpy(), atol=1e-10)
    np.testing.assert_allclose(h.along(v).mean(), v @ h(v), atol=1e-10)
    values = np.linalg.eigvalsh(whole)[::-1]
    found = extreme_eigenpairs(h, h.n, 2, 1, steps=h.n)
    np.testing.assert_allclose(found.values, values[[0, 1, -1]], atol=1e-9)


def test_what_a_sample_adds_is_its_own_curvature() -> None:
    network, probe = tiny()
    names = [n for n, _ in network.named_parameters()]
    v = torch.from_numpy(
        np.random.default_rng(2).standard_normal(sum(p.numel() for p in network.parameters()))
    )
    added = Hessian(network, probe, names).along(v)
    for i in range(3):
        one = Probe(probe.x[i : i + 1], probe.y[i : i + 1], probe.loss)
        np.testing.assert_allclose(added[i], v @ Hessian(network, one, names)(v), atol=1e-10)


def test_some_of_the_parameters_give_their_block() -> None:
    network, probe = tiny()
    whole = dense(network.double(), probe)
    np.testing.assert_allclose(Hessian(network, probe, ["2.bias"]).dense(), whole[-4:, -4:], atol=1e-10)


def test_residuals_bound_the_error_before_lanczos_has_converged() -> None:
    h, exact = bowl(60)
    found = extreme_eigenpairs(h, h.n, 3, 1, steps=8)
    assert found.residuals.max() > 1e-4, "it hasn't converged"
    for value, residual in zip(found.values, found.residuals, strict=True):
        assert np.abs(exact - value).min() <= residual + 1e-12


def test_the_traces_interval_covers_as_often_as_it_says() -> None:
    h, exact = bowl()
    held = [
        low <= exact.sum() <= high
        for low, high in (hutchinson(h.products, signs(h.n, 20, seed)).interval for seed in range(200))
    ]
    assert 180 <= sum(held) <= 198  # middle 99 % of 200 at 95 %, and a little more for skewed draws


def test_the_trace_of_a_diagonal_is_exact() -> None:
    scale = torch.arange(1.0, 11.0, dtype=torch.float64)
    found = hutchinson(lambda v: v * scale, signs(10, 4, 0))
    assert found.value == 55
    assert found.standard_error == 0


def test_known_answer_quadrature_is_exact_with_all_steps() -> None:
    """With as many steps as dimensions the nodes are the eigenvalues; mean weights approach one over their number."""
    h, exact = bowl(12, "linear")
    found = lanczos_quadrature(h, h.n, starts=400, steps=12)
    np.testing.assert_allclose(np.sort(found.nodes[0])[::-1], exact, atol=1e-8)
    np.testing.assert_allclose(found.weights.mean(axis=0), 1 / 12, atol=0.02)
    share = found.share(0.5, 1.1)
    error = share.std(ddof=1) / np.sqrt(len(share))
    assert abs(share.mean() - (exact >= 0.5).mean()) < 4 * error
    grid = np.linspace(-1, 2, 3001)
    area = found.density(grid, 0.02).mean(axis=0).sum() * (grid[1] - grid[0])
    assert abs(area - 1) < 1e-6


def test_attention_is_differentiated_twice() -> None:
    """Fused attention has no second derivative; the plain one is taken."""
    torch.manual_seed(0)

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 12)
            self.out = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.inner(x)[:, None].chunk(3, dim=-1)
            return self.out(nn.functional.scaled_dot_product_attention(q, k, v)[:, 0].mean(dim=1))

    rng = np.random.default_rng(0)
    probe = Probe(rng.standard_normal((6, 5, 4)).astype(np.float32), rng.integers(0, 2, 6), "cross_entropy")
    network = Attention()
    h = Hessian(network, probe, [n for n, _ in network.named_parameters()])
    matrix = h.dense()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-10)
    v = torch.ones(h.n, dtype=torch.float64)
    np.testing.assert_allclose(h.along(v).mean(), v @ matrix @ v, rtol=1e-8)


def test_a_loss_that_is_linear_in_the_weights_has_no_curvature() -> None:
    network = nn.Linear(3, 1, bias=False)
    probe = Probe(np.ones((5, 3), np.float32), np.zeros(5), "output")
    h = Hessian(network, probe, ["weight"])
    v = torch.ones(3, dtype=torch.float64)
    assert (
        float(h(v).abs().max())
        == float(h.products(v[None]).abs().max())
        == float(h.along(v).abs().max())
        == 0
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "half_squared_error", "binary_cross_entropy", "l1"])
def test_losses_of_samples_average_to_the_probes(loss: str) -> None:
    network, probe = tiny(loss)
    np.testing.assert_allclose(
        sample_losses(network, probe).mean().item(), probe.evaluate(network).item(), rtol=1e-5
    )


def test_refusals() -> None:
    h, _ = bowl()
    with pytest.raises(ParameterError, match="at most 24"):
        extreme_eigenpairs(h, h.n, 24, 1, steps=40)
    with pytest.raises(DataError, match="lower lanczos_steps"):
        extreme_eigenpairs(h, 10**9, 1, 1, steps=40)
    network, probe = tiny()
    with torch.no_grad():
        network[0].weight.fill_(np.nan)
    with pytest.raises(DataError, match="not finite"):
        Hessian(network, probe, ["0.weight"])
