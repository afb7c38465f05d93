"""What a state-space block does beside its scan and its projections: the choice between plain torch and Triton.

Each is a chain of passes over memory when torch takes its operations one by one, forward and more so backward; a kernel makes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.numerics.kernels.block_plain import convolved_reference, normalized_reference
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
