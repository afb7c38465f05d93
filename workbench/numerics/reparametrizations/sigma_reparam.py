"""Matrices whose largest singular value is a parameter: w = γ v / σ(v)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.geometry.mechanism import Fill

ROUNDS = 100  # of power iteration when weights are drawn; afterwards one a pass follows them


class SigmaLinear(nn.Module):
    """A map without bias whose matrix is γ v / σ, where σ = uᵀ v w is v's largest singular value by power iteration.

    Vectors u and w count as constant, so that the matrix doesn't change with v's size, and the loss's slope by v is at right angles
    to v. In training each pass iterates once, as published; γ begins as the drawn matrix has it, and not as 1, so that kinds begin
    alike. Its products of a matrix and a vector, 4 in out operations a pass, aren't counted.

    References
    ----------
    Zhai et al. 2023, Stabilizing transformer training by preventing attention entropy collapse (2303.06296), section 3.2.
    """

    left: torch.Tensor

    def __init__(self, into: int, out: int):
        super().__init__()
        self.direction = nn.Parameter(torch.randn(out, into))
        self.gamma = nn.Parameter(torch.ones(()))
        self.register_buffer("left", torch.full((out,), out**-0.5))

    def spectral_norm(self) -> torch.Tensor:
        """σ of what is stored, by the vectors as they are."""
        with torch.no_grad():
            right = F.normalize(self.direction.mT @ self.left, dim=0)
            left = F.normalize(self.direction @ right, dim=0)
            if self.training:
                self.left.copy_(left)
        return left @ (self.direction @ right)

    @property
    def weight(self) -> torch.Tensor:
        """(out, in)."""
        return self.direction * (self.gamma / self.spectral_norm())

    def draw(self, gain: float, fill: Fill) -> None:
        """Draw anew, so that input of variance 1 gives a variance of gain squared."""
        fill(self.direction, gain * self.direction.shape[1] ** -0.5)
        with torch.no_grad():
            left = torch.randn_like(self.left)
            for _ in range(ROUNDS):
                left = F.normalize(self.direction @ (self.direction.mT @ left), dim=0)
            self.left.copy_(left)
            self.gamma.copy_((self.direction.mT @ left).norm())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight)


LINEAR, HEAD, AGAIN = SigmaLinear, False, False
