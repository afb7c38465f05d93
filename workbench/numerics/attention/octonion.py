"""Attention whose values are octonions, multiplied by what query and key differ by."""

from __future__ import annotations

import torch

from workbench.numerics.geometry.mechanism import (
    Cost,
    Linear,
    Mechanism,
    Mixer,
    State,
    causal_weights,
    kept,
    normalized,
    plain_linear,
    seen_before,
)
from workbench.numerics.geometry.octonions import conjugate, from_right
from workbench.numerics.geometry.quaternions import unit


class Octonion(Mixer):
    """Σ_j p_ij (q_i k_j*) v_j of octonions in blocks of eight, in this grouping; p is the softmax of the scores ⟨q_i, k_j⟩.

    In products q and k have norm 1. A product of three octonions is linear in the first: its matrix is that of v_j from the right
    times that of k_j* from the right. So 64 numbers a block are averaged over keys, and the query is multiplied once. A
    rotary embedding multiplies q and k from the right by exp(position · rate · e₁), of which scores see the difference, since
    two octonions generate an algebra that associates.

    References
    ----------
    Baez 2002, The octonions, section 2 (math/0105155).
    """

    MULTIPLE = 8
    WHY = "an octonion is eight numbers"

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__(width, heads, linear=linear, **options)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        begin, n = seen_before(state), x.shape[1]
        positions = torch.arange(begin, begin + n, device=x.device)
        q, k = (placed(normalized(self.split(p(x))), positions) for p in (self.q_proj, self.k_proj))
        k, maps = kept(state, n, k=k, maps=maps_of(k, self.split(self.v_proj(x))))
        return self.o_proj(mixed(q, k, maps).transpose(1, 2).flatten(-2))

    def cost(self, length: int, keys: float) -> Cost:
        d = self.width
        # scores 2, maps 16; making maps 2 · 8³ a block, asking them 2 · 8²
        return Cost(length * (8 * d * d + 18 * keys * d + 128 * d + 16 * d), {"elementwise": length * 12 * d})


def placed(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Blocks of (..., n, e) times exp(position · rate · e₁) from the right."""
    blocks = x.shape[-1] // 8
    rates = 10_000.0 ** -(torch.arange(blocks, dtype=torch.float64, device=x.device) / blocks)
    angles = positions.to(torch.float64)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype)[..., None], angles.sin().to(x.dtype)[..., None]
    by_unit = from_right(torch.eye(8, dtype=x.dtype, device=x.device)[1])
    source = by_unit.abs().argmax(-1)  # x e₁ takes one number to each place
    x = x.unflatten(-1, (-1, 8))
    return (cos * x + sin * (x[..., source] * by_unit.sum(-1))).flatten(-2)


def maps_of(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """What (..., n, e) keys and values do to queries: (..., n, 8 e), an 8 × 8 matrix a block."""
    k, v = unit(k.unflatten(-1, (-1, 8))), v.unflatten(-1, (-1, 8))
    return (from_right(v) @ from_right(conjugate(k))).flatten(-3)


def mixed(q: torch.Tensor, k: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """(..., n, e): Σ_j p_ij maps_j q_i, of what `maps_of` gave of keys and values."""
    found = (causal_weights(q, k) @ maps).unflatten(-1, (-1, 8, 8))
    return (found @ unit(q.unflatten(-1, (-1, 8)))[..., None]).flatten(-3)


MECHANISM = Mechanism(Octonion)
