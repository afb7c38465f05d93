"""Nearest neighbours in torch: exact, by bins, or pruned by clusters; no n x n array is ever held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from workbench.core.errors import ParameterError
from workbench.core.progress import track
from workbench.numerics import clusters_torch, shared
from workbench.numerics.device import current, memory_budget, refuse_beyond
from workbench.numerics.kernels import knn, prepare
from workbench.numerics.rows_torch import Metric, Rows, centre_and_factor, half_rows, shuffled, slices

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

Search = Literal["auto", "exact", "bins", "clusters"]
FEW = 16384  # rows up to which the plain product costs nothing
CLUSTERS_FROM = 4_000_000  # rows; their products, of all with all, take ten seconds
SYMMETRIC_FROM = 200_000  # below, tiles with narrow bins; above, every product is read both ways
KEYS, KEYS_A_ROW = 256 << 20, 1000  # bytes that the best of each bin may take, in all or for each row
MOST_BINS = 4096  # more lose fewer neighbours, and are more to choose among
_MOST_BY_BINS = 200
_ROUNDS = 2  # of looking through neighbours' neighbours
_ROOM = 64  # candidates a row may have in the second pass of an exact search
_SPARE = 8  # bins beyond k that are measured exactly


@dataclass(frozen=True)
class Neighbours:
    """The k nearest of every row asked about.

    Attributes
    ----------
    indices : (q, k) int32 positions, nearest first; of equals the earlier row.
    distances : (q, k) float32 ascending; of "inner_product" the negative product.
    recall : the share of true neighbours found, measured on ``recall_rows`` rows; None if not measured.
    search : how they were found.
    """

    indices: Int[Tensor, "q k"]
    distances: Float[Tensor, "q k"]
    recall: float | None
    recall_rows: int
    search: str

    def numpy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (indices int64, distances float64), as `neighbours.k_nearest` does."""
        return self.indices.cpu().numpy().astype(np.int64), self.distances.cpu().numpy().astype(np.float64)


def k_nearest(
    x: Float[Tensor | np.ndarray, "n d"],
    k: int,
    metric: Metric = "euclidean",
    *,
    queries: Float[Tensor | np.ndarray, "q d"] | None = None,
    search: Search = "auto",
    probes: int | None = None,
    recall_rows: int = 256,
    device: shared.Places = "auto",
    random_state: int = 0,
    memory: int | None = None,
) -> Neighbours:
    """Return every row's ``k`` nearest rows of ``x``, with the recall that was reached.

    Parameters
    ----------
    x : (n, d) finite, any real dtype; a numpy memory map may be larger than the GPU's memory.
    k : at least 1; less than n, or at most n with ``queries``.
    metric : as in scikit-learn; a row without length (cosine) or variation (correlation) lies at distance 1
        from every other. "inner_product" ranks by the largest product.
    queries : rows to ask about instead of ``x`` itself, whose rows are never their own neighbours.
    search : "exact", float32 products; "bins", one half-precision product of all with all and the best of
        each bin measured exactly; "clusters", the same between near clusters only, then the neighbours'
        neighbours; "auto", exact for few rows or on a CPU, clusters beyond four million, and bins between.
    probes : spans of 2,048 rows compared with each by "clusters"; None takes 24, or 192 beyond four million rows.
    recall_rows : rows whose exact neighbours are looked up to measure the recall; 0 skips that.
    device, memory : where to run, and the bytes it may take there (what is free if None). Several devices share the rows
        asked about; clusters find the same however many there are. Queries are asked on the first alone.
    random_state : seeds the order in which columns fall into bins. The answer is the same on every run.

    Raises
    ------
    ParameterError
        An argument is out of its range.
    DataError
        The rows are not finite, or no step of the work fits the memory.
    """
    devices = shared.given(device, x)
    if metric not in get_args(Metric):
        raise ParameterError(f"metric={metric!r} must be one of {', '.join(get_args(Metric))}")
    if search not in get_args(Search):
        raise ParameterError(f"search={search!r} must be one of {', '.join(get_args(Search))}")
    n, most = len(x), len(x) - (queries is None)
    if not 1 <= k <= most:
        raise ParameterError(f"k={k} must be at least 1 and at most {most} for {n} rows")
    with current(devices[0]):
        return _answer(x, k, metric, queries, search, probes, recall_rows, devices, random_state, memory)


