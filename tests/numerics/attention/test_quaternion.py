"""Quaternion attention: the sum over pairs, and a unit factor from the left that comes out as it went in."""

from __future__ import annotations

import pytest
import torch

from workbench.numerics.attention.quaternion import factors, mixed, turned_back
from workbench.numerics.geometry.mechanism import causal_weights, rotated, rotation
from workbench.numerics.geometry.quaternions import conjugate, product, unit


def draws(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_it_is_the_sum_over_pairs_in_either_grouping(dtype: torch.dtype, error: float) -> None:
    q, k, v = draws(3, 7, 8, dtype=dtype)
    p = causal_weights(q, k)
    found = mixed(q, k, turned_back(k, v))
    a, b, c = (x.unflatten(-1, (-1, 4)) for x in (q, k, v))
    a, b = unit(a)[:, None], conjugate(unit(b))[None]
    for products in (product(a, product(b, c[None])), product(product(a, b), c[None])):
        pairwise = (p[..., None, None] * products).sum(1).flatten(-2)
        assert (found - pairwise).norm() <= error * pairwise.norm()


def turned(x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return product(by, x.unflatten(-1, (-1, 4))).flatten(-2)


def placed(x: torch.Tensor) -> torch.Tensor:
    return product(x.unflatten(-1, (-1, 4)), factors(torch.arange(len(x)), 2)).flatten(-2)


def test_a_unit_factor_from_the_left_comes_out_as_it_went_in() -> None:
    q, k, v = draws(3, 9, 8)
    u = unit(draws(2, 4, seed=1))
    before = mixed(placed(q), placed(k), turned_back(placed(k), v))
    q_u, k_u, v_u = (turned(x, u) for x in (q, k, v))
    after = mixed(placed(q_u), placed(k_u), turned_back(placed(k_u), v_u))
    torch.testing.assert_close(after, turned(before, u), rtol=1e-12, atol=1e-12)


def test_the_ordinary_rotary_embedding_breaks_that() -> None:
    q, k, v = draws(3, 9, 8)
    u, turn = unit(draws(2, 4, seed=1)), rotation(torch.arange(9), 8)
    before = mixed(rotated(q, turn), rotated(k, turn), turned_back(rotated(k, turn), v))
    q, k, v = (turned(x, u) for x in (q, k, v))
    after = mixed(rotated(q, turn), rotated(k, turn), turned_back(rotated(k, turn), v))
    assert (after - turned(before, u)).norm() > 0.1 * before.norm()


def test_scores_see_how_far_apart_two_positions_are() -> None:
    q, k = (placed(x.expand(30, 8)) for x in draws(2, 8))
    torch.testing.assert_close((q @ k.T).diagonal(-5), (q[5] @ k[0]).expand(25))
