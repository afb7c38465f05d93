"""What a state-space block does beside its scan and its projections, in plain torch: the references of `block`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def convolved_reference(x: Tensor, weight: Tensor, bias: Tensor, before: Tensor | None = None) -> Tensor:
    """`convolved` in torch."""
    x = x.mT
    x = F.pad(x, (weight.shape[1] - 1, 0)) if before is None else torch.cat([before, x], -1)
    return F.silu(F.conv1d(x, weight[:, None], bias, groups=len(weight))).mT


def normalized_reference(x: Tensor, weight: Tensor, epsilon: float, gate: Tensor | None = None) -> Tensor:
    """`normalized` in torch."""
    x = x if gate is None else x * F.silu(gate)
    return weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon))
