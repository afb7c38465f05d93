"""Bounds that hold whatever moves, a radius that no attack breaks, and one too large that an attack does break."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from workbench.numerics.attention.tropical import JOINTLY, mixed
from workbench.numerics.geometry.certificate import Form, Last, after, mixed_form
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.numerics.geometry.mechanism import normalized


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def form(*shape: int, size: float, seed: int) -> Form:
    moves = size * drawn(4, *shape, seed=seed + 100)
    return Form(drawn(*shape, seed=seed), moves, size * drawn(*shape, seed=seed + 200).abs())


def inside(x: Form, moves: torch.Tensor, seed: int) -> torch.Tensor:
    """A point of a form, at its moves (4) and with errors of full size."""
    return x.at + torch.einsum("m,m...->...", moves, x.by) + x.error * drawn(*x.at.shape, seed=seed).sign()


def gpt(layers: int = 1, seed: int = 0) -> GPT:
    torch.manual_seed(seed)
    made = GPT(GeometryConfig(mechanism="tropical", width=8, layers=layers, heads=2, vocabulary=8))
    torch.nn.init.normal_(made.lm_head.weight)
    return made.double()


@pytest.mark.parametrize("size", [0.001, 0.03, 0.1])
def test_every_step_holds_what_it_bounds(size: float) -> None:
    q, k, v = (form(3, 5, 4, size=size, seed=seed) for seed in range(3))
    weight = drawn(6, 4, seed=9)
    steps = (
        (q.linear(weight), lambda a, b, c: a @ weight.T),
        (q.times(k), lambda a, b, c: a * b),
        (q.normalized(), lambda a, b, c: normalized(a)),
        (q.squared_relu(), lambda a, b, c: F.relu(a).square()),
        (q.largest(-1), lambda a, b, c: a.amax(-1)),
        (mixed_form(q, k, v), mixed),
    )
    for draw in range(40):
        moves = drawn(4, seed=draw).sign()
        a, b, c = (inside(x, moves, 1000 + 3 * draw + i) for i, x in enumerate((q, k, v)))
        for bound, f in steps:
            rest = f(a, b, c) - bound.at - torch.einsum("m,m...->...", moves, bound.by)
            assert (
                (rest.abs() <= bound.error + 1e-12) | bound.error.isinf()
            ).all()  # ∞ where a norm may be 0


def test_tropical_bounds_part_by_no_more_than_its_lipschitz_constants() -> None:
    size = 1e-3
    of = [
        Form(
            drawn(5, 4, seed=i),
            torch.zeros(1, 5, 4, dtype=torch.float64),
            torch.full((5, 4), size, dtype=torch.float64),
        )
        for i in range(3)
    ]
    radius = mixed_form(*of).radius()
    assert (radius <= JOINTLY * size + 1e-15).all() and (radius > size).all()


def test_a_layer_holds_what_it_bounds_and_is_the_layer_at_the_centre() -> None:
    made = gpt()
    layer, x = made.layers[0], form(2, 5, 8, size=2e-3, seed=0)
    still = Form(x.at, 0 * x.by, 0 * x.error)
    torch.testing.assert_close(after(layer, still).at, made.mechanism.run([layer], x.at, None))  # type: ignore[arg-type]
    bound = after(layer, x)  # type: ignore[arg-type]
    for draw in range(20):
        moves = drawn(4, seed=draw).sign()
        y = made.mechanism.run([layer], inside(x, moves, draw), None)
        rest = y - bound.at - torch.einsum("m,m...->...", moves, bound.by)
        assert (rest.abs() <= bound.error + 1e-12).all()


def all_pairs() -> torch.Tensor:
    return torch.cartesian_prod(torch.arange(8), torch.arange(8))


def test_no_attack_flips_what_is_certified_and_one_flips_what_is_twice_as_wide() -> None:
    last = Last(gpt(), all_pairs())
    radius = last.certified()
    assert (radius > 0).all() and last.surely(radius).all()
    assert torch.isinf(last.attacked(radius, steps=15)).all()
    flipped = last.attacked(2 * radius, steps=15)
    assert torch.isfinite(flipped).any()  # a certificate twice as wide would be false
    assert (flipped > radius).all()


def test_two_layers_are_certified_too() -> None:
    last = Last(gpt(2), all_pairs()[:8])
    radius = last.certified()
    assert (radius > 0).all() and torch.isinf(last.attacked(radius, steps=10, restarts=1)).all()


def test_what_is_found_does_flip() -> None:
    last = Last(gpt(), all_pairs()[:8])
    found = last.attacked(torch.ones(8, dtype=torch.float64), steps=10, restarts=1)
    assert (
        torch.isfinite(found).any()
        and not last.surely(found.clamp(max=1)).logical_and(found.isfinite()).any()
    )


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="bounds are known of tropical attention alone, not of standard"):
        Last(GPT(GeometryConfig(width=8, heads=2)), all_pairs())
    with pytest.raises(ValueError, match="bounds are proven in double precision"):
        Last(GPT(GeometryConfig(mechanism="tropical", width=8, heads=2)), all_pairs())
