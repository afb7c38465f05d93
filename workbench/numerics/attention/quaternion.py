"""Attention whose values are quaternions, which queries and keys turn."""

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
from workbench.numerics.geometry.quaternions import PRODUCT, conjugate, exponential, product, unit


class Quaternion(Mixer):
    """q_i Σ_j p_ij (k_j* v_j) of quaternions in blocks of four, where p is the softmax of the scores ⟨q_i, k_j⟩.

    In products q and k have norm 1. A rotary embedding multiplies both from the right by exp(position · rate · i), so that a unit
    factor of q, k and v from the left comes out of the whole as it went in.

    References
    ----------
    Parcollet et al. 2019, Quaternion recurrent networks (1806.04418), for blocks of four as one number.
    """

    MULTIPLE = 4
    WHY = "a quaternion is four numbers"

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__(width, heads, linear=linear, **options)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        begin, n = seen_before(state), x.shape[1]
        turn = factors(torch.arange(begin, begin + n, device=x.device), self.size // 4).to(x.dtype)
        q, k = (
            product(normalized(self.split(p(x))).unflatten(-1, (-1, 4)), turn).flatten(-2)
            for p in (self.q_proj, self.k_proj)
        )
        k, held = kept(state, n, k=k, held=turned_back(k, self.split(self.v_proj(x))))
        return self.o_proj(mixed(q, k, held).transpose(1, 2).flatten(-2))

    def cost(self, length: int, keys: float) -> Cost:
        d = self.width
        return Cost(
            length * (8 * d * d + 4 * keys * d),
            {
                "elementwise": length * 4 * PRODUCT * d / 4
            },  # two of the mixing (14 d), two of the rotary embedding
        )


def factors(positions: torch.Tensor, blocks: int) -> torch.Tensor:
    """(n, blocks, 4), float64: the unit quaternions of the rotary embedding."""
    rates = 10_000.0 ** -(torch.arange(blocks, dtype=torch.float64, device=positions.device) / blocks)
    angles = positions.to(torch.float64)[:, None] * rates
    return exponential(torch.stack([angles, torch.zeros_like(angles), torch.zeros_like(angles)], -1))


def turned_back(k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """k* v of each block of (..., e), k at norm 1."""
    return product(conjugate(_units(k)), v.unflatten(-1, (-1, 4))).flatten(-2)


def mixed(q: torch.Tensor, k: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
    """(..., n, e): q_i Σ_j p_ij held_j, of what `turned_back` gave of keys and values."""
    return product(_units(q), (causal_weights(q, k) @ held).unflatten(-1, (-1, 4))).flatten(-2)


def _units(x: torch.Tensor) -> torch.Tensor:
    return unit(x.unflatten(-1, (-1, 4)))


MECHANISM = Mechanism(Quaternion)
