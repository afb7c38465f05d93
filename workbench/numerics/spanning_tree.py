"""The exact minimum spanning tree of points: from a neighbour graph, then one look at all pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.device import Device, borrowed, choose, memory_budget, refuse_beyond
from workbench.numerics.near_origin import far_centre

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int, Real
    from torch import Tensor

Metric = Literal["euclidean", "cosine"]
N_NEIGHBORS = 15
ALL_PAIRS_UP_TO = 2048  # rows whose pairs are all sorted
ROOM = 1 << 25  # pairs that one look at all pairs may leave in question at first: 256 MiB
SEARCHED = 1 << 17  # rows of small components whose nearest row outside is looked up at a time
_HALF_TOP = 4096.0  # half precision holds rows scaled to this maximum with the widest range below it


class SpanningTree(NamedTuple):
    """Edges by rising length: (n - 1, 2) int64 row positions, and (n - 1,) float32 lengths."""

    edges: Int[np.ndarray, "m 2"]
    lengths: Float[np.ndarray, " m"]


def minimum_spanning_tree(
    x: Real[np.ndarray | torch.Tensor, "n d"],
    metric: Metric = "euclidean",
    *,
    device: Device | torch.device = "auto",
    random_state: int = 0,
) -> SpanningTree:
    """Compute the minimum spanning tree of all rows, exactly; its lengths are the deaths of H0.

    A tree of the neighbour graph comes first. In its single-linkage order the height at which two rows come
    together is the largest gap between them, so one product of all rows with all, in half precision and with
    the rounding bounded, finds every pair that is nearer than that. By the cycle property no other pair can
    be in the minimum spanning tree.

    Parameters
    ----------
    x : (n, d) finite, held as float32.
    metric : cosine is one minus the cosine.
    random_state : seeds the search for neighbours, which decides how long it takes and not the lengths.

    Returns
    -------
    SpanningTree
        Of edges with equal lengths, any that make a minimum spanning tree.

    Raises
    ------
    DataError
        Rows that aren't finite, rows of zeros with metric="cosine", or more than the memory holds.

    References
    ----------
    Boruvka 1926; Gower and Ross 1969, Minimum spanning trees and single linkage cluster analysis, Appl.
    Statist. 18.
    """
    import torch

    if metric not in ("euclidean", "cosine"):
        raise ParameterError(f"metric={metric!r} must be one of euclidean, cosine")
    where = choose(device)
    if len(x.shape) != 2 or not len(x):
        raise DataError(f"rows must be a table (n, d) of at least one row, not of shape {tuple(x.shape)}")
    refuse_beyond((14 * x.shape[1] + 1500) * len(x), memory_budget(where), len(x), "a spanning tree")
    rows = (borrowed(x) if isinstance(x, np.ndarray) else x).to(where)
    if metric == "euclidean" and (centre := far_centre(x)) is not None:
        rows = rows.double() - torch.from_numpy(centre).to(where)
    rows = rows.float() + 0.0  # a negative zero is a zero
    if not bool(torch.isfinite(rows).all()):
        raise DataError("rows hold values that are not finite in float32: drop or replace them")
    if metric == "cosine":
        length = rows.norm(dim=1, keepdim=True)
        if not bool((length > 0).all()):
            raise DataError("rows of zeros have no direction: the cosine metric can't place them")
        rows = rows / length
    kept, copies = _distinct(rows)
    u, v = _tree(rows[kept], random_state)
    edges = torch.cat([torch.stack([kept[u], kept[v]], 1), copies])
    lengths = _lengths(rows, edges[:, 0], edges[:, 1], torch.float64)
    lengths = (lengths.square() / 2 if metric == "cosine" else lengths).float()
    order = lengths.argsort(stable=True)
    return SpanningTree(edges[order].cpu().numpy(), lengths[order].cpu().numpy())


def _distinct(rows: Tensor) -> tuple[Int[Tensor, " m"], Int[Tensor, "c 2"]]:
    """The first of equal rows, and (first, copy) of every other."""
    import torch

    bits = rows.view(torch.int32)
    generator = torch.Generator().manual_seed(0)
    factor = (torch.randint(-(2**62), 2**62, (rows.shape[1],), generator=generator) | 1).to(rows.device)
    mixed = torch.cat([(part.long() * factor).sum(1) for part in bits.split(1 << 16)])
    _, group = torch.unique(mixed, return_inverse=True)
    at = torch.arange(len(rows), device=rows.device)
    first = torch.full_like(at, len(rows)).scatter_reduce_(0, group, at, "amin")[group]
    same = first != at
    copies = same.nonzero()[:, 0]
    equal = [(rows[p] == rows[first[p]]).all(1) for p in copies.split(1 << 16)]
    copies = copies[torch.cat([torch.empty(0, dtype=torch.bool, device=rows.device), *equal])]
    single = torch.ones_like(same)
    single[copies] = False
    return single.nonzero()[:, 0], torch.stack([first[copies], copies], 1)


def _lengths(rows: Tensor, u: Tensor, v: Tensor, dtype: torch.dtype) -> Float[Tensor, " e"]:
    import torch

    step = max(1, (1 << 28) // rows.shape[1])
    parts = zip(u.split(step), v.split(step), strict=True)
    return torch.cat(
        [
            torch.empty(0, dtype=dtype, device=rows.device),
            *((rows[a].to(dtype) - rows[b].to(dtype)).norm(dim=1) for a, b in parts),
        ]
    )


def forest(
    n: int, u: Int[Tensor, " e"], v: Int[Tensor, " e"], lengths: Float[Tensor, " e"]
) -> tuple[Tensor, Tensor]:
    """Return which edges make a minimum spanning forest (Borůvka), and each node's component.

    Of edges with equal lengths the earlier comes first. A component is named by one of its nodes.
    """
    import torch

    order = lengths.argsort(stable=True)
    u, v = u[order], v[order]
    node = torch.arange(n, device=u.device)
    label, live = node, torch.arange(len(u), device=u.device)
    chosen = [live[:0]]
    # At the head of each pass ``label`` names every node's component in the forest of the edges chosen so far, which
    # are all in the minimum spanning forest; ``live`` holds every edge that may still join two components, by length.
    # Each component with such an edge chooses its first one. Edges are in a strict order, so two components may choose
    # the same edge, but no longer circle can close. Components with edges are at least halved, so that after at most
    # log2(n) passes no edge joins two.
    while True:
        a, b = label[u[live]], label[v[live]]
        across = a != b
        live, a, b = live[across], a[across], b[across]
        if not len(live):
            return order[torch.cat(chosen)], label
        best = torch.full((n,), len(u), dtype=torch.int64, device=u.device)
        best.scatter_reduce_(0, a, live, "amin").scatter_reduce_(0, b, live, "amin")
        own = (best < len(u)).nonzero()[:, 0]
        edge = best[own]
        chosen.append(torch.unique(edge))
        ends = label[u[edge]], label[v[edge]]
        parent = node.clone()
        parent[own] = torch.where(ends[0] == own, ends[1], ends[0])
        parent = torch.where((parent[parent] == node) & (node < parent), node, parent)
        # every node points to one further up its tree (the roots to themselves), twice as far each time
        while not torch.equal(parent, parent[parent]):
            parent = parent[parent]
        label = parent[label]


def _tree(rows: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    import torch

    n = len(rows)
    if n <= ALL_PAIRS_UP_TO:
        u, v = torch.triu_indices(n, n, 1, device=rows.device)
        kept, _ = forest(n, u, v, _lengths(rows, u, v, torch.float32))
        return u[kept], v[kept]
    from workbench.numerics.neighbours_torch import k_nearest

    near = k_nearest(rows, N_NEIGHBORS, recall_rows=0, device=rows.device, random_state=seed)
    u = torch.arange(n, device=rows.device).repeat_interleave(N_NEIGHBORS)
    v, lengths = near.indices.reshape(-1).long(), near.distances.reshape(-1)
    valid = v >= 0
    u, v, lengths = u[valid], v[valid], lengths[valid]
    kept, label = forest(n, u, v, lengths)
    u, v, lengths = u[kept], v[kept], lengths[kept]
    half = _Half(rows)
    # (u, v) is a forest and ``label`` its components. At least one row of each but the largest is joined to a row of
    # another, so that there are fewer each time, until a single tree is left.
    while len(u) < n - 1:
        u, v, lengths, label = _joined(rows, half, u, v, lengths, label, seed)
    room = ROOM
    # (u, v) is a spanning tree. If all pairs nearer than its height between them were among those looked at, the
    # shortest tree of it and them is the minimum spanning tree, and the loop ends. If not, any such pair makes the tree
    # shorter, so that no tree comes back; and where there was none, the next look takes in all pairs that might be.
    while True:
        pairs, shorter, total = _shortcuts(rows, half, u, v, lengths, room)
        u, v = torch.cat([u, pairs[:, 0]]), torch.cat([v, pairs[:, 1]])
        lengths = torch.cat([lengths, shorter])
        kept, _ = forest(n, u, v, lengths)
        u, v, lengths = u[kept], v[kept], lengths[kept]
        if total <= room:
            return u, v
        if not len(pairs):  # half precision can't tell these rows apart
            room = total
            refuse_beyond(
                64 * room, memory_budget(rows.device), n, "a spanning tree of rows so close together"
            )


class _Half:
    """Rows centred, scaled and rounded to half precision, and how far rounding moved them."""

    def __init__(self, rows: Tensor):
        import torch

        n, d = rows.shape
        self.n = n
        shift = rows[:: max(1, n // 65536)].mean(0)
        low, high = torch.aminmax(rows)
        reach = float(torch.maximum(high, -low) + shift.abs().amax())
        self.factor = _HALF_TOP / reach if reach > 0 else 1.0
        wide = 32 * -(-d // 32)
        self.rows = torch.zeros((n, wide), dtype=torch.float16, device=rows.device)
        self.moved = torch.empty(n, device=rows.device)
        self.norm = torch.empty(n, device=rows.device)
        for start in range(0, n, 1 << 17):
            part = slice(start, start + (1 << 17))
            exact = (rows[part] - shift) * self.factor
            self.rows[part, :d] = exact.half()
            rounded = self.rows[part, :d].float()
            # the subtraction above rounds too, by less than this part of the values
            own = 2.0**-23 * (exact.norm(dim=1) + float(shift.norm()) * self.factor)
            self.moved[part] = (exact - rounded).norm(dim=1) * 1.001 + own
            self.norm[part] = rounded.square().sum(1) / 2

    def ordered(self, order: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, norms and moves in another order, padded to whole spans."""
        import torch

        from workbench.numerics.kernels.spanning import FAR, SPAN

        padded = -(-self.n // SPAN) * SPAN
        rows = torch.zeros((padded, self.rows.shape[1]), dtype=torch.float16, device=order.device)
        rows[: self.n] = self.rows[order]
        norm = torch.full((padded,), FAR, device=order.device)
        norm[: self.n] = self.norm[order]
        return rows, norm, self.moved[order]


def _joined(
    rows: Tensor, half: _Half, u: Tensor, v: Tensor, lengths: Tensor, label: Tensor, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Join each component but the largest to another, by the nearest of some of its rows' nearest."""
    import torch

    from workbench.numerics.kernels.spanning import nearest_other

    n = half.n
    size = torch.bincount(label, minlength=n)
    outside = (label != size.argmax()).nonzero()[:, 0]
    generator = torch.Generator().manual_seed(seed)
    outside = outside[torch.randperm(len(outside), generator=generator).to(outside.device)]
    outside = outside[label[outside].argsort(stable=True)]
    _, counts = torch.unique_consecutive(label[outside], return_counts=True)
    start = counts.cumsum(0) - counts
    rank = torch.arange(len(outside), device=rows.device) - start.repeat_interleave(counts)
    most = 1 << 12
    while most > 1 and int(counts.clamp_max(most).sum()) > SEARCHED:
        most //= 2
    sample = outside[rank < most]
    nearest = nearest_other(half.rows[sample], label[sample], half.rows, half.norm, label)
    u, v = torch.cat([u, sample]), torch.cat([v, nearest])
    lengths = torch.cat([lengths, _lengths(rows, sample, nearest, torch.float32)])
    kept, label = forest(n, u, v, lengths)
    return u[kept], v[kept], lengths[kept], label


def _shortcuts(
    rows: Tensor, half: _Half, u: Tensor, v: Tensor, lengths: Tensor, room: int
) -> tuple[Int[Tensor, "s 2"], Float[Tensor, " s"], int]:
    """Pairs nearer than the tree's height between them, and their lengths; and among how many they may be.

    Half precision leaves so many pairs in question. At most ``room`` of them are looked at, so that where they are more
    the pairs needn't be all.
    """
    import torch

    from workbench.numerics.kernels.spanning import TILE, shortcuts
    from workbench.numerics.kernels.spanning_host import leaf_order

    rising = lengths.argsort(stable=True)
    edges = torch.stack([u[rising], v[rising]], 1).cpu().numpy()
    order, gap = leaf_order(half.n, edges, lengths[rising].cpu().numpy())
    order, gap = torch.from_numpy(order).to(rows.device), torch.from_numpy(gap).to(rows.device)
    a, norm, moved = half.ordered(order)
    pairs, total = shortcuts(a, norm, moved, gap * (half.factor * (1 + 1e-6)), half.n, room)
    heights = _Heights(gap)
    near = [_nearer(rows, order[part], heights.between(part)) for part in pairs.split(1 << 20)]
    for tile in torch.arange(0, half.n, TILE, device=rows.device).split(1024):
        near += _within_tiles(rows, order, gap, tile)
    return torch.cat([p for p, _ in near]), torch.cat([d for _, d in near]), total


def _nearer(rows: Tensor, pairs: Tensor, height: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    d = _lengths(rows, pairs[:, 0], pairs[:, 1], torch.float32)
    return pairs[d < height], d[d < height]


class _Heights:
    """The largest gap between any two places of the leaves' order, from those in runs of 2^l places."""

    def __init__(self, gap: Tensor):
        import torch

        runs = [gap]
        while 2 ** len(runs) <= len(gap):
            step = 2 ** (len(runs) - 1)
            runs.append(torch.maximum(runs[-1], torch.cat([runs[-1][step:], gap.new_zeros(step)])))
        self.runs = torch.stack(runs)

    def between(self, pairs: Int[Tensor, "p 2"]) -> Float[Tensor, " p"]:
        import torch

        apart = pairs[:, 1] - pairs[:, 0]
        level = apart.float().log2().long()
        level -= (2**level > apart).long()
        return torch.maximum(self.runs[level, pairs[:, 0]], self.runs[level, pairs[:, 1] - 2**level])


def _within_tiles(rows: Tensor, order: Tensor, gap: Tensor, starts: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Pairs of one tile that are nearer than the largest gap between them, and their lengths."""
    import torch

    from workbench.numerics.kernels.spanning import TILE

    at = starts[:, None] + torch.arange(TILE, device=rows.device)
    inside = at < len(order)
    at = at.clamp_max(len(order) - 1)
    i, j = torch.triu_indices(TILE, TILE, 1, device=rows.device)
    points = rows[order[at]]
    points = points - points.mean(1, keepdim=True)
    square = points.square().sum(2)
    rough = square[:, i] + square[:, j] - 2 * (points @ points.mT)[:, i, j]
    edge = torch.nn.functional.pad(gap[at][:, :-1], (1, 0))
    height = torch.where(torch.ones(TILE, TILE, device=rows.device).triu(1).bool(), edge[:, None, :], 0.0)
    height = height.cummax(2).values[:, i, j]
    # far more than the product's rounding, whether in float32 or tf32
    slack = 4e-3 * (square[:, i] + square[:, j])
    maybe = inside[:, j] & (rough < height.square() + slack)
    tile, pair = maybe.nonzero(as_tuple=True)
    named = torch.stack([order[at[tile, i[pair]]], order[at[tile, j[pair]]]], 1)
    parts = zip(named.split(1 << 20), height[tile, pair].split(1 << 20), strict=True)
    return [_nearer(rows, pairs, top) for pairs, top in parts]
