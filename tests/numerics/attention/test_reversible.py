"""Reversible layers: undone, their slopes those of the tape, and nothing kept that grows with their number."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
import torch

from workbench.numerics.attention.reversible import read, run, stored, through, undone
from workbench.numerics.geometry.config import GeometryConfig
from workbench.numerics.geometry.gpt import GPT


def layers(count: int, **sizes: Any) -> list[torch.nn.Module]:
    torch.manual_seed(0)
    sizes = {"width": 16, "heads": 2, "vocabulary": 16, **sizes}
    return list(GPT(GeometryConfig(mechanism="reversible", layers=count, **sizes)).layers)


def stream(n: int = 9, width: int = 16) -> torch.Tensor:
    return torch.randn(2, n, width, generator=torch.Generator().manual_seed(1))


def of_tape(parts: list[Any], x: torch.Tensor, seed: int | None = None) -> torch.Tensor:
    first, second = through(parts, (x, x), seed)
    return first + second


def slopes(parts: list[Any], made: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    weights = [p for layer in parts for p in layer.parameters()]
    return torch.cat([d.flatten() for d in torch.autograd.grad(made.square().sum(), [x, *weights])])


@torch.no_grad()
def test_32_layers_are_undone() -> None:
    parts, x = layers(32), stream()
    y = through(parts, (x, x))
    assert (y[0] - x).norm() > 0.1 * x.norm()  # they do something
    for back in undone(parts, y):
        assert (back - x).norm() <= 1e-5 * x.norm()


@torch.no_grad()
def test_on_a_grid_32_layers_are_undone_to_the_last_bit() -> None:
    parts, x = layers(32, options={"grid_bits": 20}), stream()
    start = stored(parts, x)
    y = through(parts, (start, start))
    assert start.dtype == torch.int64 and not torch.equal(y[0], start)
    assert all(torch.equal(back, start) for back in undone(parts, y))
    free = layers(32)
    torch.testing.assert_close(read(parts, y[0]), through(free, (x, x))[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_slopes_are_those_of_the_tape_with_the_same_dropout(dropout: float) -> None:
    parts, x = layers(32, dropout=dropout), stream().requires_grad_()
    torch.manual_seed(5)
    made = run(parts, x, None)
    torch.manual_seed(5)
    seed = int(torch.randint(2**31, ())) if dropout else None
    plain = of_tape(parts, x, seed)
    torch.testing.assert_close(made, plain)
    ours, theirs = slopes(parts, made, x), slopes(parts, plain, x)
    assert (ours - theirs).norm() <= 1e-5 * theirs.norm()
    if dropout:
        assert not torch.allclose(run(parts, x, None), made)  # other draws


def test_slopes_on_a_grid_are_nearly_those_of_free_streams() -> None:
    x = stream().requires_grad_()
    grid, free = layers(4, options={"grid_bits": 20}), layers(4)
    ours, theirs = slopes(grid, run(grid, x, None), x), slopes(free, run(free, x, None), x)
    assert (ours - theirs).norm() <= 1e-3 * theirs.norm()


def kept_bytes(mechanism: str, count: int) -> int:
    torch.manual_seed(0)
    gpt = GPT(GeometryConfig(mechanism=mechanism, layers=count, width=16, heads=2, vocabulary=16))
    weights = {p.data_ptr() for p in gpt.parameters()}
    held: dict[int, int] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        if t.untyped_storage().data_ptr() not in weights:
            held[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        loss = gpt(torch.zeros(2, 9, dtype=torch.long)).sum()
    del loss
    return sum(held.values())


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_layers() -> None:
    assert kept_bytes("reversible", 4) == kept_bytes("reversible", 32)
    assert kept_bytes("standard", 32) > 6 * kept_bytes("standard", 4)


def peak_bytes(mechanism: str, count: int) -> int:
    """At the top of a training step, above the parameters and their gradients."""
    torch.manual_seed(0)
    gpt = GPT(GeometryConfig(mechanism=mechanism, layers=count, width=16, heads=2, vocabulary=16))
    x = torch.zeros(8, 64, dtype=torch.long)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as seen:
        gpt(x).square().sum().backward()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns()))
    return max(held) - sum(p.grad.nbytes for p in gpt.parameters())


def test_the_peak_of_a_training_step_does_not_grow_with_layers() -> None:
    assert peak_bytes("reversible", 16) <= 1.2 * peak_bytes("reversible", 4)
    assert peak_bytes("standard", 16) > 2 * peak_bytes("standard", 4)


def test_a_second_derivative_is_refused() -> None:
    parts, x = layers(2), stream().requires_grad_()
    (slope,) = torch.autograd.grad(run(parts, x, None).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
