"""HOSS: the exact flow of a quadratic, in few products, negative curvature kept and capped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.numerics.optimization import optimizer_of
from workbench.numerics.optimization.hoss import flow, spread, step_of

N = 200


def quadratic(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    own = torch.Generator().manual_seed(0)
    q = torch.linalg.qr(torch.randn(N, N, generator=own, dtype=torch.float64)).Q
    return q @ torch.diag(values) @ q.T, torch.randn(N, generator=own, dtype=torch.float64)


def dense(h: torch.Tensor, g: torch.Tensor, by) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(h)
    return vectors @ (torch.from_numpy(by(values.numpy())) * (vectors.T @ g))


@pytest.mark.parametrize(("delta", "rank"), [(1.0, 40), (10.0, 40), (100.0, 40), (500.0, 80)])
def test_it_is_the_dense_step(delta: float, rank: int) -> None:
    h, g = quadratic(torch.linspace(0, 1, N, dtype=torch.float64))
    made = step_of(lambda v: h @ v, g, delta, rank=rank)
    expected = -dense(h, g, lambda v: flow(v, delta))
    assert made.products == rank and not made.capped
    assert (made.moved - expected).norm() <= 1e-8 * expected.norm()


def test_it_is_the_limit_of_many_small_steps() -> None:
    h, g = quadratic(torch.linspace(-0.5, 1, N, dtype=torch.float64))
    x, pieces = torch.zeros_like(g), 20_000
    for _ in range(pieces):
        x = x - 2.0 / pieces * (g + h @ x)
    made = step_of(lambda v: h @ v, g, 2.0, rank=40)
    assert (made.moved - x).norm() <= 1e-3 * x.norm()


def test_negative_curvature_is_kept_and_a_large_one_capped_and_said() -> None:
    values = np.array([-10.0, -1.0, 0.0, 1e-9, 2.0])
    found = flow(values, 1.0, cap=3.0)
    assert found[0] == pytest.approx(np.expm1(3) / 3) and found[1] == pytest.approx(np.e - 1)
    assert found[2] == 1 and found[3] == pytest.approx(1) and found[4] == pytest.approx((1 - np.exp(-2)) / 2)
    h, g = quadratic(torch.linspace(-10, 1, N, dtype=torch.float64))
    made = step_of(lambda v: h @ v, g, 1.0, rank=40)
    assert made.capped > 0 and (made.moved @ g) < 0


def test_noise_has_the_flow_s_covariance_and_takes_as_many_products_again() -> None:
    h, g = quadratic(torch.linspace(0, 1, N, dtype=torch.float64))
    z = torch.randn(N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    made = step_of(lambda v: h @ v, g, 10.0, rank=40, temperature=0.25, noise=z)
    expected = 0.5 * dense(h, z, lambda v: spread(v, 10.0)) - dense(h, g, lambda v: flow(v, 10.0))
    assert made.products == 80
    assert (made.moved - expected).norm() <= 1e-4 * expected.norm()
    assert np.allclose(spread(np.array([0.0, 2.0]), 3.0) ** 2, [6.0, (1 - np.exp(-12)) / 2])


def test_a_gpt_learns_by_it() -> None:
    torch.manual_seed(0)
    gpt = GPT(GeometryConfig(width=16, layers=1, heads=2, vocabulary=16))
    optimizer, x = optimizer_of("hoss", gpt, 0.3), torch.randint(16, (2, 17))

    def loss() -> torch.Tensor:
        return torch.nn.functional.cross_entropy(gpt(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())

    losses = [float(optimizer.step(loss)) for _ in range(14)]
    assert losses[-1] < 0.7 * losses[0] and optimizer.products == 112
    with pytest.raises(ValueError, match=r"call step\(closure\)"):
        optimizer.step()
