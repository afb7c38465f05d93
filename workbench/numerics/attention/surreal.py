"""Standard attention whose maps have a direction and a size of their own: w = e^s v / ‖v‖."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.attention.standard import Standard
from workbench.numerics.geometry.mechanism import Fill, Mechanism


class SurrealLinear(nn.Module):
    """A map without bias of which each row is e^(s + s_row) v / ‖v‖: one size of the whole, and one of each row.

    The loss's slope by v is at right angles to v. A row of size 1 gives of normalized input a number of variance 1.

    References
    ----------
    Salimans and Kingma 2016, Weight normalization (1602.07868), equation 2, with g = e^s (section 2.1).
    """

    def __init__(self, into: int, out: int):
        super().__init__()
        self.spread = 1.0
        self.direction = nn.Parameter(torch.randn(out, into))
        self.size = nn.Parameter(torch.zeros(()))
        self.row_size = nn.Parameter(torch.zeros(out))

    @property
    def weight(self) -> torch.Tensor:
        """(out, in)."""
        v = self.direction
        return v * ((self.size + self.row_size).exp() / v.norm(dim=-1))[:, None]

    def draw(self, gain: float, fill: Fill) -> None:
        """Draw anew, with rows of that size."""
        with torch.no_grad():
            fill(self.direction, self.spread)
            self.row_size.zero_()
            self.size.fill_(gain).log_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight)


class Surreal(Standard):
    """Standard attention of `SurrealLinear` maps."""


MECHANISM = Mechanism(Surreal, linear=SurrealLinear)
