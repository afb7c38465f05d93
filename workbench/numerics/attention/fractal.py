"""Attention by paths: queries and keys are distributions over words of a few letters, and meet in the words they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch

from workbench.numerics.geometry.mechanism import (
    Cost,
    Linear,
    Mechanism,
    Mixer,
    Option,
    State,
    kept,
    plain_linear,
    visible,
)


class Fractal(Mixer):
    """Averages of values by Σ_w P_i(w) P_j(w) over all words w of ``levels`` letters of ``maps``.

    Letters are drawn apart, so the sum is Π_l ⟨P_il, P_jl⟩, and none of maps^levels words is listed. A word is the address of a
    point of the fractal that the maps have (`geometry.addresses`).

    References
    ----------
    Hutchinson 1981, Fractals and self similarity, section 3. Product keys: Lample et al. 2019 (1907.05242), section 3.1.
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {"levels": Option(4, 1, 16), "maps": Option(4, 2, 256)}

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__(width, heads, linear=linear, **options)
        self.levels, self.maps = self.options["levels"], self.options["maps"]
        self.q_proj, self.k_proj = (linear(width, heads * self.levels * self.maps) for _ in range(2))
        self.v_proj, self.o_proj = linear(width, width), linear(width, width)

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        q, k = (self._letters(p(x)) for p in (self.q_proj, self.k_proj))
        k, v = kept(state, x.shape[1], k=k, v=self.split(self.v_proj(x)))
        kernel = path_kernel(q.unflatten(-1, (self.levels, -1)), k.unflatten(-1, (self.levels, -1)))
        weights = kernel * visible(q.shape[-2], k.shape[-2], x.device)
        y = (weights @ v) / weights.sum(-1, keepdim=True)
        return self.o_proj(y.transpose(1, 2).flatten(-2))

    def _letters(self, x: torch.Tensor) -> torch.Tensor:
        """(b, heads, n, levels · maps): each letter's probabilities."""
        return self.split(x).unflatten(-1, (self.levels, self.maps)).softmax(-1).flatten(-2)

    def cost(self, length: int, keys: float) -> Cost:
        d, letters = self.width, self.levels * self.maps * self.heads
        return Cost(
            length * (4 * d * letters + 4 * d * d + 2 * keys * (d + letters)),
            {"elementwise": length * keys * self.levels * self.heads},
        )


def path_kernel(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Π_l ⟨p_l, q_l⟩ (..., n, m) of (..., n, levels, maps) and (..., m, levels, maps)."""
    return (p.transpose(-3, -2) @ q.transpose(-3, -2).mT).prod(-3)


MECHANISM = Mechanism(Fractal)
