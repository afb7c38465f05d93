"""Muon: singular values near 1, torch's own beside it, matrices only."""

from __future__ import annotations

import pytest
import torch

from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.numerics.optimization import optimizer_of
from workbench.numerics.optimization.muon import JORDANS, Muon, orthogonalized, polar_express


def with_singular_values(values: torch.Tensor, columns: int) -> torch.Tensor:
    own = torch.Generator().manual_seed(0)
    n = len(values)
    u = torch.linalg.qr(torch.randn(n, n, generator=own)).Q
    v = torch.linalg.qr(torch.randn(columns, n, generator=own)).Q
    return u @ torch.diag(values) @ v.T


@pytest.mark.parametrize(("quintics", "low", "high"), [(None, 0.85, 1.15), (JORDANS, 0.47, 1.21)])
def test_singular_values_from_a_thousandth_of_the_norm_end_near_1(quintics, low: float, high: float) -> None:
    values = torch.logspace(0, -3, 48)
    values = values[values / values.norm() >= 1e-3]
    for m in (with_singular_values(values, 64), with_singular_values(values, 64).T):
        found = torch.linalg.svdvals(orthogonalized(m, quintics))
        assert found.max() <= high
        assert found.min() >= low


def test_each_quintic_deviates_equally_at_both_ends_and_bends() -> None:
    low, high = 1e-3, 1.0
    for a, b, c in polar_express():
        x = torch.linspace(low, high, 200_001, dtype=torch.float64)
        y = a * x + b * x**3 + c * x**5
        error = (y - 1).abs().max()
        assert torch.isclose(1 - y[0], error, rtol=1e-6) and torch.isclose(y[-1] - 1, -(1 - y[-1]))
        assert torch.isclose(y.max() - 1, 1 - y.min(), rtol=1e-4)
        low, high = float(1 - error), float(1 + error)
    assert error < 0.15


def test_it_goes_where_torch_s_goes() -> None:
    torch.manual_seed(0)
    weight, slopes = torch.randn(24, 16), torch.randn(5, 24, 16)
    ours, theirs = (torch.nn.Parameter(weight.clone()) for _ in range(2))
    a = Muon([ours], lr=0.1, quintics=JORDANS)
    b = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0)
    for slope in slopes:
        before = [p.detach().clone() for p in (ours, theirs)]
        ours.grad, theirs.grad = slope.clone(), slope.clone()
        a.step()
        b.step()
        steps = [(p.detach() - old).flatten() for p, old in zip((ours, theirs), before, strict=True)]
        assert torch.cosine_similarity(*steps, 0) >= 0.999
        assert steps[0].norm() / steps[1].norm() == pytest.approx(1, abs=0.02)


def test_rows_are_rescaled_and_the_norm_stays() -> None:
    torch.manual_seed(0)
    slope = torch.randn(8, 32) * torch.logspace(0, -2, 8)[:, None]
    moved = []
    for rescaled in (False, True):
        p = torch.nn.Parameter(torch.zeros(8, 32))
        optimizer = Muon([p], lr=1.0, rescaled=rescaled)
        p.grad = slope.clone()
        optimizer.step()
        moved.append(p.detach())
    rows = [m.norm(dim=1) for m in moved]
    assert moved[0].norm() == pytest.approx(float(moved[1].norm()), rel=1e-5)
    assert rows[1].max() / rows[1].min() == pytest.approx(1, abs=1e-4)


def test_vectors_are_refused_and_a_gpt_is_sorted() -> None:
    with pytest.raises(ValueError, match=r"matrices only, and was given a parameter of shape \(3,\)"):
        Muon([torch.nn.Parameter(torch.zeros(3))])
    torch.manual_seed(0)
    gpt = GPT(GeometryConfig(mechanism="gauge", width=16, layers=1, heads=2, vocabulary=16))
    optimizer = optimizer_of("muon", gpt, 0.02)
    assert [len(g["params"]) for g in optimizer.param_groups] == [6, 4]
    x, losses = torch.randint(16, (2, 17)), []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(gpt(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]
    with pytest.raises(ValueError, match="there is no 'moon'"):
        optimizer_of("moon", gpt, 0.02)
