"""A sparse matrix cut into chunks of up to `WIDTH` entries of one row, and its products, alike on every device.

A hub costs many chunks instead of one long thread. Sums are gathered, never scattered, and added up in a fixed order:
the same input gives the same bits on every run of the same device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Int32
    from torch import Tensor

WIDTH = 16


class Chunks(NamedTuple):
    """A sparse matrix, each row's entries cut into chunks.

    Attributes
    ----------
    first : (n + 1,) the first chunk of each row.
    heads : (chunks,) the row of each chunk.
    tails, weights : (chunks, WIDTH) its entries; unused ones have weight 0.
    """

    first: Int32[Tensor, " n1"]
    heads: Int32[Tensor, " chunks"]
    tails: Int32[Tensor, "chunks width"]
    weights: Float[Tensor, "chunks width"]


def compiled(x: Tensor) -> bool:
    """Whether the Triton kernels can take ``x``."""
    return x.is_cuda


def chunk(rows: Int[Tensor, " e"], cols: Int[Tensor, " e"], weights: Float[Tensor, " e"], n: int) -> Chunks:
    """Cut a matrix given by its entries, sorted by row, into chunks."""
    count = torch.bincount(rows, minlength=n)
    before = count.cumsum(0) - count
    blocks = (count + WIDTH - 1) // WIDTH
    last = blocks.cumsum(0)
    first = torch.nn.functional.pad(last, (1, 0))
    total = int(last[-1]) if n else 0
    slot = first[rows] * WIDTH + torch.arange(len(rows), device=rows.device) - before[rows]
    tails = torch.zeros(total * WIDTH, dtype=torch.int32, device=rows.device)
    held = torch.zeros(total * WIDTH, dtype=torch.float32, device=rows.device)
    tails[slot], held[slot] = cols.int(), weights.float()
    heads = torch.repeat_interleave(torch.arange(n, device=rows.device), blocks, output_size=total)
    return Chunks(first.int(), heads.int(), tails.view(-1, WIDTH), held.view(-1, WIDTH))


def of_rows(graph: Chunks, cut: slice) -> Chunks:
    """The consecutive rows ``cut`` of a matrix, numbered from 0; its columns keep their numbers."""
    begin, end = graph.first[[cut.start, cut.stop]].tolist()
    first = graph.first[cut.start : cut.stop + 1] - begin
    return Chunks(first, graph.heads[begin:end] - cut.start, graph.tails[begin:end], graph.weights[begin:end])


def fold_reference(parts: Float[Tensor, "chunks d"], graph: Chunks) -> Float[Tensor, "n d"]:
    """The sum of each row's chunks."""
    out = torch.zeros((len(graph.first) - 1, parts.shape[1]), dtype=parts.dtype, device=parts.device)
    return out.index_add_(0, graph.heads.long(), parts)


def fold(parts: Float[Tensor, "chunks d"], graph: Chunks) -> Float[Tensor, "n d"]:
    """`fold_reference` by the Triton kernel on a GPU, in a fixed order; d must be a power of two there."""
    if not compiled(parts):
        return fold_reference(parts, graph)
    from workbench.numerics.kernels.layout_triton import fold_kernel

    n, d = len(graph.first) - 1, parts.shape[1]
    out = torch.empty((n, d), device=parts.device)
    fold_kernel[((n + 127) // 128,)](parts.contiguous(), graph.first, out, n, R=128, DIM=d, num_warps=4)
    return out


def row_sums(graph: Chunks, width: int = 1) -> Float[Tensor, " n"]:
    """Each row's total weight, by a product of ``width`` columns."""
    reached = int(graph.tails.max()) + 1 if len(graph.tails) else 1
    return apply(graph, torch.ones((reached, width), device=graph.weights.device))[:, 0].contiguous()


def apply_reference(graph: Chunks, x: Float[Tensor, "m d"]) -> Float[Tensor, "n d"]:
    """The product of the matrix and ``x``."""
    return fold_reference((x[graph.tails.long()] * graph.weights[:, :, None]).sum(1), graph)


def apply(graph: Chunks, x: Float[Tensor, "m d"]) -> Float[Tensor, "n d"]:
    """`apply_reference` by Triton kernels on a GPU; d must be a power of two there."""
    if not compiled(x):
        return apply_reference(graph, x)
    from workbench.numerics.kernels.layout_triton import gather_sum_kernel

    d, chunks = x.shape[1], len(graph.heads)
    parts = torch.empty((chunks, d), device=x.device)
    c = 32
    gather_sum_kernel[((chunks + c - 1) // c,)](
        x.contiguous(), graph.tails, graph.weights, parts, chunks, C=c, W=WIDTH, DIM=d, num_warps=4
    )
    return fold(parts, graph)
