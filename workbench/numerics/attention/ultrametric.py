"""Attention by the leaves of a tree: how much two positions share is how many leading digits their addresses share."""

from __future__ import annotations

import math
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
    plain_linear,
)

BLOCK_BITS = 4
BLOCK = 2**BLOCK_BITS  # rows that are summed before their sum is carried on
MOST_LEAVES = 65_536


class Ultrametric(Mixer):
    """Averages of values by w = Σ_k δ_k [the first k digits are equal] Π p(digit | q) p(digit | k), k from 0 to the number of digits.

    A digit is the largest of ``base`` numbers, and p the softmax of these: probabilities gate as in a mixture of which one
    expert answers, so that slopes reach queries and keys. δ_0 = 1 and δ_k = base^k - base^(k-1): without gates the weight is
    base to the number of leading digits that are shared. Nothing of the size of queries times keys is made.

    References
    ----------
    Fedus et al. 2021, Switch transformers (2101.03961), equation 2, for the gate. Blelloch 1990, Prefix sums and their
    applications, for segmented scans.
    """

    OPTIONS: ClassVar[Mapping[str, Option]] = {"digits": Option(4, 1, 16), "base": Option(4, 2, 64)}

    def __init__(self, width: int, heads: int, *, linear: Linear = plain_linear, **options: int):
        super().__init__(width, heads, linear=linear, **options)
        self.digits, self.base = self.options["digits"], self.options["base"]
        self.q_proj, self.k_proj = (linear(width, heads * self.digits * self.base) for _ in range(2))
        self.v_proj, self.o_proj = linear(width, width), linear(width, width)

    @classmethod
    def check(cls, width: int, heads: int, options: Mapping[str, int]) -> dict[str, int]:
        found = super().check(width, heads, options)
        if found["base"] ** found["digits"] > MOST_LEAVES:
            most = int(math.log(MOST_LEAVES) / math.log(found["base"]) + 1e-9)
            raise ValueError(
                f"digits: base={found['base']} allows 1 to {most}, so that there are at most {MOST_LEAVES:,} leaves, not {found['digits']}"
            )
        return found

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        (q, of_q), (k, of_k) = (self._address(p(x)) for p in (self.q_proj, self.k_proj))
        v = self.split(self.v_proj(x))
        y = mixed(q, of_q, k, of_k, v, self.base, state)
        return self.o_proj(y.transpose(1, 2).flatten(-2))

    def _address(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Digits (b, heads, n, digits) and their probabilities."""
        p, digit = self.split(x).unflatten(-1, (self.digits, self.base)).softmax(-1).max(-1)
        return digit, p

    def cost(self, length: int, keys: float) -> Cost:
        d, levels, each = self.width, self.digits + 1, self.size + 1
        passes = sum(length / BLOCK**i * BLOCK_BITS for i in range(1 + int(math.log(max(length, 1), BLOCK))))
        return Cost(
            length * (4 * d * self.heads * self.digits * self.base + 4 * d * d),
            {
                "scan": levels * self.heads * each * passes,
                "sort": levels * self.heads * 2 * length * math.log2(max(length, 2)),
                "elementwise": length * levels * self.heads * each * 4,
            },
        )


def mixed(
    q: torch.Tensor,
    of_q: torch.Tensor,
    k: torch.Tensor,
    of_k: torch.Tensor,
    v: torch.Tensor,
    base: int,
    state: State | None = None,
) -> torch.Tensor:
    """The averages (b, heads, n, e) of values.

    Parameters
    ----------
    q, k : (b, heads, n, digits) of whole numbers below ``base``. of_q, of_k : the gates of each, of the same shape.
    state : sums of each node of the tree, which are brought up to date.
    """
    rows, n = q.shape[0] * q.shape[1], q.shape[2]
    summed = torch.cat([v, torch.ones_like(v[..., :1])], -1).reshape(rows, n, -1)
    code_q, code_k = (torch.zeros_like(q[..., 0]).reshape(rows, n) for _ in range(2))
    gate_q, gate_k = (torch.ones_like(of_q[..., :1]).reshape(rows, n, 1) for _ in range(2))
    total = torch.zeros_like(summed)
    for level in range(q.shape[-1] + 1):
        if level:
            at = level - 1
            code_q, code_k = (c * base + d[..., at].reshape(rows, n) for c, d in ((code_q, q), (code_k, k)))
            gate_q, gate_k = (g * p[..., at].reshape(rows, n, 1) for g, p in ((gate_q, of_q), (gate_k, of_k)))
        step = 1.0 if not level else float(base**level - base ** (level - 1))
        values = gate_k * summed
        found = sums_until(code_k, values, code_q)
        if state is not None:
            name = f"level {level}"
            nodes = state.get(name, summed.new_zeros(rows, base**level, summed.shape[-1]))
            found = found + _picked(nodes, code_q)
            state[name] = nodes.scatter_add(1, code_k[..., None].expand_as(values), values).detach()
        total = total + step * gate_q * found
    return (total[..., :-1] / total[..., -1:]).reshape(v.shape)


def sums_until(codes: torch.Tensor, values: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """Sums, at each time, of the values until then whose code is the one that is asked for.

    Parameters
    ----------
    codes, asked : (rows, n) of whole numbers. values : (rows, n, c).
    """
    n = codes.shape[-1]
    time = torch.arange(n, device=codes.device)
    sorted_, order = (codes * n + time).sort(-1)
    place = sorted_.div(n, rounding_mode="floor")
    rank = time - torch.searchsorted(sorted_, place * n)
    sums = sums_of_runs(_picked(values, order), rank)
    at = torch.searchsorted(sorted_, asked * n + time, right=True) - 1
    there = (at >= 0) & (place.gather(1, at.clamp(min=0)) == asked)
    return torch.where(there[..., None], _picked(sums, at.clamp(min=0)), 0.0)


def sums_of_runs(x: torch.Tensor, rank: torch.Tensor) -> torch.Tensor:
    """Sums (rows, n, c) of each run until each of its members; ``rank`` (rows, n) counts members of a run from 0.

    Blocks begin where runs do, so what is added to what depends on a member's rank alone: a run's sums are the same to the last
    bit wherever it lies, and so whatever comes later. Work is linear in n.
    """
    n, within = x.shape[1], rank % BLOCK
    for step in (2**i for i in range(BLOCK_BITS)):
        if step < n:  # invariant: x sums the last `step` members of the own block, or all until here
            before = torch.nn.functional.pad(x[:, :-step], (0, 0, step, 0))
            x = x + torch.where((within >= step)[..., None], before, 0.0)
    if n < BLOCK:
        return x
    ends = within == BLOCK - 1
    until = ends.cumsum(-1)
    slots = n // BLOCK
    last = torch.zeros(len(x), slots + 1, dtype=torch.long, device=x.device)
    time = torch.arange(n, device=x.device).expand_as(rank)
    last = last.scatter(1, torch.where(ends, until - 1, slots), time)[:, :slots]
    used = torch.arange(slots, device=x.device) < until[:, -1:]
    of_block = torch.where(used, rank.gather(1, last).div(BLOCK, rounding_mode="floor"), 0)
    carried = sums_of_runs(_picked(x, last), of_block)
    behind = (until - ends.long() - 1).clamp(min=0)
    return x + torch.where((rank >= BLOCK)[..., None], _picked(carried, behind), 0.0)


def _picked(x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Rows ``at`` (rows, m) of (rows, n, c)."""
    return x.gather(1, at[..., None].expand(*at.shape, x.shape[-1]))


MECHANISM = Mechanism(Ultrametric)