def _answer(
    x: Tensor | np.ndarray,
    k: int,
    metric: Metric,
    queries: Tensor | np.ndarray | None,
    search: Search,
    probes: int | None,
    recall_rows: int,
    devices: tuple[torch.device, ...],
    random_state: int,
    memory: int | None,
) -> Neighbours:
    n, where = len(x), devices[0]
    budget = min(memory_budget(d) // devices.count(d) for d in devices) if memory is None else memory
    base = Rows(x, metric, where)
    query_rows = None if queries is None else Rows(queries, metric, where, beside=base)
    if search == "auto":
        # halves are slow on a CPU, and bins save nothing there
        search = "exact" if n <= FEW or k > _MOST_BY_BINS or where.type == "cpu" else "bins"
        if n > CLUSTERS_FROM and search == "bins" and queries is None and _holds(base, budget):
            search = "clusters"
    if n <= 2 * knn.SPAN or k > _MOST_BY_BINS:
        search = "exact"
    if search == "clusters":
        if queries is not None:
            raise ParameterError("search='clusters' has no queries; use search='bins' or 'exact'")
        probes = probes or (24 if n <= CLUSTERS_FROM else 192)
        d, i = _by_clusters(base, devices, k, budget, random_state, probes)
    elif len(devices) > 1 and queries is None:
        d, i = _by_shares(x, metric, devices, k, search, budget, random_state)
    elif search == "exact":
        d, i = _exact_answer(base, query_rows, k, budget, random_state)
    else:
        d, i = _by_bins(base, query_rows, k, budget, random_state)
    recall, rows = (1.0, 0) if search == "exact" else (None, 0)
    if search != "exact" and recall_rows > 0:
        recall, rows = _recall(base, query_rows, d, k, budget, recall_rows, random_state)
    return Neighbours(i, base.scale(d), recall, rows, search)


def _between(base: Rows, left: Tensor, right: Tensor) -> Tensor:
    """What ranks the rows ``right`` for each of ``left``, by one float32 product."""
    product = left @ right.T
    if base.dot:
        return product.neg_()
    return product.mul_(-2).add_(left.square().sum(1)[:, None]).add_(right.square().sum(1)).clamp_min_(0)


def _merge(d: Tensor, i: Tensor, d2: Tensor, i2: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of two lists; an index -1 has an infinite distance and comes last."""
    key = (knn.ordered(torch.cat([d, d2], 1)).long() << 32) | (torch.cat([i, i2], 1).long() & 0xFFFFFFFF)
    key = key.sort(1).values[:, :k]
    return knn.unordered((key >> 32).int()), (key & 0xFFFFFFFF).int()


def _without(d: Tensor, i: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    mine = i == own[:, None]
    return d.masked_fill(mine, torch.inf), i.masked_fill(mine, -1)


def _empty(total: int, k: int, device: torch.device) -> tuple[Tensor, Tensor]:
    d = torch.full((total, k), torch.inf, device=device)
    return d, torch.full((total, k), -1, dtype=torch.int32, device=device)


def _exact(
    base: Rows, query_rows: Rows | None, k: int, budget: int, at: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Exact neighbours of ``query_rows`` (of ``base`` itself if None), or of its rows ``at`` if given."""
    left = base if query_rows is None else query_rows
    at = torch.arange(left.n, device=base.device) if at is None else at.to(base.device)
    if 4 * base.n * base.d <= budget // 2:
        base.hold()
    out_d, out_i = _empty(len(at), k, base.device)
    wide = min(base.n, 1 << 16, max(knn.SPAN, budget // 4 // (4 * base.d + 4096)))
    tall = min(len(at), 16384, max(1, budget // 4 // (16 * wide)))
    refuse_beyond(4 * wide * base.d + 16 * tall * wide, budget, base.n, "an exact search")
    m = k + _SPARE + (query_rows is None)
    for columns in slices(base.n, wide):
        right = base.rows(columns.start, columns.stop)
        shift = right[:4096].mean(0) if base.metric == "euclidean" else 0.0
        for part in track(slices(len(at), tall), "neighbours"):
            rows = left.at(at[part])
            near = _between(base, rows - shift, right - shift).topk(min(m, len(right)), dim=1, largest=False)
            d, i = knn.rerank(right, rows, near.indices.int(), m, base.dot)
            i = torch.where(i >= 0, i + columns.start, -1)
            if query_rows is None:
                d, i = _without(d, i, at[part])
            out_d[part], out_i[part] = _merge(out_d[part], out_i[part], d, i, k)
    return out_d, out_i


def tiles_for(n: int, symmetric: bool) -> knn.Tiles:
    """The tile shape for ``n`` columns: as many bins as the selection takes."""
    least = max(16, 1 << (-(-n // MOST_BINS) - 1).bit_length())
    return knn.Tiles(128, 128, max(128, least)) if symmetric else knn.Tiles(128, min(128, least), least)


def plan(n: int, d: int, k: int, metric: Metric, device: torch.device) -> list[Callable[[], object]]:
    """Calls that compile what `k_nearest` by bins of ``n`` rows will launch, for `prepare.together`."""
    symmetric = n >= SYMMETRIC_FROM
    padded = -(-n // knn.SPAN) * knn.SPAN
    tiles = tiles_for(n if symmetric else padded, symmetric)
    wanted, bins = k if symmetric else k + 1, padded // tiles.bin
    dot = metric != "euclidean"

    def halving() -> object:
        some = Rows(torch.ones((knn.SPAN, d), device=device), metric, device)
        factors = centre_and_factor(some, some.hold())
        return half_rows(some.hold(), shuffled(knn.SPAN, 0, device), *factors, norms=not dot)

    calls = prepare.search(d, wanted, *shortlist(wanted), min(bins, MOST_BINS), tiles, symmetric, dot, device)
    return [*calls, halving]


def shortlist(k: int) -> tuple[int, int]:
    """How many of the best bins to keep to find k, and the room for those that come with them."""
    kept = k + _SPARE
    return kept, 1 << (kept + kept // 4 - 1).bit_length()


def _by_bins(base: Rows, query_rows: Rows | None, k: int, budget: int, seed: int) -> tuple[Tensor, Tensor]:
    per_row = 4 * base.d + 2 * (base.d + 63) + 512
    if per_row * base.n < budget * 3 // 4:
        base.hold()
        if query_rows is None and base.n >= SYMMETRIC_FROM and base.device.type == "cuda":
            tiles = tiles_for(base.n, symmetric=True)
            if 512 <= base.n // tiles.bin <= MOST_BINS and tiles.bin <= knn.SPAN:
                return _symmetric(base, k, tiles, seed)
    wide = min(base.n, MOST_BINS * knn.SPAN, max(knn.SPAN, budget // 3 // per_row))
    out = _empty(base.n if query_rows is None else query_rows.n, k, base.device)
    for columns in slices(base.n, wide):
        _panel(base, query_rows, columns, k, budget, seed, *out)
    return out


def _symmetric(base: Rows, k: int, tiles: knn.Tiles, seed: int) -> tuple[Tensor, Tensor]:
    """All rows' neighbours, every product computed once and read both ways, one band of rows beside another."""
    rows = base.hold()
    order = shuffled(base.n, seed, base.device)
    half, norm = half_rows(rows, order, *centre_and_factor(base, rows), norms=not base.dot)
    kept, room = shortlist(k)
    spans = len(half) // knn.SPAN
    # the keys of a pair of bands take two tables of band x band / bin
    bands = max(1, round((8 * len(half) ** 2 / tiles.bin / max(KEYS, KEYS_A_ROW * len(half))) ** 0.5))
    each = -(-spans // bands) * knn.SPAN
    floor = torch.full((len(half),), knn.LOWEST, dtype=torch.int32, device=base.device)
    out = _empty(base.n, k, base.device)

    def choose_among(keys: Tensor, part: slice, others: slice) -> None:
        """Merge into the answer what the rows of one band find among those of another."""
        own = torch.arange(others.start // knn.SPAN, others.stop // knn.SPAN, device=base.device)
        table = own.repeat((part.stop - part.start) // knn.SPAN, 1)
        chosen = knn.select_bins(keys, table, kept, room, tiles.bin, floor[part])
        lines = order[part.start : min(part.stop, base.n)]
        d, i = knn.rerank(rows, rows, chosen[: len(lines)], k, base.dot, ids=order, rows=lines)
        at = lines.long()
        out[0][at], out[1][at] = _merge(out[0][at], out[1][at], d[at], i[at], k)

    parts = slices(len(half), each)
    # after the pair (a, b) every row of bands up to it holds its nearest among all bands it was paired with, and its
    # floor says how good a bin has to be to hold one of the nearest
    for a, left in enumerate(track(parts, "neighbours")):
        choose_among(knn.bin_maxima_symmetric(half[left], norm[left], tiles), left, left)
        for right in parts[a + 1 :]:
            here, there = knn.bin_maxima_both(half[left], half[right], norm[left], norm[right], tiles)
            choose_among(here, left, right)
            del here
            choose_among(there, right, left)
            del there
    return out


def _holds(base: Rows, budget: int) -> bool:
    """Whether there is room for a search by clusters."""
    return (6 * base.d + 512) * base.n <= budget * 3 // 4


def _by_clusters(
    base: Rows, devices: tuple[torch.device, ...], k: int, budget: int, seed: int, probes: int
) -> tuple[Tensor, Tensor]:
    refuse_beyond((6 * base.d + 512) * base.n, budget * 3 // 4, base.n, "a search by clusters")
    rows = base.hold()
    shift, factor = centre_and_factor(base, rows)

    def halved(rows: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        return half_rows(rows, order, shift.to(rows.device), factor.to(rows.device), norms=not base.dot)

    copies = [rows.to(device) for device in devices]
    kept = shortlist(k + 1)
    return clusters_torch.pruned(copies, k, base.dot, halved, kept, probes, _ROUNDS, budget, seed)


def _by_shares(
    x: Tensor | np.ndarray,
    metric: Metric,
    devices: tuple[torch.device, ...],
    k: int,
    search: Search,
    budget: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Every device asks about a share of the rows among all, as about queries, each of which finds itself too.

    Two devices that read every product one way take as long as one that reads it both ways, as `_symmetric` does.
    """
    cuts = shared.parts(len(x), len(devices), 128)

    def ask(place: int) -> tuple[Tensor, Tensor]:
        cut, device = cuts[place], devices[place]
        base = Rows(x, metric, device)
        asked = Rows(x[cut], metric, device, beside=base)
        if search == "exact":
            d, i = _exact(base, asked, k + 1, budget)
        else:
            d, i = _by_bins(base, asked, k + 1, budget, seed)
        return clusters_torch.without_self(d, i, torch.arange(cut.start, cut.stop, device=device))

    lists = shared.each(devices[: len(cuts)], ask)
    d, i = (torch.cat([part.to(devices[0]) for part in parts]) for parts in zip(*lists, strict=True))
    return d, i


def _exact_answer(
    base: Rows, query_rows: Rows | None, k: int, budget: int, seed: int
) -> tuple[Tensor, Tensor]:
    per_row = 4 * base.d + 2 * (base.d + 63) + 8 * MOST_BINS
    large = query_rows is None and base.n >= SYMMETRIC_FROM and k <= _ROOM // 2
    if large and base.device.type == "cuda" and per_row * base.n < budget:
        return _certified(base, k, budget, seed)
    return _exact(base, query_rows, k, budget)


def _certified(base: Rows, k: int, budget: int, seed: int) -> tuple[Tensor, Tensor]:
    """Exact neighbours by two half-precision products: what bins find bounds what a second pass must collect.

    Rounding moves row i by at most r_i, which is measured; so whoever lies within the k-th distance found
    lies within that plus r_i and the largest r in the rounded rows, and is collected and measured exactly.
    """
    rows, order = base.hold(), shuffled(base.n, seed, base.device)
    tiles = tiles_for(base.n, symmetric=True)
    d, i = _symmetric(base, k, tiles, seed)
    shift, factor = centre_and_factor(base, rows)
    half, norm = half_rows(rows, order, shift, factor, norms=not base.dot)
    moved, length = torch.empty((2, base.n), device=base.device)
    for part in slices(base.n, 1 << 17):
        true = (rows[order[part]] - shift) * factor
        moved[part] = (true - half[part, : base.d].float()).norm(dim=1)
        length[part] = true.norm(dim=1)
    far = d[order.long(), k - 1]
    if base.dot:
        slack = moved * length.max() + (length + moved) * moved.max()
        edge = -far * factor * factor - slack
        edge = edge - 1e-5 * edge.abs()
    else:
        reach = (far.sqrt() * factor + moved + moved.max()) * (1 + 1e-5)
        exact = half[: base.n].float().square().sum(1) / 2
        edge = exact - reach.square() / 2 - 1e-6 * exact
    edge = torch.nn.functional.pad(edge, (0, len(half) - base.n), value=torch.inf)
    lists, counts = knn.collect(half, norm, edge, _ROOM)
    del half
    d, i = knn.rerank(rows, rows, lists, k, base.dot, ids=order, rows=order)
    over = order[(counts[: base.n] > _ROOM).nonzero()[:, 0]].long().sort().values
    if len(over):
        d[over], i[over] = _exact(base, None, k, budget, over)
    return d, i


def _panel(
    base: Rows,
    query_rows: Rows | None,
    columns: slice,
    k: int,
    budget: int,
    seed: int,
    out_d: Tensor,
    out_i: Tensor,
) -> None:
    """Merge into the answer what the rows find among one panel of columns that the memory holds."""
    right, left = base.rows(columns.start, columns.stop), base if query_rows is None else query_rows
    order = shuffled(len(right), seed, base.device)
    shift, factor = centre_and_factor(base, right)
    half, norm = half_rows(right, order, shift, factor, norms=not base.dot)
    tiles = tiles_for(len(half), symmetric=False)
    n_bins = len(half) // tiles.bin
    per_row = 4 * n_bins + 8 * base.d
    refuse_beyond(per_row * knn.SPAN, budget // 3, base.n, "a search by bins")
    each = budget // 3 // per_row // knn.SPAN * knn.SPAN
    spans = torch.arange(len(half) // knn.SPAN, dtype=torch.int32, device=base.device)
    wanted = k + (query_rows is None)
    for part in track(slices(left.n, each), "neighbours"):
        rows = left.rows(part.start, part.stop)
        own = torch.arange(part.start, part.stop, dtype=torch.int32, device=base.device)
        asked_half, _ = half_rows(rows, own - part.start, shift, factor, norms=False)
        pairs = torch.cartesian_prod(
            torch.arange(len(asked_half) // knn.SPAN, device=base.device), spans.long()
        )
        keys = knn.bin_maxima(
            asked_half, half, norm, pairs, pairs[:, 1] * (knn.SPAN // tiles.bin), n_bins, tiles
        )
        chosen = knn.select_bins(
            keys, spans.repeat(len(asked_half) // knn.SPAN, 1), *shortlist(wanted), tiles.bin
        )
        del keys
        d, i = knn.rerank(right, rows, chosen, wanted, base.dot, ids=order, rows=own - part.start)
        i = torch.where(i >= 0, i + columns.start, -1)
        if query_rows is None:
            d, i = _without(d, i, own)
        out_d[part], out_i[part] = _merge(out_d[part], out_i[part], d, i, k)


def _recall(
    base: Rows, query_rows: Rows | None, d: Tensor, k: int, budget: int, rows: int, seed: int
) -> tuple[float, int]:
    """The share of found neighbours no farther than the true k-th, so that ties count as found."""
    q = min(rows, len(d))
    at = torch.randperm(len(d), generator=torch.Generator().manual_seed(seed + 1))[:q]
    edge = _exact(base, query_rows, k, budget, at)[0][:, -1:]
    slack = 1e-5 * edge.abs() + 1e-12
    return float((d[at.to(d.device)] <= edge + slack).float().mean()), q
