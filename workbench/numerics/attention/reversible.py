"""Layers that can be run backwards, so that training keeps the last of them instead of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch.autograd.function import once_differentiable

from workbench.numerics.attention.standard import Standard
from workbench.numerics.geometry.mechanism import Mechanism, Option, State

Pair = tuple[torch.Tensor, torch.Tensor]


class Reversible(Standard):
    """Standard attention in reversible layers: y₁ = x₁ + attend(x₂), y₂ = x₂ + think(y₁), and back by subtraction.

    Parameters
    ----------
    grid_bits : both streams are whole multiples of 2 to the minus this, so that a layer is undone to the last bit; 0 leaves them
        free, and undoing rounds. The slope is that of the free streams.

    References
    ----------
    Gomez et al. 2017, RevNet (1707.04585), equations 6 and 7; Kitaev et al. 2020, Reformer (2001.04451). Bits: Dinh et al. 2014
    (1410.8516); MacKay et al. 2018, Reversible recurrent networks (1810.10999).
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {**Standard.OPTIONS, "grid_bits": Option(0, 0, 40)}


def through(
    layers: Sequence[Any], x: Pair, seed: int | None = None, states: Sequence[State] | None = None
) -> Pair:
    """Both streams (b, n, width) after all layers, as they are stored: whole numbers (int64) on a grid."""
    first, second = x
    for i, layer in enumerate(layers):
        state = None if states is None else states[i]
        with _drawn(seed, 2 * i, first.device):
            first = first + stored(layers, layer.attend(read(layers, second), state))
        with _drawn(seed, 2 * i + 1, first.device):
            second = second + stored(layers, layer.think(read(layers, first)))
    return first, second


@torch.no_grad()
def undone(layers: Sequence[Any], y: Pair, seed: int | None = None) -> Pair:
    """The streams that `through` took to these."""
    first, second = y
    for i in reversed(range(len(layers))):
        with _drawn(seed, 2 * i + 1, first.device):
            second = second - stored(layers, layers[i].think(read(layers, first)))
        with _drawn(seed, 2 * i, first.device):
            first = first - stored(layers, layers[i].attend(read(layers, second)))
    return first, second


def stored(layers: Sequence[Any], x: torch.Tensor) -> torch.Tensor:
    """A stream, or what is added to one, as it is kept."""
    bits = layers[0].mixer.options["grid_bits"]
    return (x.double() * 2.0**bits).round().long() if bits else x


def read(layers: Sequence[Any], x: torch.Tensor) -> torch.Tensor:
    """A stream as layers read it."""
    bits = layers[0].mixer.options["grid_bits"]
    return (x.double() * 2.0**-bits).to(next(layers[0].parameters()).dtype) if bits else x


@contextmanager
def _drawn(seed: int | None, step: int, device: torch.device) -> Iterator[None]:
    """Let dropout draw what it drew of this step of the pass before."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed + step)
        yield


class _Run(torch.autograd.Function):
    """All layers in one step of the tape, which keeps the two streams behind the last."""

    @staticmethod
    def forward(
        ctx: Any, layers: Sequence[Any], seed: int | None, x: torch.Tensor, *weights: torch.Tensor
    ) -> torch.Tensor:
        start = stored(layers, x)
        y = through(layers, (start, start), seed)
        ctx.layers, ctx.seed = layers, seed
        ctx.save_for_backward(*y)
        return read(layers, y[0]) + read(layers, y[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[Any, ...]:
        # invariant: first and second are the streams behind layer i, d_first and d_second the loss's slopes by them
        layers, (first, second) = ctx.layers, ctx.saved_tensors
        d_first, d_second = slope, slope
        of_weights: dict[torch.Tensor, torch.Tensor] = {}
        for i in reversed(range(len(layers))):
            layer = layers[i]
            for step, part in ((2 * i + 1, layer.think), (2 * i, layer.attend)):
                reads = read(layers, first if part == layer.think else second).detach().requires_grad_()
                with _drawn(ctx.seed, step, first.device), torch.enable_grad():
                    made = part(reads)
                weights = [p for p in layer.parameters() if p.requires_grad]
                into, *found = torch.autograd.grad(
                    made, [reads, *weights], d_second if part == layer.think else d_first, allow_unused=True
                )
                for weight, d in zip(weights, found, strict=True):
                    if d is not None:
                        of_weights[weight] = of_weights[weight] + d if weight in of_weights else d
                if part == layer.think:
                    second, d_first = second - stored(layers, made.detach()), d_first + into
                else:
                    first, d_second = first - stored(layers, made.detach()), d_second + into
        return None, None, d_first + d_second, *(of_weights.get(p) for p in _weights(layers))


def _weights(layers: Sequence[Any]) -> list[torch.Tensor]:
    return [p for layer in layers for p in layer.parameters()]


def run(layers: Sequence[Any], x: torch.Tensor, states: Sequence[State] | None) -> torch.Tensor:
    """Both streams begin as ``x`` and end as their sum."""
    if states is not None:
        start = stored(layers, x)
        first, second = through(layers, (start, start), None, states)
        return read(layers, first) + read(layers, second)
    drops = layers[0].training and layers[0].dropout
    seed = int(torch.randint(2**31, ())) if drops else None
    found: torch.Tensor = _Run.apply(layers, seed, x, *_weights(layers))
    return found


MECHANISM = Mechanism(Reversible, run=run, again=1, twice=False)
