"""The state-space tokenizer: where one unit of text ends and the next begins is learned, from the bytes up to there.

References
----------
Hwang, Wang and Gu 2025, Dynamic chunking for end-to-end hierarchical sequence modeling (2507.07955).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.ghost.mixer import State
from workbench.numerics.ghost.names import Tokenizer
from workbench.numerics.kernels.scan import scan

FOURTH = 4
SURE = 1 - 1e-4  # a probability of exactly 1 has no logarithm of what is left
WHITE = b" \n\t\r"


@dataclass(frozen=True, eq=False)
class Boundaries:
    """Where units begin.

    Attributes
    ----------
    probability : (b, t) that a unit begins here. begins : (b, t), whether one does.
    """

    probability: torch.Tensor
    begins: torch.Tensor

    def ratio_loss(self, bytes_in_unit: float) -> torch.Tensor:
        """What makes units ``bytes_in_unit`` long on average: 1 where they are, more where not (equation 10)."""
        share, mean = self.begins.float().mean(), self.probability.mean()
        n = bytes_in_unit
        return n / (n - 1) * ((n - 1) * share * mean + (1 - share) * (1 - mean))


class Router(nn.Module):
    """Says where a unit begins, from how little a position resembles the one before it."""

    def __init__(self, width: int):
        super().__init__()
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Compare positions as they are, until something better is learned."""
        nn.init.eye_(self.q_proj.weight)
        nn.init.eye_(self.k_proj.weight)

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """(b, t, width) to the (b, t) probabilities that a unit begins; the first position begins one."""
        keys = self.k_proj(x)
        last = None if state is None else state.get("routed")
        before = torch.cat([torch.zeros_like(keys[:, :1]) if last is None else last, keys[:, :-1]], 1)
        p = 0.5 * (1 - F.cosine_similarity(self.q_proj(x), before, dim=-1))
        if last is None:
            p = torch.cat([torch.ones_like(p[:, :1]), p[:, 1:]], 1)
        if state is not None:
            state["routed"] = keys[:, -1:].detach()
        return p.clamp(0, 1)


def fixed(kind: Tokenizer, read: torch.Tensor, begin: int, last: torch.Tensor | None) -> torch.Tensor:
    """(b, t), whether a unit begins: at every fourth byte, or at a byte after white space.

    Parameters
    ----------
    read : (b, t) bytes. begin : the index of the first. last : (b, 1) the byte before it; None at the beginning.
    """
    if kind == "fourth":
        return ((begin + torch.arange(read.shape[1], device=read.device)) % FOURTH == 0).expand_as(read)
    white = torch.tensor(list(WHITE), device=read.device)
    before = read[:, :1].new_full((len(read), 1), WHITE[0]) if last is None else last
    begins = torch.isin(torch.cat([before, read[:, :-1]], 1), white) & ~torch.isin(read, white)
    if last is None and read.shape[1]:
        begins[:, 0] = True
    return begins


def gathered(x: torch.Tensor, begins: torch.Tensor) -> torch.Tensor:
    """The rows of ``x`` (b, t, ...) at which units begin, (b, u, ...), those of shorter sequences followed by others."""
    most = int(begins.sum(1).max()) if begins.numel() else 0
    order = (~begins).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
    return x.gather(1, order.reshape(*order.shape, *[1] * (x.ndim - 2)).expand(*order.shape, *x.shape[2:]))


def spread(units: torch.Tensor, found: Boundaries, state: State | None = None) -> torch.Tensor:
    """(b, u, width) of units to the (b, t, width) of their bytes, units that are unsure smoothed into those before.

    z'_m = p_m z_m + (1 - p_m) z'_{m-1}, and a byte gets that of its unit, which began at it or before it. The gradient
    also goes to the probability of what was decided (straight through), whose value is 1.
    """
    given = {} if state is None else state
    p = gathered(found.probability, found.begins).clamp(1 - SURE, SURE)
    # the very first unit has nothing before it
    first = "smoothed" not in given
    if first and p.shape[1]:
        p = torch.cat([torch.ones_like(p[:, :1]), p[:, 1:]], 1)
    one = torch.ones_like(p)[..., None, None]
    log_left = torch.log1p(-p.clamp(max=SURE))[..., None]
    smoothed, _ = scan(units[:, :, None], log_left, p[..., None], one, one, state=given.get("smoothed state"))
    smoothed = smoothed[:, :, 0]
    held = given.get("smoothed", torch.zeros_like(units[:, :1]) if units.shape[1] else None)
    if held is not None:
        smoothed = torch.cat([held, smoothed], 1)
    which = found.begins.long().cumsum(1)  # 0: the unit that began before these bytes
    y = smoothed.gather(1, which[..., None].expand(*which.shape, smoothed.shape[-1]))
    if state is not None:
        state["smoothed"] = smoothed[:, -1:].detach()
        state["smoothed state"] = smoothed[:, -1, None, :, None].detach()
    decided = torch.where(found.begins, found.probability, 1 - found.probability)
    return y * (1 + decided - decided.detach())[..., None]
