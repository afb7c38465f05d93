"""Attention in the algebra of maximum and plus: one key answers for each number, and how sure that is can be certified."""

from __future__ import annotations

import torch

from workbench.numerics.geometry.mechanism import (
    Cost,
    Linear,
    Mechanism,
    Mixer,
    State,
    kept,
    normalized,
    plain_linear,
    visible,
)

MOST = 1 << 22  # numbers of a piece that is compared at once
QUERY, KEY, VALUE = 2, 2, 1
"""By how much an output changes at most for a change by 1 of all numbers of each (the Lipschitz constants in L∞)."""
JOINTLY = QUERY + KEY + VALUE


class Tropical(Mixer):
    """y_i = max_j (v_j - d(q_i, k_j)), number by number, with Hilbert's projective distance d(q, k) = max(q - k) - min(q - k).

    What answered, and where query and key differ most, is found without a tape, in pieces; a slope is that of what was found.

    References
    ----------
    Hashemi et al. 2025, Tropical attention (2505.17190).
    """

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__(width, heads, linear=linear, **options)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        q, k = (normalized(self.split(p(x))) for p in (self.q_proj, self.k_proj))
        k, v = kept(state, x.shape[1], k=k, v=self.split(self.v_proj(x)))
        return self.o_proj(mixed(q, k, v).transpose(1, 2).flatten(-2))

    def cost(self, length: int, keys: float) -> Cost:
        d = self.width
        return Cost(length * 8 * d * d, {"max-plus": length * 5 * keys * d})


def mixed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """(..., n, e) of what queries (..., n, e), the last of the positions of keys and values (..., m, e), are answered."""
    winner, high, low = winners(q, k, v)
    return (
        v.gather(-2, winner)
        - (q.gather(-1, high) - _numbers(k, winner, high))
        + (q.gather(-1, low) - _numbers(k, winner, low))
    )


@torch.no_grad()
def winners(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of each query's each number (..., n, e): the key that answers, and where q - k is largest and smallest there."""
    seen = visible(q.shape[-2], k.shape[-2], q.device)
    rows = max(1, MOST // max(1, k.numel()))
    found = []
    for s in range(0, q.shape[-2], rows):
        apart = q[..., s : s + rows, None, :] - k[..., None, :, :]
        (most, high), (least, low) = apart.max(-1), apart.min(-1)
        scores = (least - most).masked_fill(~seen[s : s + rows], -torch.inf)
        winner = (scores[..., None] + v[..., None, :, :]).argmax(-2)
        found.append((winner, high.gather(-1, winner), low.gather(-1, winner)))
    winner, high, low = (torch.cat(part, -2) for part in zip(*found, strict=True))
    return winner, high, low


@torch.no_grad()
def margins(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """By how much the answering key leads, of each query's each number (..., n, e); ∞ where one key is seen.

    The key stays while each sum of score and value changes by less than half of this, or each number of q, k and v by less than
    a tenth: a sum changes by at most 5 times as much, and two sums meet.
    """
    apart = q[..., :, None, :] - k[..., None, :, :]
    scores = (apart.amin(-1) - apart.amax(-1)).masked_fill(
        ~visible(q.shape[-2], k.shape[-2], q.device), -torch.inf
    )
    sums = scores[..., None] + v[..., None, :, :]
    if sums.shape[-2] == 1:
        return torch.full_like(sums[..., 0, :], torch.inf)
    first, second = sums.topk(2, -2).values.unbind(-2)
    return first - second


def _numbers(k: torch.Tensor, which: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    """Number ``number`` of key ``which``, each (..., n, e)."""
    return (
        k.flatten(-2).gather(-1, (which * k.shape[-1] + number).flatten(-2)).unflatten(-1, which.shape[-2:])
    )


MECHANISM = Mechanism(Tropical)
