"""Nearest neighbours by bins: the plain torch reference of each step, and the choice of kernel.

The columns of a product of all rows with all rows fall, in random order, into bins; a row keeps the
best column of every bin, then the ``m`` best of those, and measures these exactly. Of a row's k nearest,
one is lost only where a nearer one fell into the same bin: with L bins, about (k - 1) / 2L of them.

References
----------
Chern et al. 2022, TPU-KNN: k nearest neighbor search at peak FLOP/s, NeurIPS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Float16, Int, Int32
    from torch import Tensor

SPAN = 2048  # rows whose tiles are worked on together, so that they stay in the cache
LOWEST = -(2**31)


class Tiles(NamedTuple):
    """Shape of the product's tiles; ``bin`` columns share one maximum, ``bulk`` copies by the tensor engine."""

    rows: int
    cols: int
    bin: int
    depth: int = 64
    warps: int = 4
    stages: int = 3
    bulk: bool = True


def compiled(x: Tensor) -> bool:
    """Whether the Triton kernels can take ``x``."""
    return x.is_cuda


def ordered(x: Float[Tensor, ...]) -> Int32[Tensor, ...]:
    """Return int32 that order as the float32 do."""
    i = x.float().contiguous().view(torch.int32)
    return i ^ ((i >> 31) & 0x7FFFFFFF)


def unordered(i: Int32[Tensor, ...]) -> Float[Tensor, ...]:
    """Return the float32 that `ordered` took."""
    return (i ^ ((i >> 31) & 0x7FFFFFFF)).contiguous().view(torch.float32)


def _tagged(score: Tensor, tag: Tensor, size: int) -> Tensor:
    bits = score.float().contiguous().view(torch.int32)
    return ((bits & ~(size - 1)) | tag.int()).view(torch.float32)


