"""Spectral initialization of a layout: coarse eigenvectors of a linked graph of landmarks, smoothed on the fine one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.numerics.kernels import chunked
from workbench.numerics.rows_torch import Rows, rows_at_once, slices
from workbench.numerics.threads import one_thread

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

LANDMARKS = 1024
_LINKS = 5  # nearest landmarks joined, so that a graph in pieces has one embedding
_LINK_WEIGHT = 0.05  # of all links together, relative to all edges
_QUANTUM = float(1 << 24)  # sums of whole numbers don't depend on their order


def nearest_landmark(
    rows: Rows, landmarks: Float[Tensor, "m d"], centre: Float[Tensor, " d"]
) -> Int[Tensor, " n"]:
    """Each row's nearest landmark, both less ``centre``; ties go to the earlier. A few rows are looked at at a time."""
    marks = landmarks - centre
    half = marks.square().sum(1) / 2
    parts = (
        rows.rows(part.start, part.stop) - centre
        for part in slices(rows.n, max(1, rows_at_once(max(rows.d, len(marks))) // 4))
    )
    return torch.cat([(half - part @ marks.T).argmin(1) for part in parts])


def coarse_graph(graph: chunked.Chunks, group: Int[Tensor, " n"], m: int) -> Float[Tensor, "m m"]:
    """Weights between groups of rows, summed exactly, so that they come out the same on every run."""
    head = group[graph.heads.long()][:, None].expand_as(graph.tails)
    cell = head * m + group[graph.tails.long()]
    whole = (graph.weights.double() * _QUANTUM).round().long()
    out = torch.zeros(m * m, dtype=torch.int64, device=group.device)
    return (out.index_add_(0, cell.flatten(), whole.flatten()).double() / _QUANTUM).view(m, m)


def spectral_layout(
    graph: chunked.Chunks,
    rows: Rows,
    dim: int,
    random_state: int,
    smoothing: int = 10,
) -> Float[Tensor, "n dim"]:
    """Positions along the slowest modes of diffusion on the graph, up to scale.

    Rows are grouped by their nearest of up to `LANDMARKS` random rows. The graph of the groups, weakly
    joined by their nearest landmarks, is solved densely, and its modes are smoothed along the fine graph.

    Parameters
    ----------
    graph : symmetric weights.
    rows : in a space where Euclidean distance means nearness; they may lie elsewhere than on the device.
    dim : how many modes.
    random_state : seeds the choice of landmarks.
    smoothing : steps of lazy diffusion on the fine graph.
    """
    n = rows.n
    m = min(LANDMARKS, max(n // 4, min(n, 256)))
    g = torch.Generator().manual_seed(random_state)
    marks = rows.at(torch.randperm(n, generator=g)[:m])
    group = nearest_landmark(rows, marks, marks.mean(0))
    weight = coarse_graph(graph, group, m)
    modes = coarse_modes(weight, torch.cdist(marks.double(), marks.double()), dim)
    y = modes.float()[group].contiguous()
    y = y / y.abs().amax().clamp_min(1e-30)
    return smoothed(graph, y, smoothing)


def coarse_modes(
    weight: Float[Tensor, "*s m m"], gaps: Float[Tensor, "*s m m"], dim: int
) -> Float[Tensor, "*s m dim"]:
    """The slowest modes of weighted graphs, each weakly joined by its nearest nodes, one graph or a stack of them.

    Parameters
    ----------
    weight : symmetric, float64. gaps : distances between the nodes, float64; the diagonal doesn't count.
    """
    m = weight.shape[-1]
    own = torch.eye(m, dtype=torch.bool, device=gaps.device)
    near = gaps.masked_fill(own, torch.inf).topk(min(_LINKS, m - 1), dim=-1, largest=False).indices
    links = torch.zeros_like(weight).scatter_(-1, near, 1.0)
    links = torch.maximum(links, links.mT)
    all_links = links.sum((-2, -1), keepdim=True).clamp_min(1)
    weight = weight + links * (_LINK_WEIGHT * weight.sum((-2, -1), keepdim=True) / all_links).clamp_min(1e-6)
    root = weight.sum(-1).sqrt()
    scaled = weight / root[..., :, None] / root[..., None, :]
    modes = _largest(scaled, dim + 1)[..., 1:] / root[..., :, None]
    modes = modes * torch.sign(modes.gather(-2, modes.abs().argmax(-2, keepdim=True)))
    return torch.nn.functional.pad(modes, (0, max(0, dim - modes.shape[-1])))


def _largest(symmetric: Float[Tensor, "*s m m"], count: int) -> Float[Tensor, "*s m k"]:
    """Eigenvectors of the ``count`` largest eigenvalues (of all, where there are fewer), the largest first."""
    m = symmetric.shape[-1]
    count = min(count, m)
    if symmetric.device.type != "cpu":
        return torch.linalg.eigh(symmetric)[1].flip(-1)[..., :count]
    # On a CPU only those that are wanted, by one thread: a quarter of the time of all, on a busy machine a twentieth
    from scipy.linalg import eigh

    flat = symmetric.reshape(-1, m, m).numpy()
    with one_thread():
        found = [eigh(a, subset_by_index=[m - count, m - 1], check_finite=False)[1][:, ::-1] for a in flat]
    return torch.from_numpy(np.stack(found)).view(*symmetric.shape[:-1], count)


def smoothed(graph: chunked.Chunks, y: Float[Tensor, "n dim"], steps: int) -> Float[Tensor, "n dim"]:
    """Positions after steps of lazy diffusion on a graph."""
    dim = y.shape[1]
    y = torch.nn.functional.pad(y, (0, (1 << (dim - 1).bit_length()) - dim)).contiguous()
    total = chunked.apply(graph, torch.ones_like(y))
    for _ in range(steps):
        y = torch.where(total > 0, 0.5 * y + 0.5 * chunked.apply(graph, y) / total.clamp_min(1e-30), y)
    return y[:, :dim]
