"""Reparametrizations: what each holds of slopes, sizes and steps, beside the plain map as the control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from workbench.numerics.attention.surreal import SurrealLinear
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT
from workbench.numerics.geometry.mechanism import plain_linear
from workbench.numerics.geometry.scales import BASE, OF_DIRECTIONS, OF_ENTRIES, OF_SIZES, steadied
from workbench.numerics.initializers.normal import fill
from workbench.numerics.reparametrizations import NAMES, reparametrization_of

MADE = [name for name in NAMES if name != "none"]


def drawn(name: str, into: int, out: int, gain: float = 1.0, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    if name == "none":
        found = plain_linear(into, out)
        fill(found.weight, gain * into**-0.5)  # type: ignore[arg-type]
        return found
    made = SurrealLinear(into, out) if name == "surreal" else reparametrization_of(name).LINEAR(into, out)
    made.draw(gain, fill)
    return made


@pytest.mark.parametrize("name", MADE)
def test_it_begins_with_the_variance_of_others(name: str) -> None:
    x = torch.randn(400, 96, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        assert drawn(name, 96, 80, 0.5)(x).var() == pytest.approx(0.25, rel=0.06)


@pytest.mark.parametrize("name", ["weight_norm", "sigma_reparam", "balanced"])
def test_slopes_are_at_right_angles_and_size_changes_nothing(name: str) -> None:
    m, x = drawn(name, 12, 7).double().eval(), torch.randn(5, 12, dtype=torch.float64)
    y = m(x)
    y.pow(3).sum().backward()
    along = (m.direction * m.direction.grad).sum(-1)
    along = (
        along.sum() if name == "sigma_reparam" else along.abs().max()
    )  # one size of the whole, or one of each row
    assert abs(along) <= 1e-12 * m.direction.norm() * m.direction.grad.norm() and m.direction.grad.any()
    with torch.no_grad():
        m.direction.mul_(7)
    torch.testing.assert_close(m(x), y)


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_the_largest_singular_value_is_gamma_while_it_learns(shape: tuple[int, int]) -> None:
    m = drawn("sigma_reparam", *shape)
    x, y = torch.randn(64, shape[0]), torch.randn(64, shape[1])
    optimizer = torch.optim.Adam(m.parameters(), lr=3e-3)
    first = m.gamma.item()
    for _ in range(40):
        assert torch.linalg.matrix_norm(m.weight, 2).item() == pytest.approx(m.gamma.item(), rel=1e-3)
        optimizer.zero_grad()
        (m(x) - y).square().mean().backward()
        optimizer.step()
    assert abs(m.gamma.item() - first) > 0.01
    before = m.eval().left.clone()
    m(x)
    assert torch.equal(before, m.left)


def test_it_is_torch_s_weight_normalization() -> None:
    ours, theirs = (
        drawn("weight_norm", 6, 4),
        nn.utils.parametrizations.weight_norm(nn.Linear(6, 4, bias=False)),
    )
    with torch.no_grad():
        ours.length.normal_()
        theirs.parametrizations.weight.original0.copy_(ours.length[:, None])
        theirs.parametrizations.weight.original1.copy_(ours.direction)
    x = torch.randn(5, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def moved(name: str, width: int, chosen: Callable[[str], bool] = lambda _: True) -> float:
    """By how much one step of Adam that all entries agree on moves an output, on average."""
    m = drawn(name, width, 32)
    x = torch.randn(1, width, generator=torch.Generator().manual_seed(1))
    before = m(x)
    optimizer = torch.optim.Adam([p for n, p in m.named_parameters() if chosen(n)], lr=1e-4)
    before.square().sum().backward()
    optimizer.step()
    return float((m(x) - before).abs().mean().detach())


def test_a_step_moves_an_output_alike_at_each_width_only_with_mup() -> None:
    growth = {name: moved(name, 1024) / moved(name, 64) for name in ("none", "mup")}
    assert growth["mup"] == pytest.approx(1, abs=0.1) and growth["none"] == pytest.approx(16, rel=0.1)


def test_directions_and_sizes_keep_pace_only_where_they_are_balanced() -> None:
    """A row's direction outgrows its size by the square root of the width, as the transseries says."""
    growth = {
        name: moved(name, 1024, lambda n: n == "direction") / moved(name, 64, lambda n: n == "direction")
        for name in ("surreal", "balanced")
    }
    sizes = [moved("balanced", width, lambda n: n != "direction") for width in (1024, 64)]
    assert growth["surreal"] == pytest.approx(4, rel=0.15) and growth["balanced"] == pytest.approx(
        1, rel=0.15
    )
    assert sizes[0] / sizes[1] == pytest.approx(
        1, rel=0.35
    )  # of one draw of outputs each, which sizes multiply


def test_a_network_s_logits_move_more_where_it_is_wider_unless_steps_are_scaled() -> None:
    ratio = {}
    for name in ("none", "mup", "balanced"):
        change = []
        for width in (32, 512):
            torch.manual_seed(0)
            gpt = GPT(GeometryConfig(width=width, layers=1, heads=4, vocabulary=16, reparametrization=name))
            x = torch.randint(16, (2, 17))
            optimizer, before = torch.optim.Adam(gpt.parameters(), lr=1e-3), gpt(x)
            nn.functional.cross_entropy(before[:, :-1].flatten(0, 1), x[:, 1:].flatten()).backward()
            optimizer.step()
            change.append(float((gpt(x) - before).norm().detach()))
        ratio[name] = change[1] / change[0]
    assert ratio["none"] > 6 and max(ratio["mup"], ratio["balanced"]) < 3


def test_scales_are_those_of_the_dominant_terms() -> None:
    assert steadied(OF_ENTRIES, OF_SIZES, 4 * BASE) == pytest.approx(1 / 4)
    assert steadied(OF_DIRECTIONS, OF_SIZES, 4 * BASE) == pytest.approx(1 / 2)
    assert steadied(OF_ENTRIES, OF_ENTRIES, 7) == steadied(OF_ENTRIES, OF_SIZES, BASE) == 1


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("kind", ["standard", "braid", "fractal", "reversible"])
def test_kinds_take_each_or_refuse_it(kind: str, name: str) -> None:
    sizes: dict[str, Any] = {"mechanism": kind, "width": 16, "layers": 1, "heads": 2, "vocabulary": 16}
    if (kind, name) == ("reversible", "sigma_reparam"):
        with pytest.raises(ValueError, match=r"run again .* it takes none, balanced, mup, weight_norm"):
            GeometryConfig(**sizes, reparametrization=name)
        return
    gpt = GPT(GeometryConfig(**sizes, reparametrization=name))
    x = torch.randint(16, (2, 9))
    gpt(x).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in gpt.parameters())
    gpt.eval()
    assert gpt.cost(9) == GPT(GeometryConfig(**sizes)).cost(9)


def test_what_there_is_not_and_what_is_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match=r"reparametrization: there is no 'moon'.*weight_norm"):
        GeometryConfig(reparametrization="moon")
    with pytest.raises(ValueError, match="surreal is one of its own; take 'none', or mechanism='standard'"):
        GeometryConfig(mechanism="surreal", reparametrization="mup")
