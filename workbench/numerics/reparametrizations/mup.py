"""Matrices whose steps are smaller where more numbers come in, so that one rate serves all widths."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.geometry.mechanism import Fill
from workbench.numerics.geometry.scales import OF_ENTRIES, OF_SIZES, steadied


class MupLinear(nn.Module):
    """A map without bias whose matrix is what is stored times 64 / in; it is stored larger, and so begins as others do.

    Optimizers that step by signs then move an output as much at each width; under plain descent or Muon it means another rate alone. Of
    µP this is the scale of steps, of the maps and of the head. Queries and keys are normalized here, so that scores need none.

    References
    ----------
    Yang et al. 2022, Tensor programs V (2203.03466), table 8: Adam, hidden weights at a rate of 1 / fan-in; lemma J.1 makes of it a
    multiplier.
    """

    def __init__(self, into: int, out: int):
        super().__init__()
        self.stored = nn.Parameter(torch.randn(out, into))
        self.scale = steadied(OF_ENTRIES, OF_SIZES, into)

    @property
    def weight(self) -> torch.Tensor:
        """(out, in)."""
        return self.stored * self.scale

    def draw(self, gain: float, fill: Fill) -> None:
        """Draw anew, so that input of variance 1 gives a variance of gain squared."""
        fill(self.stored, gain * self.stored.shape[1] ** -0.5 / self.scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight)


LINEAR, HEAD, AGAIN = MupLinear, True, True
