"""Maps of a size and a direction: the slope by the direction is at right angles to it."""

from __future__ import annotations

import torch
from torch import nn

from workbench.numerics.attention.surreal import SurrealLinear
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT


def test_slopes_by_directions_are_at_right_angles_to_them() -> None:
    torch.manual_seed(0)
    gpt = GPT(GeometryConfig(mechanism="surreal", width=16, layers=2, heads=2, vocabulary=16)).double()
    gpt(torch.randint(16, (2, 9))).square().sum().backward()
    maps = [m for m in gpt.modules() if isinstance(m, SurrealLinear)]
    assert len(maps) == 12
    for m in maps:
        assert m.direction.grad is not None
        along = (m.direction * m.direction.grad).sum(-1).abs()
        assert (along <= 1e-12 * m.direction.norm(dim=-1) * m.direction.grad.norm(dim=-1) + 1e-15).all()
        assert m.direction.grad.any() and m.size.grad is not None and m.size.grad.abs() > 0


def test_it_is_torch_s_weight_normalization() -> None:
    torch.manual_seed(0)
    ours, theirs = SurrealLinear(6, 4), nn.utils.parametrizations.weight_norm(nn.Linear(6, 4, bias=False))
    with torch.no_grad():
        ours.size.fill_(0.3)
        ours.row_size.normal_()
        theirs.parametrizations.weight.original0.copy_((ours.size + ours.row_size).exp()[:, None])
        theirs.parametrizations.weight.original1.copy_(ours.direction)
    x = torch.randn(5, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def test_a_direction_s_length_changes_nothing() -> None:
    m, x = SurrealLinear(6, 4), torch.randn(5, 6)
    before = m(x)
    with torch.no_grad():
        m.direction.mul_(7)
    torch.testing.assert_close(m(x), before)
