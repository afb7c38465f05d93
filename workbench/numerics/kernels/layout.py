"""Steps of a force layout on a neighbour graph: the plain torch reference of each, and the choice of kernel.

A graph is a sparse matrix in chunks (`chunked`). Forces are gathered, never scattered, and added up in a fixed order: the same
input gives the same bits on every run of the same device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.numerics.kernels import layout_cpu, random
from workbench.numerics.kernels.chunked import WIDTH, Chunks, compiled, fold_reference, of_rows, row_sums

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

_CLIP = 4.0
_HUB = 16.0  # total weight of a row's edges beyond which it takes shorter steps; most rows have 4 to 8


def shortened(graph: Chunks, width: int = 1) -> tuple[Chunks, Float[Tensor, " n"]]:
    """The graph by which rows step, and the share of a whole step that each row takes: 1 but for hubs.

    umap-learn moves a row after each of its edges; here a row moves once for all of them. What hundreds of neighbours
    and the pushes in proportion to them add up to would throw a hub far out of the layout, where nothing pulls it
    back. A hub's edges are therefore scaled to a total weight of 16: it comes to rest at the same place, in more steps.
    """
    share = (_HUB / row_sums(graph, width).clamp_min(_HUB)).contiguous()
    return graph._replace(weights=graph.weights * share[graph.heads.long()][:, None]), share


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
    begin: int | None = None,
) -> Float[Tensor, "n d"]:
    """The positions after one step: all rows pulled by their neighbours, pushed by random rows, at once.

    Parameters
    ----------
    here : positions of the rows that move.
    there : positions of what pulls and pushes them; ``here`` itself while fitting.
    begin : where ``here`` is a share of the rows of ``there`` that move among themselves, the number of its first one.
    graph : (n, m) weights.
    repel : by how much each random row's push counts.
    a, b : of the membership curve 1 / (1 + a d^2b).
    alpha : length of the step.
    negatives, step, seed : how many random rows, and which.

    Returns
    -------
    (n, d) float32. Each entry of a pull or push is clipped to 4, as in umap-learn.
    """
    among_themselves, begin = there is here or begin is not None, begin or 0
    own = here[graph.heads.long()][:, None]
    gap = there[graph.tails.long()] - own
    square = gap.square().sum(2)
    power = square.clamp_min(1e-30) ** b
    scale = 2.0 if among_themselves else 1.0  # an edge moves both of its ends, from either side
    pull = torch.where(square > 0, 2 * a * b * power / (square.clamp_min(1e-30) * (1 + a * power)), 0.0)
    force = (
        fold_reference(
            ((pull[:, :, None] * gap).clamp(-_CLIP, _CLIP) * graph.weights[:, :, None]).sum(1), graph
        )
        * scale
    )
    # rows placed among others are all pushed by the same ones, so that a row's place doesn't depend on its company
    drawers = len(here) if among_themselves else 1
    other = random.draw_rows(drawers, len(there), negatives, step, seed, here.device, first=begin)
    gap = here[:, None] - there[other]
    square = gap.square().sum(2)
    push = 2 * b / ((0.001 + square) * (1 + a * square.clamp_min(1e-30) ** b))
    if among_themselves:
        row = torch.arange(begin, begin + len(here), device=here.device)
        push = torch.where(other == row[:, None], 0.0, push)
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
    begin: int | None = None,
) -> Float[Tensor, "n d"]:
    """`step_reference` as fast as the device allows: on a GPU by Triton, where d and ``negatives`` are powers of two.

    ``parts`` may be given as room for the chunks' forces.
    """
    if not compiled(here):
        return layout_cpu.step(here, there, graph, repel, a, b, alpha, negatives, step, seed, begin)
    from workbench.numerics.kernels.layout_triton import attract_kernel, move_kernel

    n, d, chunks = len(here), here.shape[1], len(graph.heads)
    same = there is here or begin is not None
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
        begin or 0,
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


def sets_reference(
    start: Float[Tensor, "n d"],
    graph: Chunks,
    m: int,
    repel: Float[Tensor, " n"],
    a: float,
    b: float,
    epochs: int,
    length: float,
    negatives: int,
    seed: int,
) -> Float[Tensor, "n d"]:
    """The positions after all steps of several layouts of ``m`` rows each, that follow each other and share no edge.

    Each is moved as `step_reference` moves it alone, in steps that shrink from ``length`` to 0.
    """
    out = []
    for first in range(0, len(start), m):
        piece = of_rows(graph, slice(first, first + m))
        piece = piece._replace(
            tails=(piece.tails - first).clamp_min(0)
        )  # unused entries, of weight 0, name row 0 of all
        y = start[first : first + m]
        for epoch in range(epochs):
            alpha = length * (1 - epoch / epochs)
            y = step_reference(y, y, piece, repel[first : first + m], a, b, alpha, negatives, epoch, seed)
        out.append(y)
    return torch.cat(out)


def sets(
    start: Float[Tensor, "n d"],
    graph: Chunks,
    m: int,
    repel: Float[Tensor, " n"],
    a: float,
    b: float,
    epochs: int,
    length: float,
    negatives: int,
    seed: int,
) -> Float[Tensor, "n d"]:
    """`sets_reference` by one Triton kernel on a GPU, a program a layout: 500 steps cost no 1,000 launches."""
    if not compiled(start):
        return layout_cpu.sets(start, graph, m, repel, a, b, epochs, length, negatives, seed)
    from workbench.numerics.kernels.layout_triton import sets_kernel

    n, d = start.shape
    places = torch.stack([start, start]).contiguous()
    keys = torch.tensor([random.key(e, seed) for e in range(epochs)], device=start.device)
    sets_kernel[(n // m,)](
        places,
        torch.empty((len(graph.heads), d), device=start.device),
        graph.heads,
        graph.tails,
        graph.weights,
        graph.first,
        repel,
        keys,
        n,
        m,
        epochs,
        a,
        b,
        length,
        C=64,
        W=WIDTH,
        R=32,
        NEG=negatives,
        DIM=d,
        num_warps=8,
    )
    return places[epochs % 2].contiguous()


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
