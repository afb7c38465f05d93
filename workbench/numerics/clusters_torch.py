"""Neighbours pruned by clusters, then by the neighbours of neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from workbench.core.errors import DataError
from workbench.core.progress import tell, track
from workbench.numerics import shared
from workbench.numerics.kernels import knn
from workbench.numerics.rows_torch import slices

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Int32
    from torch import Tensor

BIN = 32
MOST_BINS = 4096  # of a row; more probes take wider bins
KEYS = 1 << 30  # bytes that the best of each bin may take
BLOCK = 1 << 16  # rows whose nearest centre is looked up together
_SAMPLE = 64  # rows a centre is fitted to
_ROUNDS = 5
_THROUGH, _OF_EACH = 12, 8  # neighbours looked through, and of each of these their nearest


def cluster_order(
    copies: Sequence[Float[Tensor, "n d"]], generator: torch.Generator
) -> tuple[Int[Tensor, " n"], Float[Tensor, "spans d"]]:
    """An order of the rows in which near ones share a span, random within a cluster, and the spans' means.

    ``copies`` are the rows on each device that takes part, and the first's is where the answer is.
    """
    rows = copies[0]
    n, spans = len(rows), -(-len(rows) // knn.SPAN)
    some = torch.randperm(n, generator=generator, device=rows.device)[: spans * _SAMPLE]
    sample = rows[some]
    centres = sample[:spans].clone()
    for _ in range(_ROUNDS):
        total, size = torch.zeros_like(centres), torch.zeros((spans, 1), device=rows.device)
        nearest = _nearest(sample, centres)
        for part in slices(len(sample), BLOCK):
            member = torch.nn.functional.one_hot(nearest[part], spans).to(rows.dtype)
            total += member.T @ sample[part]
            size += member.sum(0)[:, None]
        centres = torch.where(size > 0, total / size.clamp_min(1), centres)
    # clusters that lie close come one after the other, since spans run across their borders
    axis = torch.linalg.eigh((centres.T @ centres).double())[1][:, -1].float()
    rank = (centres @ axis).argsort(stable=True).argsort(stable=True)
    shuffled = torch.randperm(n, generator=generator, device=rows.device)
    # whole blocks, so that a product has one shape, and a row one nearest centre, however many devices there are
    cuts = shared.parts(n, len(copies), BLOCK)
    near = shared.each(
        [held.device for held in copies[: len(cuts)]],
        lambda place: _nearest(copies[place][cuts[place]], centres.to(copies[place].device)),
    )
    nearest = torch.cat([part.to(rows.device) for part in near])
    order = shuffled[rank[nearest][shuffled].argsort(stable=True)]
    means = torch.stack([rows[part].mean(0) for part in order.split(knn.SPAN)])
    return order, means


def _nearest(rows: Tensor, centres: Tensor) -> Tensor:
    half = centres.square().sum(1) / 2
    return torch.cat([(half - part @ centres.T).argmin(1) for part in rows.split(BLOCK)])


def pruned(
    copies: Sequence[Float[Tensor, "n d"]],
    k: int,
    dot: bool,
    half_rows: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    shortlist: tuple[int, int],
    probes: int,
    rounds: int,
    budget: int,
    seed: int,
) -> tuple[Float[Tensor, "n k"], Int32[Tensor, "n k"]]:
    """Neighbours by comparing each span of clustered rows with the ``probes`` spans of the nearest means.

    Parameters
    ----------
    copies : the same rows on every device that takes part, each of which compares a share of the spans; the first's is
        where the answer is, which is the same however many there are.
    half_rows : maps rows and an order to the rows in it as fp16 and half their squared length.
    shortlist : how many bins to keep, and room for those that tie.
    rounds : of looking through neighbours' neighbours.
    """
    rows = copies[0]
    n = len(rows)
    if n <= knn.SPAN * 2:
        raise DataError(f"clusters need more than {2 * knn.SPAN} rows, and there are {n}; use search='exact'")
    cuts = shared.parts(-(-n // knn.SPAN), len(copies))
    copies = copies[: len(cuts)]
    devices = [held.device for held in copies]
    generator = torch.Generator(rows.device).manual_seed(seed)
    tell("clusters")
    order, means = cluster_order(copies, generator)
    probes = min(probes, len(means))
    size = BIN
    while probes * knn.SPAN // size > MOST_BINS:
        size *= 2
    table = torch.cdist(means, means).topk(probes, dim=1, largest=False).indices
    orders = [order.to(device) for device in devices]

    def compare(place: int) -> tuple[Tensor, Tensor]:
        held, own = copies[place], orders[place]
        halves, near = half_rows(held, own), table.to(held.device)
        return _compared(held, own, halves, near, cuts[place], k, dot, shortlist, size, budget)

    lists = shared.each(devices, compare)
    # what each found for the rows in its spans is copied to the others: then every device's lists are whole
    for place, cut in enumerate(cuts):
        lines = slice(cut.start * knn.SPAN, cut.stop * knn.SPAN)
        for other, (d, i) in enumerate(lists):
            if other != place:
                at, own = orders[other][lines], orders[place][lines]
                d[at] = lists[place][0][own].to(d.device)
                i[at] = lists[place][1][own].to(i.device)
    for _ in range(rounds):
        lists = _looked_through(copies, [i for _, i in lists], k, dot)
    return lists[0]


def _compared(
    rows: Tensor,
    order: Tensor,
    halves: tuple[Tensor, Tensor],
    table: Tensor,
    cut: slice,
    k: int,
    dot: bool,
    shortlist: tuple[int, int],
    size: int,
    budget: int,
) -> tuple[Tensor, Tensor]:
    """Lists of all rows, filled for those in the spans of ``cut``: the nearest in the spans that ``table`` names."""
    half, norm = halves
    probes, per = table.shape[1], knn.SPAN // size
    ids = order.int()
    d = torch.full((len(rows), k), torch.inf, device=rows.device)
    i = torch.full((len(rows), k), -1, dtype=torch.int32, device=rows.device)
    each = max(1, min(KEYS, budget // 4) // (4 * probes * per * knn.SPAN))
    for first in track(range(cut.start, cut.stop, each), "neighbours"):
        asked = table[first : min(first + each, cut.stop)]
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
    return d, i


def _looked_through(
    copies: Sequence[Tensor], lists: Sequence[Tensor], k: int, dot: bool
) -> list[tuple[Tensor, Tensor]]:
    """Neighbours among the neighbours of all rows' neighbours as they were; a million rows at a time.

    ``lists`` are the same on every device, and so are those that are returned.
    """
    cuts = shared.parts(len(copies[0]), len(copies))
    new_d = [torch.empty_like(i, dtype=torch.float32) for i in lists]
    new_i = [torch.empty_like(i) for i in lists]

    def look(place: int) -> None:
        rows, i, cut = copies[place], lists[place], cuts[place]
        for part in slices(cut.stop - cut.start, 1 << 20):
            part = slice(cut.start + part.start, cut.start + part.stop)
            through = i[part, :_THROUGH].long().clamp_min(0)
            more = i[:, :_OF_EACH][through].flatten(1)
            own = torch.arange(part.start, part.stop, device=rows.device, dtype=torch.int32)[:, None]
            more = torch.where(more == own, -1, more)
            both = torch.cat([i[part], more], 1).contiguous()
            new_d[place][part], new_i[place][part] = knn.rerank(rows, rows[part], both, k, dot, dedupe=True)

    shared.each([held.device for held in copies], look)
    shared.exchange(new_d, cuts)
    shared.exchange(new_i, cuts)
    return list(zip(new_d, new_i, strict=True))


def without_self(d: Tensor, i: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Move a row's own entry behind the others and cut the last."""
    last = ((i == own[:, None]).int().cumsum(1) > 0).int()
    at = (torch.arange(i.shape[1] - 1, device=i.device) + last[:, :-1]).long()
    return d.gather(1, at), i.gather(1, at)
