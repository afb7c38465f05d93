"""Attention of pairs: a position reads two others at once, over two windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.geometry.mechanism import (
    Cost,
    Linear,
    Mechanism,
    Mixer,
    Option,
    State,
    normalized,
    plain_linear,
)


class Simplicial(Mixer):
    """Σ_jk softmax(⟨q_i, k_j, k'_k⟩ / √e) v_j ∘ v'_k, over the last ``near`` positions j and the last ``pairs`` positions k.

    ⟨a, b, c⟩ = Σ a b c. It isn't invariant under a rotary embedding; a learned bias for how far back j and k lie, 0 at first, tells
    positions apart. Keys and values twice cost two projections more than the other kinds have.

    References
    ----------
    Roy et al. 2025, Fast and simplex (2507.02754), equations 5 to 8; Clift et al. 2019 (1909.00668).
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {"near": Option(32, 1, 4096), "pairs": Option(8, 1, 4096)}

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__(width, heads, linear=linear, **options)
        self.near, self.pairs = self.options["near"], self.options["pairs"]
        self.q_proj, self.k_proj, self.v_proj, self.k2_proj, self.v2_proj, self.o_proj = (
            linear(width, width) for _ in range(6)
        )
        self.near_bias = nn.Parameter(torch.zeros(heads, self.near))
        self.pairs_bias = nn.Parameter(torch.zeros(heads, self.pairs))

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        q, k, k2 = (normalized(self.split(p(x))) for p in (self.q_proj, self.k_proj, self.k2_proj))
        v, v2 = (self.split(p(x)) for p in (self.v_proj, self.v2_proj))
        (k, real), (v, _) = (_windows(part, self.near, state, n) for n, part in (("k", k), ("v", v)))
        (k2, real2), (v2, _) = (_windows(part, self.pairs, state, n) for n, part in (("k2", k2), ("v2", v2)))
        bias = self.near_bias[:, None, None, :] + self.pairs_bias[:, None, :, None]
        scores = trilinear(q, k, k2) / self.size**0.5 + bias
        scores = scores.masked_fill(~(real[:, None, :] & real2[:, :, None]), -torch.inf)
        weights = scores.flatten(-2).softmax(-1).unflatten(-1, scores.shape[-2:])
        y = ((weights @ v) * v2).sum(-2)
        return self.o_proj(y.transpose(1, 2).flatten(-2))

    def cost(self, length: int, keys: float) -> Cost:
        d = self.width
        return Cost(
            length * (12 * d * d + 4 * self.near * self.pairs * d),
            {"elementwise": length * 3 * self.pairs * d},
        )


def trilinear(q: torch.Tensor, k: torch.Tensor, k2: torch.Tensor) -> torch.Tensor:
    """⟨q_i, k_j, k'_k⟩ (..., n, pairs, near) of (..., n, e) and windows (..., n, near, e) and (..., n, pairs, e)."""
    return (q[..., None, :] * k2) @ k.mT


def _windows(
    part: torch.Tensor, size: int, state: State | None, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The last ``size`` rows until each (b, heads, n, size, e), the oldest first, and which of them there are (n, size)."""
    n = part.shape[-2]
    if state is not None:
        part = torch.cat([state[name], part], -2) if name in state else part
        state[name] = part[..., max(part.shape[-2] - size + 1, 0) :, :].detach()
    missing = n + size - 1 - part.shape[-2]
    at = torch.arange(n, device=part.device)[:, None] + torch.arange(size, device=part.device)
    return F.pad(part, (0, 0, missing, 0)).unfold(-2, size, 1).mT, at >= missing


def boundaries(n: int, near: int, pairs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boundary matrices of the complex of what is read: B₁ (n, edges) and B₂ (edges, triangles), float64.

    Triangles are positions k < j < i with i - j < near and i - k < pairs, or the two windows exchanged; edges are theirs. Hodge
    Laplacians of edges are B₁ᵀB₁ + B₂B₂ᵀ, whose two parts multiply to 0.
    """
    read = {
        tuple(sorted((i, j, k)))
        for i in range(n)
        for j in range(max(0, i - near + 1), i)
        for k in range(max(0, i - pairs + 1), i)
        if j != k
    }
    triangles = sorted(read)
    edges = sorted({pair for a, b, c in triangles for pair in ((a, b), (a, c), (b, c))})
    place = {edge: i for i, edge in enumerate(edges)}
    first = torch.zeros(n, len(edges), dtype=torch.float64)
    second = torch.zeros(len(edges), len(triangles), dtype=torch.float64)
    for (a, b), i in place.items():
        first[a, i], first[b, i] = -1, 1
    for t, (a, b, c) in enumerate(triangles):
        second[place[b, c], t], second[place[a, c], t], second[place[a, b], t] = 1, -1, 1
    return first, second


MECHANISM = Mechanism(Simplicial)