def bin_maxima_reference(
    a: Float16[Tensor, "na d"],
    b: Float16[Tensor, "nb d"],
    norm_b: Float[Tensor, " nb"] | None,
    pairs: Int[Tensor, "p 2"],
    slots: Int[Tensor, " p"],
    n_bins: int,
    size: int,
) -> Int32[Tensor, "bins na"]:
    """The best column of every bin, for each row: its score's `ordered` bits, the lowest its place in the bin.

    Parameters
    ----------
    a, b : rows padded to whole spans; a score is ``a bᵀ - norm_b``.
    pairs : spans of ``a`` and ``b`` to compare.
    slots : the bin of the output in which each pair's first columns go.
    size : columns of a bin, a power of two.
    """
    out = torch.full((n_bins, len(a)), LOWEST, dtype=torch.int32, device=a.device)
    for (s, t), slot in zip(pairs.tolist(), slots.tolist(), strict=True):
        r, c = slice(s * SPAN, (s + 1) * SPAN), slice(t * SPAN, (t + 1) * SPAN)
        score = a[r].float() @ b[c].float().T
        if norm_b is not None:
            score = score - norm_b[c]
        tag = torch.arange(SPAN, device=a.device) % size
        best = _tagged(score, tag, size).view(SPAN, SPAN // size, size).amax(2)
        out[slot : slot + SPAN // size, r] = ordered(best).T
    return out


def bin_maxima(
    a: Float16[Tensor, "na d"],
    b: Float16[Tensor, "nb d"],
    norm_b: Float[Tensor, " nb"] | None,
    pairs: Int[Tensor, "p 2"],
    slots: Int[Tensor, " p"],
    n_bins: int,
    tiles: Tiles,
) -> Int32[Tensor, "bins na"]:
    """`bin_maxima_reference` by the Triton kernel where the rows are on a GPU."""
    if not compiled(a):
        return bin_maxima_reference(a, b, norm_b, pairs, slots, n_bins, tiles.bin)
    out = torch.full((n_bins, len(a)), LOWEST, dtype=torch.int32, device=a.device)
    _launch(a, b, None, norm_b, out, out, pairs, slots, None, tiles, self_too=False)
    return out


def bin_maxima_symmetric(
    a: Float16[Tensor, "n d"], norm: Float[Tensor, " n"] | None, tiles: Tiles
) -> Int32[Tensor, "bins n"]:
    """`bin_maxima` of all rows with themselves, every product computed once and read both ways."""
    spans = len(a) // SPAN
    out = torch.full((-(-len(a) // tiles.bin), len(a)), LOWEST, dtype=torch.int32, device=a.device)
    first, second = torch.triu_indices(spans, spans, 1, device=a.device)
    diagonal = torch.arange(spans, device=a.device)
    both = torch.stack([diagonal, diagonal], 1)
    _launch(a, a, norm, norm, out, out, both, diagonal * SPAN // tiles.bin, None, tiles, True)
    if spans > 1:
        slot_a, slot_b = second * SPAN // tiles.bin, first * SPAN // tiles.bin
        _launch(a, a, norm, norm, out, out, torch.stack([first, second], 1), slot_a, slot_b, tiles, False)
    return out


def bin_maxima_both(
    a: Float16[Tensor, "na d"],
    b: Float16[Tensor, "nb d"],
    norm_a: Float[Tensor, " na"] | None,
    norm_b: Float[Tensor, " nb"] | None,
    tiles: Tiles,
) -> tuple[Int32[Tensor, "bins_b na"], Int32[Tensor, "bins_a nb"]]:
    """`bin_maxima` of all rows of ``a`` among ``b`` and of ``b`` among ``a``, every product computed once."""
    device, parts = a.device, (len(a) // SPAN, len(b) // SPAN)
    first, second = (
        t.flatten() for t in torch.meshgrid(*(torch.arange(p, device=device) for p in parts), indexing="ij")
    )
    if not compiled(a):
        ways = ((a, b, norm_b, first, second), (b, a, norm_a, second, first))
        return tuple(
            bin_maxima_reference(
                x, y, norm, torch.stack([s, t], 1), t * SPAN // tiles.bin, len(y) // tiles.bin, tiles.bin
            )
            for x, y, norm, s, t in ways
        )  # type: ignore[return-value]
    out_a, out_b = (
        torch.full((len(y) // tiles.bin, len(x)), LOWEST, dtype=torch.int32, device=device)
        for x, y in ((a, b), (b, a))
    )
    slots = second * SPAN // tiles.bin, first * SPAN // tiles.bin
    _launch(a, b, norm_a, norm_b, out_a, out_b, torch.stack([first, second], 1), *slots, tiles, False)
    return out_a, out_b


def _launch(a, b, norm_a, norm_b, out_a, out_b, pairs, slot_a, slot_b, tiles, self_too) -> None:
    from triton.tools.tensor_descriptor import TensorDescriptor

    from workbench.numerics.kernels.knn_triton import bin_maxima_kernel

    if len(pairs) == 0:
        return
    first, second = pairs[:, 0].int().contiguous(), pairs[:, 1].int().contiguous()
    each = (SPAN // tiles.rows) * (SPAN // tiles.cols)
    left, right = a, b
    if tiles.bulk:
        left = TensorDescriptor.from_tensor(a, [tiles.rows, tiles.depth])
        right = TensorDescriptor.from_tensor(b, [tiles.cols, tiles.depth])
    bin_maxima_kernel[(len(pairs) * each,)](
        left,
        right,
        a if norm_a is None else norm_a,
        a if norm_b is None else norm_b,
        out_a,
        out_b,
        first,
        second,
        slot_a.int().contiguous(),
        (slot_a if slot_b is None else slot_b).int().contiguous(),
        len(a),
        len(b),
        D=a.shape[1],
        BM=tiles.rows,
        BN=tiles.cols,
        BK=tiles.depth,
        SPAN=SPAN,
        BIN=tiles.bin,
        BOTH=slot_b is not None,
        SELF=self_too,
        NORMS=norm_b is not None,
        BULK=tiles.bulk,
        num_warps=tiles.warps,
        num_stages=tiles.stages,
    )


def _groups(n_bins: int) -> tuple[int, int]:
    """Groups of bins, and bins in each: enough groups to choose from, few enough to hold."""
    groups = min(512, max(16, 1 << (n_bins - 1).bit_length()))
    return groups, -(-n_bins // groups)


def select_bins_reference(
    keys: Int32[Tensor, "bins n"],
    table: Int[Tensor, "spans width"],
    kept: int,
    m: int,
    size: int,
    floor: Int32[Tensor, " n"] | None = None,
) -> Int32[Tensor, "n m"]:
    """The columns in every row's best bins, at most ``m`` and in order of bins; then -1.

    Bins fall into groups; those are chosen that are no worse than the ``kept``-th best group's maximum: the
    ``kept`` best bins are among them.

    Parameters
    ----------
    keys : from `bin_maxima`.
    table : row s lists the spans of columns that the rows of span s were compared with.
    floor : a key that so many bins elsewhere reach, `LOWEST` at first: no bin below is chosen, and it is raised in place
        to what these bins show.
    """
    n_bins, n = keys.shape
    groups, each = _groups(n_bins)
    key = torch.nn.functional.pad(keys, (0, 0, 0, groups * each - n_bins), value=LOWEST)
    top = key.view(each, groups, n).amax(0)
    # bisection settles the upper 26 bits
    edge = (top.topk(min(kept, groups), dim=0).values[-1] >> 6) << 6
    if floor is not None:
        edge = floor.copy_(torch.maximum(edge, floor))
    hit = ((key >= edge) & (key > LOWEST)).T
    place = hit.cumsum(1) - 1
    row, bins = (hit & (place < m)).nonzero(as_tuple=True)
    chosen = key[bins, row]
    tag = (chosen ^ ((chosen >> 31) & 0x7FFFFFFF)) & (size - 1)
    per = SPAN // size
    out = torch.full((n, m), -1, dtype=torch.int32, device=keys.device)
    out[row, place[row, bins]] = (
        table.long()[row // SPAN, bins // per] * SPAN + bins % per * size + tag
    ).int()
    return out


def select_bins(
    keys: Int32[Tensor, "bins n"],
    table: Int[Tensor, "spans width"],
    kept: int,
    m: int,
    size: int,
    floor: Int32[Tensor, " n"] | None = None,
) -> Int32[Tensor, "n m"]:
    """`select_bins_reference` by the Triton kernel on a GPU."""
    if not compiled(keys):
        return select_bins_reference(keys, table, kept, m, size, floor)
    from workbench.numerics.kernels.knn_triton import select_bins_kernel

    n_bins, n = keys.shape
    out = torch.full((n, m), -1, dtype=torch.int32, device=keys.device)
    groups, each = _groups(n_bins)
    r = 8
    select_bins_kernel[((n + r - 1) // r,)](
        keys,
        table.int().contiguous(),
        out,
        keys if floor is None else floor,
        n_bins,
        n,
        table.shape[1],
        each,
        GROUPS_KEPT=min(kept, groups),
        M=m,
        GROUPS=groups,
        R=r,
        BIN=size,
        SPAN=SPAN,
        FLOOR=floor is not None,
        num_warps=4,
    )
    return out


def rerank_reference(
    x: Float[Tensor, "n d"],
    q: Float[Tensor, "q d"],
    candidates: Int[Tensor, "q m"],
    k: int,
    dot: bool = False,
) -> tuple[Float[Tensor, "q k"], Int32[Tensor, "q k"]]:
    """The k nearest of every row's candidates: squared distances (or negative products), ascending.

    Of equals the earlier row of ``x`` comes first. A candidate outside ``x`` (-1, padding) is none, one
    named twice counts once; where fewer than k are left the distance is infinite and the index -1.
    """
    step = max(1, (1 << 24) // max(1, candidates.shape[1] * x.shape[1]))
    parts = [
        _rerank_part(x, q[r : r + step], candidates[r : r + step], k, dot) for r in range(0, len(q), step)
    ]
    return torch.cat([d for d, _ in parts]), torch.cat([i for _, i in parts])


def _rerank_part(x: Tensor, q: Tensor, candidates: Tensor, k: int, dot: bool) -> tuple[Tensor, Tensor]:
    c = candidates.long()
    c = torch.where((c >= 0) & (c < len(x)), c, len(x)).sort(1).values
    c[:, 1:] = torch.where(c[:, 1:] == c[:, :-1], len(x), c[:, 1:])
    ok = c < len(x)
    rows = x[torch.where(ok, c, 0)].float()
    left = q.float()[:, None]
    value = -(left * rows).sum(2) if dot else (left - rows).square().sum(2)
    key = (ordered(torch.where(ok, value, torch.inf)).long() << 32) | c
    none = torch.full((len(key), max(0, k - key.shape[1])), 2**63 - 1, device=key.device)
    key = torch.cat([key, none], 1).sort(1).values[:, :k]
    index = key & 0xFFFFFFFF
    none = index >= len(x)
    return unordered((key >> 32).int()).masked_fill(none, torch.inf), index.int().masked_fill(none, -1)


def rerank(
    x: Float[Tensor, "n d"],
    q: Float[Tensor, "q d"],
    candidates: Int32[Tensor, "q m"],
    k: int,
    dot: bool = False,
    ids: Int[Tensor, " n"] | None = None,
    rows: Int[Tensor, " q"] | None = None,
    dedupe: bool = False,
) -> tuple[Float[Tensor, "q k"], Int32[Tensor, "q k"]]:
    """`rerank_reference` by the Triton kernel on a GPU.

    Parameters
    ----------
    ids, rows : candidate c is row ``ids[c]`` of ``x``, and line r of ``candidates`` is row ``rows[r]`` of ``q``.
    dedupe : a candidate may be named twice.
    """
    if not compiled(x):
        if ids is None or rows is None:
            return rerank_reference(x, q, candidates, k, dot)
        ok = (candidates >= 0) & (candidates < len(ids))
        named = torch.where(ok, ids.int()[candidates.long().clamp(0, len(ids) - 1)], -1)
        at = rows.long()
        out_d = torch.full((len(q), k), torch.inf, device=x.device)
        out_i = torch.full((len(q), k), -1, dtype=torch.int32, device=x.device)
        out_d[at], out_i[at] = rerank_reference(x, q[at], named[: len(at)], k, dot)
        return out_d, out_i
    from workbench.numerics.kernels.knn_triton import rerank_kernel

    m = candidates.shape[1]
    lines = len(q) if rows is None else len(rows)
    width = 1 << (m - 1).bit_length()
    if width != m:
        candidates = torch.nn.functional.pad(candidates, (0, width - m), value=-1)
    out_d = torch.full((len(q), k), torch.inf, device=x.device)
    out_i = torch.full((len(q), k), -1, dtype=torch.int32, device=x.device)
    d = x.shape[1]
    wide = max(16, min(2048 // width, 1 << (d - 1).bit_length()))
    measured = torch.empty((lines, width), device=x.device)
    mapped = ids is not None
    rerank_kernel[(lines,)](
        x,
        q,
        ids if mapped else candidates,
        candidates,
        measured,
        out_d,
        out_i,
        len(x) if ids is None else len(ids),
        d,
        k,
        rows if mapped else candidates,
        M=width,
        BD=wide,
        DOT=dot,
        DEDUPE=dedupe,
        MAPPED=mapped,
        num_warps=1,
    )
    return out_d, out_i


def collect_reference(
    a: Float16[Tensor, "n d"], norm: Float[Tensor, " n"], edge: Float[Tensor, " n"], room: int
) -> tuple[Int32[Tensor, "n room"], Int32[Tensor, " n"]]:
    """Each row's list of the others whose score ``a aᵀ - norm`` reaches the row's edge, and their number.

    The order in a list is any; a list longer than ``room`` is cut, and its number says so.
    """
    lists = torch.full((len(a), room), -1, dtype=torch.int32, device=a.device)
    counts = torch.zeros(len(a), dtype=torch.int32, device=a.device)
    for r in range(0, len(a), SPAN):
        hit = a[r : r + SPAN].float() @ a.float().T - norm >= edge[r : r + SPAN, None]
        hit.diagonal(r).fill_(False)
        place = hit.cumsum(1) - 1
        row, col = (hit & (place < room)).nonzero(as_tuple=True)
        lists[r + row, place[row, col]] = col.int()
        counts[r : r + SPAN] = hit.sum(1)
    return lists, counts


def collect(
    a: Float16[Tensor, "n d"], norm: Float[Tensor, " n"], edge: Float[Tensor, " n"], room: int
) -> tuple[Int32[Tensor, "n room"], Int32[Tensor, " n"]]:
    """`collect_reference` by the Triton kernel on a GPU, every product computed once and read both ways."""
    if not compiled(a):
        return collect_reference(a, norm, edge, room)
    from triton.tools.tensor_descriptor import TensorDescriptor

    from workbench.numerics.kernels.knn_triton import collect_kernel

    lists = torch.full((len(a), room), -1, dtype=torch.int32, device=a.device)
    counts = torch.zeros(len(a), dtype=torch.int32, device=a.device)
    spans, tile, depth = len(a) // SPAN, 128, 64
    diagonal = torch.arange(spans, device=a.device)
    upper = torch.triu_indices(spans, spans, 1, device=a.device)
    rows = TensorDescriptor.from_tensor(a, [tile, depth])
    for both, (first, second) in ((False, (diagonal, diagonal)), (True, upper)):
        if len(first):
            collect_kernel[(len(first) * (SPAN // tile) ** 2,)](
                rows,
                norm,
                edge,
                lists,
                counts,
                first.int().contiguous(),
                second.int().contiguous(),
                D=a.shape[1],
                BM=tile,
                BN=tile,
                BK=depth,
                SPAN=SPAN,
                CAP=room,
                BOTH=both,
                num_warps=4,
                num_stages=3,
            )
    return lists, counts
