"""Octonions: their identities, and attention as the sum over pairs in the grouping that was chosen."""

from __future__ import annotations

import pytest
import torch

from workbench.numerics.attention.octonion import maps_of, mixed, placed
from workbench.numerics.geometry import octonions, quaternions
from workbench.numerics.geometry.mechanism import causal_weights
from workbench.numerics.geometry.octonions import conjugate, from_right, product
from workbench.numerics.geometry.quaternions import unit


def draws(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).norm() <= 1e-12 * b.norm())


def test_identities() -> None:
    a, b, c = draws(3, 100, 8)
    assert close(product(a, b).norm(dim=-1), a.norm(dim=-1) * b.norm(dim=-1))
    assert close(product(a, product(a, b)), product(product(a, a), b))
    assert close(product(product(b, a), a), product(b, product(a, a)))
    # Moufang's: a(b(ac)) = ((ab)a)c, ((ca)b)a = c(a(ba)), (ab)(ca) = a((bc)a)
    assert close(product(a, product(b, product(a, c))), product(product(product(a, b), a), c))
    assert close(product(product(product(c, a), b), a), product(c, product(a, product(b, a))))
    assert close(product(product(a, b), product(c, a)), product(a, product(product(b, c), a)))
    assert not close(product(a, product(b, c)), product(product(a, b), c))
    assert close((from_right(b) @ a[..., None])[..., 0], product(a, b))
    assert close(product(a, conjugate(a))[:, 0], a.square().sum(-1))


def test_the_first_four_are_quaternions() -> None:
    a, b = draws(2, 50, 8)
    a[:, 4:], b[:, 4:] = 0, 0
    found = product(a, b)
    assert close(found[:, :4], quaternions.product(a[:, :4], b[:, :4])) and not found[:, 4:].any()


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_it_is_the_sum_over_pairs_in_this_grouping(dtype: torch.dtype, error: float) -> None:
    q, k, v = draws(3, 7, 16, dtype=dtype)
    p, found = causal_weights(q, k), mixed(q, k, maps_of(k, v))
    a, b, c = (x.unflatten(-1, (-1, 8)) for x in (q, k, v))
    a, b = unit(a)[:, None], conjugate(unit(b))[None]
    pairwise, other = (
        (p[..., None, None] * products).sum(1).flatten(-2)
        for products in (product(product(a, b), c[None]), product(a, product(b, c[None])))
    )
    assert (found - pairwise).norm() <= error * pairwise.norm()
    assert (found - other).norm() > 0.1 * pairwise.norm()


def at_places(x: torch.Tensor) -> torch.Tensor:
    return placed(x, torch.arange(len(x)))


def test_scores_see_how_far_apart_two_positions_are() -> None:
    q, k = draws(2, 16)
    scores = at_places(q.expand(30, 16)) @ at_places(k.expand(30, 16)).T
    torch.testing.assert_close(scores.diagonal(-5), scores[5, 0].expand(25))
    assert (scores[6, 0] - scores[5, 0]).abs() > 1e-3


def attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    q, k = at_places(q), at_places(k)
    return mixed(q, k, maps_of(k, v))


def test_an_automorphism_that_leaves_the_rotary_unit_alone_comes_out_as_it_went_in() -> None:
    # (a, b) to (a, u b), with a unit quaternion u, keeps all products
    u = unit(draws(4, seed=1))

    def turned(x: torch.Tensor) -> torch.Tensor:
        first, second = x.unflatten(-1, (-1, 8)).chunk(2, -1)
        return torch.cat([first, quaternions.product(u, second)], -1).flatten(-2)

    q, k, v = draws(3, 9, 16)
    assert close(attended(turned(q), turned(k), turned(v)), turned(attended(q, k, v)))


def test_a_unit_factor_from_the_left_does_not_as_it_does_of_quaternions() -> None:
    # u* ((u k) w) isn't k w: octonions don't associate. Without positions the scores alone stay.
    u, (q, k, v) = unit(draws(2, 8, seed=2)), draws(3, 9, 16)
    q_u, k_u, v_u = (product(u, x.unflatten(-1, (-1, 8))).flatten(-2) for x in (q, k, v))
    before, after = attended(q, k, v), attended(q_u, k_u, v_u)
    back = product(conjugate(u), after.unflatten(-1, (-1, 8))).flatten(-2)
    assert (back - before).norm() > 0.1 * before.norm()
    assert close(q_u @ k_u.T, q @ k.T)
    assert (at_places(q_u) @ at_places(k_u).T - at_places(q) @ at_places(k).T).abs().max() > 0.1


def test_slopes_are_found_after_a_first_pass_in_inference_mode() -> None:
    for kept in (octonions.table, octonions._left, octonions._right):
        kept.cache_clear()
    x = torch.randn(3, 8, requires_grad=True)
    with torch.inference_mode():
        octonions.from_right(octonions.product(x, x))
    octonions.from_right(octonions.product(x, x)).sum().backward()
    assert x.grad is not None and x.grad.any()
