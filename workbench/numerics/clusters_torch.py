"""Neighbours pruned by clusters, then by the neighbours of neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from workbench.core.errors import DataError
from workbench.core.progress import tell, track
from workbench.numerics.kernels import knn
from workbench.numerics.rows_torch import slices

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Int32
    from torch import Tensor

BIN = 32
MOST_BINS = 4096  # of a row; more probes take wider bins
KEYS = 1 << 30  # bytes that the best of each bin may take
_SAMPLE = 64  # rows a centre is fitted to
_ROUNDS = 5
_THROUGH, _OF_EACH = 12, 8  # neighbours looked through, and of each of these their nearest


def cluster_order(
    rows: Float[Tensor, "n d"], generator: torch.Generator
) -> tuple[Int[Tensor, " n"], Float[Tensor, "spans d"]]:
    """An order of the rows in which near ones share a span, random within a cluster, and the spans' means."""
    n, spans = len(rows), -(-len(rows) // knn.SPAN)
    some = torch.randperm(n, generator=generator, device=rows.device)[: spans * _SAMPLE]
    sample = rows[some]
    centres = sample[:spans].clone()
    for _ in range(_ROUNDS):
        total, size = torch.zeros_like(centres), torch.zeros((spans, 1), device=rows.device)
        nearest = _nearest(sample, centres)
        for part in slices(len(sample), 1 << 16):
            member = torch.nn.functional.one_hot(nearest[part], spans).to(rows.dtype)
            total += member.T @ sample[part]
            size += member.sum(0)[:, None]
        centres = torch.where(size > 0, total / size.clamp_min(1), centres)
    # clusters that lie close come one after the other, since spans run across their borders
    axis = torch.linalg.eigh((centres.T @ centres).double())[1][:, -1].float()
    rank = (centres @ axis).argsort(stable=True).argsort(stable=True)
    shuffled = torch.randperm(n, generator=generator, device=rows.device)
    order = shuffled[rank[_nearest(rows, centres)][shuffled].argsort(stable=True)]
    means = torch.stack([rows[part].mean(0) for part in order.split(knn.SPAN)])
    return order, means


def _nearest(rows: Tensor, centres: Tensor) -> Tensor:
    half = centres.square().sum(1) / 2
    return torch.cat([(half - part @ centres.T).argmin(1) for part in rows.split(1 << 16)])


def pruned(
    rows: Float[Tensor, "n d"],
    k: int,
    dot: bool,
    half_rows: Callable[[Tensor], tuple[Tensor, Tensor]],
    shortlist: tuple[int, int],
    probes: int,
    rounds: int,
    budget: int,
    seed: int,
) -> tuple[Float[Tensor, "n k"], Int32[Tensor, "n k"]]:
    """Neighbours by comparing each span of clustered rows with the ``probes`` spans of the nearest means.

    Parameters
    ----------
    rows : on the device that computes.
    half_rows : maps an order to the rows in it as fp16 and half their squared length.
    shortlist : how many bins to keep, and room for those that tie.
    rounds : of looking through neighbours' neighbours.
    """
    n = len(rows)
    if n <= knn.SPAN * 2:
        raise DataError(f"clusters need more than {2 * knn.SPAN} rows, and there are {n}; use search='exact'")
    generator = torch.Generator(rows.device).manual_seed(seed)
    tell("clusters")
    order, means = cluster_order(rows, generator)
    half, norm = half_rows(order)
    spans = len(means)
    probes = min(probes, spans)
    size = BIN
    while probes * knn.SPAN // size > MOST_BINS:
        size *= 2
    per = knn.SPAN // size
    table = torch.cdist(means, means).topk(probes, dim=1, largest=False).indices
    ids = order.int()
    d = torch.full((n, k), torch.inf, device=rows.device)
    i = torch.full((n, k), -1, dtype=torch.int32, device=rows.device)
    each = max(1, min(KEYS, budget // 4) // (4 * probes * per * knn.SPAN))
    for first in track(range(0, spans, each), "neighbours"):
        asked = table[first : first + each]
        own = torch.arange(len(asked), device=rows.device)[:, None].expand_as(asked)
        pairs = torch.stack([own.flatten(), asked.flatten()], 1)
        slots = (torch.arange(probes, device=rows.device) * per).repeat(len(asked))
        left = half[first * knn.SPAN : (first + len(asked)) * knn.SPAN]
        keys = knn.bin_maxima(
            left, half, norm, pairs, slots, probes * per, knn.Tiles(128, min(size, 128), size)
        )
        lines = ids[first * knn.SPAN : (first + len(asked)) * knn.SPAN]
        chosen = knn.select_bins(keys, asked, *shortlist, size)[: len(lines)]
        near = knn.rerank(rows, rows, chosen, k + 1, dot, ids=ids, rows=lines)
        at = lines.long()
        d[at], i[at] = without_self(near[0][at], near[1][at], at)
    del half, keys, chosen, near
    for _ in range(rounds):
        d, i = _looked_through(rows, d, i, k, dot)
    return d, i


def _looked_through(rows: Tensor, d: Tensor, i: Tensor, k: int, dot: bool) -> tuple[Tensor, Tensor]:
    """Neighbours among the neighbours of all rows' neighbours as they were; a million rows at a time."""
    new_d, new_i = torch.empty_like(d), torch.empty_like(i)
    for part in slices(len(rows), 1 << 20):
        through = i[part, :_THROUGH].long().clamp_min(0)
        more = i[:, :_OF_EACH][through].flatten(1)
        own = torch.arange(part.start, part.stop, device=rows.device, dtype=torch.int32)[:, None]
        more = torch.where(more == own, -1, more)
        both = torch.cat([i[part], more], 1).contiguous()
        new_d[part], new_i[part] = knn.rerank(rows, rows[part], both, k, dot, dedupe=True)
    return new_d, new_i


def without_self(d: Tensor, i: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Move a row's own entry behind the others and cut the last."""
    last = ((i == own[:, None]).int().cumsum(1) > 0).int()
    at = (torch.arange(i.shape[1] - 1, device=i.device) + last[:, :-1]).long()
    return d.gather(1, at), i.gather(1, at)
