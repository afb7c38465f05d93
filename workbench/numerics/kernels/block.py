"""What a state-space block does beside its scan and its projections: plain torch references, and the choice of kernel.

Each is a chain of passes over memory when torch takes its operations one by one, forward and more so backward; a kernel makes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from workbench.numerics.kernels.fusing import fusable

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

WIDEST = 8192  # numbers that a program normalizes
LONGEST = 16  # positions of a convolution


def convolved(
    x: Float[Tensor, "b t c"],
    weight: Float[Tensor, "c k"],
    bias: Float[Tensor, " c"],
    before: Float[Tensor, "b c past"] | None = None,
) -> Float[Tensor, "b t c"]:
    """Convolve each channel over the last k positions, and take SiLU of it; ``before`` are the k - 1 positions before, or None for 0."""
    if (
        fusable(x)
        and x.numel()
        and weight.shape[1] <= LONGEST
        and (before is None or not before.requires_grad)
    ):
        from workbench.numerics.kernels.block_launches import convolved_triton

        return convolved_triton(x, weight, bias, before)
    return convolved_reference(x, weight, bias, before)


def convolved_reference(x: Tensor, weight: Tensor, bias: Tensor, before: Tensor | None = None) -> Tensor:
    """`convolved` in torch."""
    x = x.mT
    x = F.pad(x, (weight.shape[1] - 1, 0)) if before is None else torch.cat([before, x], -1)
    return F.silu(F.conv1d(x, weight[:, None], bias, groups=len(weight))).mT


def normalized(
    x: Float[Tensor, "... n"],
    weight: Float[Tensor, " n"],
    epsilon: float,
    gate: Float[Tensor, "... n"] | None = None,
) -> Float[Tensor, "... n"]:
    """Root-mean-square normalization; with a gate, of ``x * silu(gate)``."""
    if fusable(x) and x.numel() and x.shape[-1] <= WIDEST:
        from workbench.numerics.kernels.block_launches import normalized_triton

        return normalized_triton(x, weight, epsilon, gate)
    return normalized_reference(x, weight, epsilon, gate)


def normalized_reference(x: Tensor, weight: Tensor, epsilon: float, gate: Tensor | None = None) -> Tensor:
    """`normalized` in torch."""
    x = x if gate is None else x * F.silu(gate)
    return weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon))
