"""How many numbers of a row lie below a few others: the plain torch reference, and the choice of kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.numerics.kernels.chunked import compiled

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor


def nearer_reference(
    block: Float[Tensor, "b n"], edges: Float[Tensor, "b k"]
) -> tuple[Int[Tensor, "b k"], Bool[Tensor, "b k"]]:
    """For each row and edge: how many numbers are less, and whether more than one is equal."""
    least = [(block < edge[:, None]).sum(1) for edge in edges.T]
    upto = [(block <= edge[:, None]).sum(1) for edge in edges.T]
    below = torch.stack(least, 1)
    return below, torch.stack(upto, 1) - below > 1


def nearer(
    block: Float[Tensor, "b n"], edges: Float[Tensor, "b k"]
) -> tuple[Int[Tensor, "b k"], Bool[Tensor, "b k"]]:
    """`nearer_reference` by a Triton kernel on a GPU, which reads the block once."""
    if not compiled(block):
        return nearer_reference(block, edges)
    from workbench.numerics.kernels.counts_triton import count_kernel

    b, n = block.shape
    k = edges.shape[1]
    found = torch.zeros((2, b, k), dtype=torch.int32, device=block.device)
    wide = 1 << (k - 1).bit_length()
    each = 16384
    count_kernel[(b, -(-n // each))](
        block, edges.contiguous(), found[0], found[1], n, k, K=wide, EACH=each, BLOCK=512, num_warps=4
    )
    return found[0].long(), found[1] > 1
