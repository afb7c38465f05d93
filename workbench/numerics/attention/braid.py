"""A recurrence that multiplies by an orthogonal matrix of each token, as strands of a braid are exchanged."""

from __future__ import annotations

import cmath
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import ClassVar

import torch
from torch import nn

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

ROUNDS = 12  # of Newton and Schulz
Apply = Callable[[int, torch.Tensor], torch.Tensor]


class Braid(Mixer):
    """h_t = P(x_t) h_{t-1} + b(x_t) with an orthogonal P of ``strands`` × ``strands`` for each head; normalized h is read.

    References
    ----------
    Siems et al. 2025, DeltaProduct (2502.10297), and Grazzi et al. 2024 (2411.12537), for what products of orthogonal matrices
    can track; 2509.22284. Björck and Bowie 1971, for the polar factor.
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {"strands": Option(4, 2, 64)}

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__(width, heads, linear=linear, **options)
        self.strands = self.options["strands"]
        self.p_proj = linear(width, heads * self.strands**2)
        self.start = nn.Parameter(torch.eye(self.strands).expand(heads, -1, -1).clone())
        self.b_proj, self.o_proj = linear(width, width), linear(width, width)

    @classmethod
    def check(cls, width: int, heads: int, options: Mapping[str, int]) -> dict[str, int]:
        found = super().check(width, heads, options)
        size, n = width // heads, found["strands"]
        if size % n:
            legal = ", ".join(str(m) for m in range(2, min(size, 64) + 1) if size % m == 0)
            raise ValueError(
                f"strands: it must divide the heads' size, {size}, so be one of {legal}, not {n}"
            )
        return found

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        n = self.strands
        turns = polar(self.split(self.p_proj(x)).unflatten(-1, (n, n)) + self.start[:, None])
        added = self.split(self.b_proj(x)).unflatten(-1, (n, -1))  # (b, heads, time, n, e / n)
        h = state["h"] if state else torch.zeros_like(added[:, :, 0])
        reached = []
        for turn, more in zip(turns.unbind(2), added.unbind(2), strict=True):
            h = turn @ h + more
            reached.append(h)
        if state is not None:
            state["h"] = h.detach()
        y = normalized(torch.stack(reached, 2).flatten(-2))
        return self.o_proj(y.transpose(1, 2).flatten(-2))

    def cost(self, length: int, keys: float) -> Cost:
        d, n, heads = self.width, self.strands, self.heads
        return Cost(length * (4 * d * d + 2 * d * heads * n**2 + 4 * ROUNDS * heads * n**3 + 2 * n * d))


def polar(m: torch.Tensor, rounds: int = ROUNDS) -> torch.Tensor:
    """The orthogonal matrices (..., n, n) nearest to these, by Newton and Schulz's iteration X (3 - XᵀX) / 2.

    It begins at a Frobenius norm below √3, where no singular value is carried away. One that is σ of this norm grows by 3/2 a
    round until it is near 1, so that σ ≥ 0.03 ends within 1e-5 of it; a smaller one leaves a matrix that shortens, and a
    singular matrix stays singular.
    """
    x = 1.7 * m / (m.square().sum((-2, -1), keepdim=True) + 1e-12).sqrt()
    for _ in range(rounds):
        x = 1.5 * x - 0.5 * (x @ (x.mT @ x))
    return x


def broken_relations(apply: Apply, states: torch.Tensor, letters: int, *, order: int = 2) -> torch.Tensor:
    """By how much the relations of the symmetric group are broken on states, the mean of squares; a penalty.

    Parameters
    ----------
    apply : moves states (m, ...) by one of the letters 0 to ``letters`` - 1, neighbouring exchanges.
    order : of each letter; the symmetric group has 2, and another is a control.

    States are those that training reached: relations that hold on all of space are more than is needed.

    References
    ----------
    Artin 1947, Theory of braids: σ_i σ_{i+1} σ_i = σ_{i+1} σ_i σ_{i+1}, and σ_i σ_j = σ_j σ_i where |i - j| > 1.
    """

    def word(*sequence: int) -> torch.Tensor:
        x = states
        for letter in sequence:
            x = apply(letter, x)
        return x

    broken = [(word(*[i] * order) - states).square().mean() for i in range(letters)]
    for i, j in combinations(range(letters), 2):
        left, right = ((i, j, i), (j, i, j)) if j == i + 1 else ((i, j), (j, i))
        broken.append((word(*left) - word(*right)).square().mean())
    return torch.stack(broken).mean()


def burau(strands: int, t: complex) -> torch.Tensor:
    """The (strands - 1, strands, strands) matrices, complex128, of the exchanges of neighbours in Burau's representation.

    Raises
    ------
    ValueError
        t is neither in (0, 1] nor of absolute value 1: words of some hundred letters overflow.
    """
    real = complex(t).imag == 0 and 0 < complex(t).real <= 1
    if not real and abs(abs(complex(t)) - 1) > 1e-12:
        raise ValueError(
            f"t: it must be in (0, 1] or of absolute value 1, such as {cmath.exp(0.5j):.3f}, not {t}: others overflow within 256 letters"
        )
    found = torch.eye(strands, dtype=torch.complex128).repeat(strands - 1, 1, 1)
    for i in range(strands - 1):
        found[i, i : i + 2, i : i + 2] = torch.tensor([[1 - t, t], [1, 0]], dtype=torch.complex128)
    return found


MECHANISM = Mechanism(Braid)
