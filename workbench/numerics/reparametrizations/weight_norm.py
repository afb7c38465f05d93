"""Rows of a direction and a length: w = g v / ‖v‖."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.geometry.mechanism import Fill


class WeightNormLinear(nn.Module):
    """A map without bias of which each row is g v / ‖v‖. The loss's slope by v is at right angles to v.

    References
    ----------
    Salimans and Kingma 2016, Weight normalization (1602.07868), equation 2.
    """

    def __init__(self, into: int, out: int):
        super().__init__()
        self.direction = nn.Parameter(torch.randn(out, into))
        self.length = nn.Parameter(torch.ones(out))

    @property
    def weight(self) -> torch.Tensor:
        """(out, in)."""
        return self.direction * (self.length / self.direction.norm(dim=-1))[:, None]

    def draw(self, gain: float, fill: Fill) -> None:
        """Draw anew, with rows of that length."""
        fill(self.direction, 1.0)
        nn.init.constant_(self.length, gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight)


LINEAR, HEAD, AGAIN = WeightNormLinear, False, True
