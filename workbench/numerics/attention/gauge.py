"""Attention with parallel transport: what a key holds is turned, along all positions between, to where it is asked."""

from __future__ import annotations

import math

import torch
from torch import nn

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
)
from workbench.numerics.geometry.quaternions import (
    PRODUCT,
    conjugate,
    exponential,
    product,
    products_until,
    turned,
    unit,
)

FIRST = 0.1  # standard deviation of what makes an angle of a normalized number


class Gauge(Mixer):
    """Softmax attention whose scores are ⟨T_i q_i, T_j k_j⟩, and which gives T_iᵀ Σ_j p_ij T_j v_j.

    T_i = T_{i-1} exp(A_i) is a rotation of each block of four numbers, A_i made of position i's own block. So T_iᵀ T_j depends on the
    positions after j until i only; the other order of the product would let it depend on the whole past. A rotation is a
    pair of unit quaternions, so that it stays one: see `quaternions.products_until`.

    References
    ----------
    Position as transport along a text: PaTH, Yang et al. 2025 (2505.16381) multiplies reflections of the positions between.
    Gauge-equivariant attention: 2406.10322; 2512.07805.
    """

    MULTIPLE = 4
    WHY = "a rotation turns four numbers by two unit quaternions"

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__(width, heads, linear=linear, **options)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (linear(width, width) for _ in range(4))
        blocks = width // 4
        self.angles = nn.Parameter(FIRST * torch.randn(blocks, 4, 6))
        constant = torch.zeros(blocks, 6)
        constant[:, 0] = 10_000.0 ** -(torch.arange(blocks) % (blocks // heads) / (blocks // heads))
        self.constant = nn.Parameter(constant)  # a rotary embedding, as long as nothing else was learned

    def transports(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """(b, n, width), normalized, to the left and right unit quaternions (b, n, width / 4, 4) of T_1 to T_n."""
        angles = torch.einsum("bnci,cio->bnco", x.unflatten(-1, (-1, 4)), self.angles) + self.constant
        pair = []
        for name, part in zip(("left", "right"), angles.chunk(2, -1), strict=True):
            until = products_until(exponential(part))
            if state and name in state:
                until = unit(product(state[name], until))
            if state is not None:
                state[name] = until[:, -1:].detach()
            pair.append(until)
        return pair[0], pair[1]

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        left, right = (
            turn.unflatten(2, (self.heads, -1)).transpose(1, 2) for turn in self.transports(x, state)
        )  # (b, heads, n, e / 4, 4)
        q, k, v = (
            turned(part.unflatten(-1, (-1, 4)), left, right).flatten(-2)
            for part in (
                normalized(self.split(self.q_proj(x))),
                normalized(self.split(self.k_proj(x))),
                self.split(self.v_proj(x)),
            )
        )
        k, v = kept(state, x.shape[1], k=k, v=v)
        y = (causal_weights(q, k) @ v).unflatten(-1, (-1, 4))
        y = turned(y, conjugate(left), conjugate(right)).flatten(-2)
        return self.o_proj(y.transpose(1, 2).flatten(-2))

    def cost(self, length: int, keys: float) -> Cost:
        d = self.width
        passes = max(math.ceil(math.log2(length)), 0)
        return Cost(
            length * (8 * d * d + 4 * keys * d + 12 * d),
            {"scan": length * passes * 2 * PRODUCT * d / 4, "elementwise": length * 8 * PRODUCT * d / 4},
        )


MECHANISM = Mechanism(Gauge)
