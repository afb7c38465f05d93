"""Softmax attention as compact GPTs have it now: rotary embedding, normalized queries and keys, grouped heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch.nn import functional as F

from workbench.numerics.geometry.mechanism import (
    Cost,
    Linear,
    Mechanism,
    Mixer,
    Option,
    State,
    kept,
    normalized,
    plain_linear,
    rotated,
    rotation,
    seen_before,
    visible,
)


class Standard(Mixer):
    """Softmax attention; ``groups`` heads share keys and values, 0 means that each head has its own.

    References
    ----------
    Vaswani et al. 2017 (1706.03762), equation 1; Su et al. 2021 (2104.09864); Henry et al. 2020, Query-key normalization
    (2010.04245); Ainslie et al. 2023, GQA (2305.13245).
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {"key_heads": Option(0, 0, 256)}
    MULTIPLE = 2
    WHY = "the rotary embedding turns pairs of numbers"

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__(width, heads, linear=linear, **options)
        self.key_heads = self.options["key_heads"] or heads
        self.q_proj = linear(width, width)
        self.k_proj = linear(width, self.key_heads * self.size)
        self.v_proj = linear(width, self.key_heads * self.size)
        self.o_proj = linear(width, width)

    @classmethod
    def check(cls, width: int, heads: int, options: Mapping[str, int]) -> dict[str, int]:
        found = super().check(width, heads, options)
        if (few := found["key_heads"]) and heads % few:
            legal = ", ".join(str(h) for h in range(1, heads + 1) if heads % h == 0)
            raise ValueError(f"key_heads: it must divide heads={heads}, so be 0 or one of {legal}, not {few}")
        return found

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        begin, n = seen_before(state), x.shape[1]
        turn = rotation(torch.arange(begin, begin + n, device=x.device), self.size)
        q = rotated(normalized(self.split(self.q_proj(x))), turn)
        k = rotated(normalized(self.split(self.k_proj(x), self.key_heads)), turn)
        k, v = kept(state, n, k=k, v=self.split(self.v_proj(x), self.key_heads))
        if begin:
            mask = visible(n, k.shape[-2], x.device)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).flatten(-2))

    def cost(self, length: int, keys: float) -> Cost:
        d = self.width
        shared = d * self.key_heads / self.heads
        return Cost(length * (4 * d * d + 4 * d * shared + 4 * keys * d))


MECHANISM = Mechanism(Standard)
