"""What every kind of attention has to hold: causality, decoding, gradients, refusals, odd shapes, counted operations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from workbench.numerics.attention import NAMES, mechanism_of
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT, GPTState, cost_of

SMALL = {"width": 32, "layers": 2, "heads": 2, "vocabulary": 32}
every = pytest.mark.parametrize("name", NAMES)


def small(name: str, seed: int = 0, **sizes: Any) -> GPT:
    torch.manual_seed(seed)
    return GPT(GeometryConfig(**{**SMALL, "mechanism": name, **sizes})).eval()


def tokens(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, 32, shape, generator=torch.Generator().manual_seed(seed))


@every
@torch.no_grad()
def test_later_tokens_change_nothing_before_them(name: str) -> None:
    gpt, x = small(name), tokens(2, 37)
    before = gpt(x)
    for t in (1, 18, 36):
        changed = x.clone()
        changed[:, t] = (changed[:, t] + 7) % 32
        after = gpt(changed)
        assert torch.equal(before[:, :t], after[:, :t])
        assert not torch.equal(before[:, t], after[:, t])
        if t < 36:  # what is behind has read it
            assert (before[:, t + 1] - after[:, t + 1]).abs().max() > 1e-4


@every
@torch.no_grad()
def test_a_stream_equals_the_full_pass_or_is_refused_by_name(name: str) -> None:
    gpt, x = small(name), tokens(2, 21)
    state = GPTState()
    if gpt.mechanism.mixer.NO_CACHE:
        with pytest.raises(ValueError, match=f"{name} has no cached decoding"):
            gpt(x, state)
        return
    parts = [gpt(part, state) for part in x.split([7, 1, 1, 5, 1, 6], 1)]
    whole = gpt(x)
    assert (torch.cat(parts, 1) - whole).norm() <= 1e-4 * whole.norm()


@every
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    torch.manual_seed(3)
    mechanism = mechanism_of(name)
    size = max(4, mechanism.mixer.MULTIPLE)
    mixer = mechanism.mixer(size, 1, linear=mechanism.linear).double()
    x = torch.randn(1, 5, size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mixer, (x,), eps=1e-6, atol=1e-6, rtol=1e-4)


@every
def test_head_sizes_and_options_are_refused_with_the_legal_ones(name: str) -> None:
    multiple = mechanism_of(name).mixer.MULTIPLE
    with pytest.raises(ValueError, match=r"heads=1, 2, 4") as refused:
        GeometryConfig(mechanism=name, width=4 * max(multiple, 8), heads=3)
    assert f"a multiple of {multiple}" in str(refused.value)
    if multiple > 1:
        with pytest.raises(ValueError, match=f"a width that is a multiple of {multiple}"):
            GeometryConfig(mechanism=name, width=4 * multiple + 1, heads=1)
    with pytest.raises(ValueError, match="no such option"):
        GeometryConfig(mechanism=name, options={"moons": 2})
    for option, (_, low, high) in mechanism_of(name).mixer.OPTIONS.items():
        with pytest.raises(ValueError, match=f"{option}: .* from {low:,} to {high:,}"):
            GeometryConfig(mechanism=name, options={option: high + 1})


@every
@torch.no_grad()
def test_any_length_and_one_row(name: str) -> None:
    gpt = small(name)
    whole = gpt(tokens(1, 67))
    assert torch.isfinite(whole).all()
    for n in (1, 2, 3, 33):
        part = gpt(tokens(1, 67)[:, :n])
        assert part.shape == (1, n, 32)
        torch.testing.assert_close(part, whole[:, :n], rtol=1e-4, atol=1e-5)


@every
def test_matrix_operations_are_as_counted(name: str) -> None:
    gpt, n = small(name), 24
    formula = gpt.cost(n, keys=n)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        gpt(tokens(1, n))
    assert counter.get_total_flops() == pytest.approx(formula.matrix, rel=0.01)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        F.cross_entropy(gpt(tokens(1, n))[0], tokens(n)).backward()
    assert counter.get_total_flops() == pytest.approx(gpt.cost(n, keys=n, training=True).matrix, rel=0.01)
    needed = cost_of(gpt.config, n)
    assert needed.matrix <= formula.matrix and needed == gpt.cost(n)


@every
@pytest.mark.slow
def test_no_nan_in_150_steps(name: str) -> None:
    gpt = small(name, layers=1).train()
    optimizer = torch.optim.AdamW(gpt.parameters(), lr=1e-2)
    x = tokens(2, 17)
    losses = []
    for _ in range(150):
        loss = F.cross_entropy(gpt(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(torch.isfinite(p).all() for p in gpt.parameters())
    assert torch.isfinite(torch.tensor(losses)).all() and losses[-1] < 0.7 * losses[0]
