"""Steps of a force layout on a neighbour graph: the plain torch reference of each, and the choice of kernel.

A graph is cut into chunks of up to `WIDTH` neighbours of one row, so that a hub costs many chunks instead
of one long thread. Forces are gathered, never scattered, and added up in a fixed order: the same input
gives the same bits on every run of the same device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from workbench.numerics.kernels import layout_cpu, random

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Int32
    from torch import Tensor

WIDTH = 16
_CLIP = 4.0
_HUB = 16.0  # total weight of a row's edges beyond which it takes shorter steps; most rows have 4 to 8


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


def shortened(graph: Chunks, width: int = 1) -> tuple[Chunks, Float[Tensor, " n"]]:
    """The graph by which rows step, and the share of a whole step that each row takes: 1 but for hubs.

    umap-learn moves a row after each of its edges; here a row moves once for all of them. What hundreds of neighbours
    and the pushes in proportion to them add up to would throw a hub far out of the layout, where nothing pulls it
    back. A hub's edges are therefore scaled to a total weight of 16: it comes to rest at the same place, in more steps.
    """
    share = (_HUB / row_sums(graph, width).clamp_min(_HUB)).contiguous()
    return graph._replace(weights=graph.weights * share[graph.heads.long()][:, None]), share


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


def step_reference(
    here: Float[Tensor, "n d"],
    there: Float[Tensor, "m d"],
    graph: Chunks,
    repel: Float[Tensor, " n"],
    a: float,
    b: float,
    alpha: float,
    negatives: int,
    step: int,
    seed: int,
) -> Float[Tensor, "n d"]:
    """The positions after one step: all rows pulled by their neighbours, pushed by random rows, at once.

    Parameters
    ----------
    here : positions of the rows that move.
    there : positions of what pulls and pushes them; ``here`` itself while fitting.
    graph : (n, m) weights.
    repel : by how much each random row's push counts.
    a, b : of the membership curve 1 / (1 + a d^2b).
    alpha : length of the step.
    negatives, step, seed : how many random rows, and which.

    Returns
    -------
    (n, d) float32. Each entry of a pull or push is clipped to 4, as in umap-learn.
    """
    own = here[graph.heads.long()][:, None]
    gap = there[graph.tails.long()] - own
    square = gap.square().sum(2)
    power = square.clamp_min(1e-30) ** b
    scale = 1.0 if there is not here else 2.0  # an edge moves both of its ends, from either side
    pull = torch.where(square > 0, 2 * a * b * power / (square.clamp_min(1e-30) * (1 + a * power)), 0.0)
    force = (
        fold_reference(
            ((pull[:, :, None] * gap).clamp(-_CLIP, _CLIP) * graph.weights[:, :, None]).sum(1), graph
        )
        * scale
    )
    # rows placed among others are all pushed by the same ones, so that a row's place doesn't depend on its company
    drawers = len(here) if there is here else 1
    other = random.draw_rows(drawers, len(there), negatives, step, seed, here.device)
    gap = here[:, None] - there[other]
    square = gap.square().sum(2)
    push = 2 * b / ((0.001 + square) * (1 + a * square.clamp_min(1e-30) ** b))
    if there is here:
        push = torch.where(other == torch.arange(len(here), device=here.device)[:, None], 0.0, push)
    force = force + (push[:, :, None] * gap).clamp(-_CLIP, _CLIP).sum(1) * repel[:, None]
    return here + alpha * force


def step(
    here: Float[Tensor, "n d"],
    there: Float[Tensor, "m d"],
    graph: Chunks,
    repel: Float[Tensor, " n"],
    a: float,
    b: float,
    alpha: float,
    negatives: int,
    step: int,
    seed: int,
    parts: Float[Tensor, "chunks d"] | None = None,
) -> Float[Tensor, "n d"]:
    """`step_reference` as fast as the device allows: on a GPU by Triton, where d and ``negatives`` are powers of two.

    ``parts`` may be given as room for the chunks' forces.
    """
    if not compiled(here):
        return layout_cpu.step(here, there, graph, repel, a, b, alpha, negatives, step, seed)
    from workbench.numerics.kernels.layout_triton import attract_kernel, move_kernel

    n, d, chunks = len(here), here.shape[1], len(graph.heads)
    same = there is here
    parts = torch.empty((chunks, d), device=here.device) if parts is None else parts
    out = torch.empty_like(here)
    c, r = 32, 16
    attract_kernel[((chunks + c - 1) // c,)](
        here,
        there,
        graph.heads,
        graph.tails,
        graph.weights,
        parts,
        chunks,
        a,
        b,
        C=c,
        W=WIDTH,
        DIM=d,
        num_warps=4,
    )
    key = random.key(step, seed)
    move_kernel[((n + r - 1) // r,)](
        here,
        there,
        len(there),
        parts,
        graph.first,
        repel,
        out,
        n,
        key - (1 << 32) if key >> 31 else key,
        a,
        b,
        alpha,
        2.0 if same else 1.0,
        R=r,
        NEG=negatives,
        DIM=d,
        SAME=same,
        num_warps=4,
    )
    return out


def bandwidths_reference(
    distances: Float[Tensor, "n k"], n_neighbors: int, floor: float, iterations: int = 64
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Each row's distance to its nearest other row, and the bandwidth of its memberships.

    As `umap.umap_.smooth_knn_dist` with local_connectivity 1: exp(-(d - rho) / sigma) over the neighbours
    adds up to log2(n_neighbors). Rows repeated among the neighbours (distance 0) don't count as nearest.

    Parameters
    ----------
    distances : to the k = n_neighbors - 1 nearest other rows, ascending.
    floor : the mean of all distances, under a thousandth of which no bandwidth of a row falls whose
        neighbours are all at distance 0.
    """
    target = float(torch.tensor(float(n_neighbors)).log2())
    rho = torch.where(distances > 0, distances, torch.inf).amin(1)
    rho = torch.where(rho < torch.inf, rho, 0.0)
    gap = (distances - rho[:, None]).clamp_min(0)
    low, high = torch.zeros_like(rho), torch.full_like(rho, torch.inf)
    mid = torch.ones_like(rho)
    for _ in range(iterations):
        above = torch.exp(-gap / mid[:, None]).sum(1) > target
        high, low = torch.where(above, mid, high), torch.where(above, low, mid)
        mid = torch.where(high < torch.inf, (low + high) / 2, (mid * 2).clamp_max(1e37))
    least = 0.001 * torch.where(rho > 0, distances.sum(1) / n_neighbors, floor)
    return rho, torch.maximum(mid, least)


def bandwidths(
    distances: Float[Tensor, "n k"], n_neighbors: int, floor: float
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """`bandwidths_reference` by the Triton kernel on a GPU."""
    if not compiled(distances):
        return bandwidths_reference(distances, n_neighbors, floor)
    from workbench.numerics.kernels.layout_triton import bandwidth_kernel

    n, k = distances.shape
    rho, sigma = torch.empty((2, n), device=distances.device)
    width = max(2, 1 << (k - 1).bit_length())
    r = max(4, min(32, 1024 // width))
    target = float(torch.tensor(float(n_neighbors)).log2())
    bandwidth_kernel[((n + r - 1) // r,)](
        distances.float().contiguous(), rho, sigma, n, k, target, floor, R=r, K=width, num_warps=4
    )
    return rho, sigma
