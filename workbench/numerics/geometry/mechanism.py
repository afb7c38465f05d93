"""What a kind of attention is: a module that mixes positions, how layers are run, what weights are, and what it costs.

A file of `workbench.numerics.attention` holds one `Mechanism`. Most change the mixer alone; one may instead change how a
stack of layers is run (and undone), or what a linear map's weights are made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn import functional as F

State = dict[str, torch.Tensor]
"""What a mixer remembers of the positions that it has read, by name."""
Linear = Callable[[int, int], nn.Module]
Fill = Callable[[torch.Tensor, float], None]
"""Draws a matrix in place, with entries of mean 0 and that standard deviation."""
plain_linear: Linear = partial(nn.Linear, bias=False)


@runtime_checkable
class Drawn(Protocol):
    """A map that isn't torch's own, and draws its weights itself."""

    def draw(self, gain: float, fill: Fill) -> None:
        """Draw them with an initializer, so that input of variance 1 gives a variance of gain squared."""


class Option(NamedTuple):
    """A whole number that a kind of attention takes: its default and its legal range."""

    default: int
    low: int
    high: int


@dataclass(frozen=True)
class Cost:
    """Operations of a forward pass.

    Attributes
    ----------
    matrix : floating point operations of matrix products, two a multiplication with its addition.
    other : what runs outside of them, by kind: ``max-plus``, ``sort`` (comparisons), ``scan`` and ``elementwise``.
    """

    matrix: float = 0.0
    other: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, more: Cost) -> Cost:
        return Cost(self.matrix + more.matrix, dict(Counter(self.other) + Counter(more.other)))

    def times(self, factor: float) -> Cost:
        return Cost(factor * self.matrix, {kind: factor * n for kind, n in self.other.items()})


class Mixer(nn.Module):
    """Mixes positions of (b, n, width), each with those before it; what all kinds share.

    Parameters
    ----------
    heads : they share ``width`` evenly. linear : makes a map without bias of so many numbers to so many.
    options : the kind's own numbers; see its ``OPTIONS``.

    Raises
    ------
    ValueError
        As `check` does.
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {}
    MULTIPLE: ClassVar[int] = 1
    """A head's size is a multiple of this."""
    WHY: ClassVar[str] = ""
    """Why it has to be, in words."""
    NO_CACHE: ClassVar[str] = ""
    """Why there is no cached decoding; empty where there is."""

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__()
        self.options = self.check(width, heads, options)
        self.width, self.heads, self.size = width, heads, width // heads
        self.linear = linear

    @classmethod
    def check(cls, width: int, heads: int, options: Mapping[str, int]) -> dict[str, int]:
        """Give all options, defaults with them.

        Raises
        ------
        ValueError
            Heads that don't cut the width evenly, or into heads of a size that this kind can't have, an option that it
            doesn't have, or one out of its range; the message says what is legal.
        """
        name = cls.__name__.lower()
        legal = [h for h in range(1, width + 1) if width % h == 0 and (width // h) % cls.MULTIPLE == 0]
        if heads not in legal:
            size = f"{width / heads:g}" if heads else "none"
            instead = f"width={width} allows heads={', '.join(map(str, legal))}" if legal else ""
            raise ValueError(
                f"heads={heads} cuts width={width} into heads of {size}; {name} takes heads of a multiple of {cls.MULTIPLE}"
                f"{f' ({cls.WHY})' if cls.WHY else ''}: "
                f"{instead or f'take a width that is a multiple of {cls.MULTIPLE}'}"
            )
        for option, value in options.items():
            if option not in cls.OPTIONS:
                has = f"it has {', '.join(sorted(cls.OPTIONS))}" if cls.OPTIONS else "it has none"
                raise ValueError(f"{option}: {name} has no such option; {has}")
            _, low, high = cls.OPTIONS[option]
            if type(value) is not int or not low <= value <= high:
                raise ValueError(
                    f"{option}: it must be a whole number from {low:,} to {high:,}, not {value!r}"
                )
        return {option: options.get(option, known.default) for option, known in cls.OPTIONS.items()}

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """(b, n, width) to the same; ``state`` holds what was read before, and is brought up to date."""
        raise NotImplementedError

    def cost(self, length: int, keys: float) -> Cost:
        """What mixing a sequence costs, projections with it.

        Parameters
        ----------
        keys : that a query meets, averaged over queries: (length + 1) / 2 where nothing is computed that causality
            hides, length for what the dense form in torch computes.
        """
        raise NotImplementedError

    def split(self, x: torch.Tensor, heads: int | None = None) -> torch.Tensor:
        """(b, n, heads · e) to (b, heads, n, e)."""
        return x.unflatten(-1, (heads or self.heads, -1)).transpose(1, 2)


Increment = Callable[[torch.Tensor], torch.Tensor]
Runs = Callable[[Sequence[nn.Module], torch.Tensor, Sequence[State] | None], torch.Tensor]


def added(layers: Sequence[Any], x: torch.Tensor, states: Sequence[State] | None) -> torch.Tensor:
    """Run layers one after the other, each adding what it makes to the stream."""
    for i, layer in enumerate(layers):
        x = layer(x, None if states is None else states[i])
    return x


@dataclass(frozen=True)
class Mechanism:
    """A kind of attention.

    Attributes
    ----------
    mixer : the class that mixes positions. run : runs a stack of layers. linear : makes the maps of mixers and of what follows
    them. again : how often the forward pass of the layers is computed in the backward pass. twice : whether there are second
    derivatives.
    """

    mixer: type[Mixer]
    run: Runs = added
    linear: Linear = plain_linear
    again: int = 0
    twice: bool = True


def normalized(x: torch.Tensor) -> torch.Tensor:
    """Root-mean-square normalization of the last axis, without weights."""
    return F.rms_norm(x, x.shape[-1:])


def rotation(positions: torch.Tensor, size: int, base: float = 10_000.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (n, size / 2), float64, of the rotary embedding of positions (n).

    References
    ----------
    Su et al. 2021, RoFormer (2104.09864), equation 34.
    """
    rates = base ** -(torch.arange(0, size, 2, dtype=torch.float64, device=positions.device) / size)
    angles = positions.to(torch.float64)[:, None] * rates
    return angles.cos(), angles.sin()


def rotated(x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """(..., n, e) with the pairs (l, l + e/2) turned by `rotation`'s angles."""
    first, second = x.chunk(2, -1)
    cos, sin = (part.to(x.dtype) for part in turn)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


def visible(queries: int, keys: int, device: torch.device) -> torch.Tensor:
    """(queries, keys) of bool: which keys a query sees, where the queries are the last of the keys' positions."""
    at = torch.arange(keys - queries, keys, device=device)
    return at[:, None] >= torch.arange(keys, device=device)


def causal_weights(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Softmax over the keys that each query sees, (..., queries, keys), of scores scaled by 1 / √e."""
    scores = q @ k.mT / q.shape[-1] ** 0.5
    return scores.masked_fill(~visible(q.shape[-2], k.shape[-2], q.device), -torch.inf).softmax(-1)


def seen_before(state: State | None) -> int:
    """How many positions a state has read."""
    return int(state["seen"]) if state and "seen" in state else 0


def kept(state: State | None, count: int, **parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Parts (..., n, e) behind those that a state holds of them, which it holds then too; ``count`` positions are new."""
    if state is None:
        return tuple(parts.values())
    begin = seen_before(state)
    for name, part in parts.items():
        state[name] = torch.cat([state[name], part.detach()], -2) if begin else part.detach()
    state["seen"] = torch.tensor(begin + count)
    return tuple(state[name] for name in parts)
