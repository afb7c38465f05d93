"""Labels and numbers that steer a layout: the neighbour graph of the rows intersected with that of the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    Entries = tuple[Int[Tensor, " e"], Int[Tensor, " e"], Float[Tensor, " e"]]

UNKNOWN = -1  # the label of a row whose label isn't known, as in umap-learn
_UNKNOWN_DISTANCE = 1.0


def by_label(graph: Entries, labels: Int[Tensor, " n"], target_weight: float) -> Entries:
    """Weaken the edges between rows of different label, and less so those of rows without one.

    Parameters
    ----------
    graph : entries sorted by row, then column, of a symmetric pattern.
    labels : integers; `UNKNOWN` for none.
    target_weight : 0 leaves labels out of it, 1 keeps no edge between labels.

    References
    ----------
    McInnes, Healy and Melville 2018, arXiv:1802.03426, section 4.4 ("discrete metric intersection" of umap-learn).
    """
    head, tail, w = graph
    far = 2.5 / (1 - target_weight) if target_weight < 1 else 1e12
    one, other = labels[head], labels[tail]
    unknown = (one == UNKNOWN) | (other == UNKNOWN)
    distance = torch.where(unknown, _UNKNOWN_DISTANCE, torch.where(one == other, 0.0, far))
    return rejoined(head, tail, w * torch.exp(-distance), len(labels))


def by_number(graph: Entries, targets: Entries, n: int, target_weight: float) -> Entries:
    """Intersect the rows' graph with the targets' own.

    Parameters
    ----------
    graph, targets : entries sorted by row, then column.
    target_weight : 0 leaves the targets out of it, 1 leaves out the rows.
    """
    both = torch.cat([g[0] * n + g[1] for g in (graph, targets)]).unique()
    floor = (graph[2].min() / 2).clamp_min(1e-8), (targets[2].min() / 2).clamp(1e-8, 1e-4)
    left, right = (_values(g, both, n, least) for g, least in zip((graph, targets), floor, strict=True))
    t = min(max(target_weight, 1e-6), 1 - 1e-6)
    mixed = left * right ** (t / (1 - t)) if t < 0.5 else left ** ((1 - t) / t) * right
    either = (left > floor[0]) | (right > floor[1])
    return rejoined(both // n, both % n, torch.where(either, mixed, left), n)


def rejoined(head: Tensor, tail: Tensor, w: Tensor, n: int) -> Entries:
    """Give every row an edge of weight 1 again, and unite both directions."""
    top = torch.zeros(n, device=w.device).scatter_reduce(0, head, w, "amax")
    w = w / top[head].clamp_min(1e-30)
    key = torch.cat([head * n + tail, tail * n + head]).unique()
    one = _values((head, tail, w), key, n, torch.zeros((), device=w.device))
    other = one[torch.searchsorted(key, key % n * n + key // n)]
    w = one + other - one * other
    kept = w > 0
    return key[kept] // n, key[kept] % n, w[kept]


def _values(entries: Entries, key: Int[Tensor, " m"], n: int, missing: Tensor) -> Float[Tensor, " m"]:
    """The entries' weights at ``key`` (row times n plus column), and ``missing`` where there is none."""
    own = entries[0] * n + entries[1]
    at = torch.searchsorted(own, key).clamp_max(len(own) - 1)
    return torch.where(own[at] == key, entries[2][at], missing)
