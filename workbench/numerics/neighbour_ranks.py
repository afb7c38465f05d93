"""Ranks of rows by distance, on whichever device: of all rows, or of a few that are asked about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.device import resolve
from workbench.numerics.device import borrowed, fits
from workbench.numerics.distances import PRECOMPUTED
from workbench.numerics.neighbours import BLOCK_CELLS, AnyMetric, distance_blocks, k_nearest

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Int32, Real
    from torch import Tensor

GPU_CELLS = 1 << 26  # distances held at a time on a GPU: half a gibibyte
GPU_ROWS = 48  # asked about at a time at least, however many they are compared with
IMPORT_PAYS = 3000  # rows from which scikit-learn, whose import takes half a second, is worth it
_WIDENED = 1 << 22  # numbers that are held in float64 at a time


def rank_blocks(
    x: Real[np.ndarray, "n d"],
    metric: AnyMetric = "euclidean",
    queries: Int[np.ndarray, " q"] | None = None,
    *,
    device: str = "cpu",
) -> Iterator[tuple[Int[np.ndarray, " b"], Int32[np.ndarray, "b n"]]]:
    """Yield some rows' positions and the rank of all rows by distance from each: 1 the nearest other, n itself.

    The parameters are those of `k_nearest`; equals rank by position. A GPU measures and sorts in float64 too.
    """
    asked = np.arange(len(x)) if queries is None else np.asarray(queries)
    device = resolve(device)
    if device != "cpu":
        yield from ranks_in_torch(x, metric, asked, device)
        return
    for rows, block in distance_blocks(x, metric, asked):
        ranks = np.empty(block.shape, np.int32)
        order = block.argsort(axis=1, kind="stable")
        np.put_along_axis(ranks, order, np.arange(1, block.shape[1] + 1, dtype=np.int32)[None], axis=1)
        yield rows, ranks


def ranks_in_torch(
    x: np.ndarray, metric: AnyMetric, asked: np.ndarray, device: str
) -> Iterator[tuple[np.ndarray, Int32[np.ndarray, "b n"]]]:
    """Yield what `rank_blocks` does, computed in torch, whatever the device."""
    import torch

    space = TorchSpace(x, metric, device)
    number = torch.arange(1, space.n + 1, dtype=torch.int32, device=space.device)
    for part, block in space.blocks(asked, BLOCK_CELLS):
        order = block.argsort(dim=1, stable=True)
        ranks = torch.empty(order.shape, dtype=torch.int32, device=space.device)
        yield asked[part], ranks.scatter_(1, order, number.expand_as(order)).cpu().numpy()


def ranks_of(
    x: Real[np.ndarray | Tensor, "n d"],
    others: Int[np.ndarray, "q k"],
    metric: AnyMetric = "euclidean",
    queries: Int[np.ndarray, " q"] | None = None,
    *,
    device: str = "cpu",
) -> Int[np.ndarray, "q k"]:
    """Rank a few rows by their distance from each asked one: how many rows lie nearer, and 1.

    The ranks of `rank_blocks`, by counting instead of sorting: k looks at each distance, and no table of ranks.

    Parameters
    ----------
    x : (n, d), on the device already or not.
    others : positions of the rows whose rank from each asked row is wanted.
    """
    asked = np.arange(len(x)) if queries is None else np.asarray(queries)
    out = np.empty(others.shape, np.int64)
    device = resolve(device)
    if device == "cpu":
        done = 0
        for rows, block in distance_blocks(np.asarray(x), metric, asked):
            part = slice(done, done + len(rows))
            out[part] = _counted(block, others[part])
            done += len(rows)
        return out
    import torch

    for part, held in TorchSpace(x, metric, device).blocks(asked, GPU_CELLS):
        out[part] = ranks_in(held, torch.from_numpy(others[part]).to(held.device)).cpu().numpy()
    return out


def ranks_in(block: Float[Tensor, "b n"], others: Int[Tensor, "b k"]) -> Int[Tensor, "b k"]:
    """The ranks of ``others`` in each row of distances; equals rank by position."""
    from workbench.numerics.kernels import counts

    nearer, tied = counts.nearer(block, block.gather(1, others))
    # rows as far as this one come before it where they stand before it
    for r, j in tied.nonzero().tolist() if bool(tied.any()) else ():
        nearer[r, j] += (block[r, : others[r, j]] == block[r, others[r, j]]).sum()
    return nearer + 1


def _counted(block: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The ranks of ``others`` (b, k) in each row of distances (b, n)."""
    own = np.take_along_axis(block, others, axis=1)
    ranks = np.empty_like(others)
    for j in range(others.shape[1]):
        edge = own[:, j, None]
        nearer, upto = (np.count_nonzero(f(block, edge), axis=1) for f in (np.less, np.less_equal))
        ranks[:, j] = nearer + 1
        tied = (
            upto - nearer > 1
        )  # with rows as far as this one, of which those that stand before it come first
        if tied.any():
            first = np.arange(block.shape[1]) < others[tied, j, None]
            ranks[tied, j] += ((block[tied] == edge[tied]) & first).sum(axis=1)
    return ranks


def nearest_of(
    x: Real[np.ndarray | Tensor, "n d"],
    k: int,
    metric: AnyMetric = "euclidean",
    queries: Int[np.ndarray, " q"] | None = None,
    *,
    device: str = "cpu",
) -> Int[np.ndarray, "q k"]:
    """The ``k`` nearest other rows of each asked one, as `k_nearest` finds them: of equally far ones the earlier."""
    device = resolve(device)
    if device == "cpu":
        return k_nearest(np.asarray(x), k, metric, queries, library_from=IMPORT_PAYS)[0]
    asked = np.arange(len(x)) if queries is None else np.asarray(queries)
    out = np.empty((len(asked), k), np.int64)
    for part, block in TorchSpace(x, metric, device).blocks(asked, GPU_CELLS):
        out[part] = _nearest_in(block, k).cpu().numpy()
    return out


def _nearest_in(block: Float[Tensor, "b n"], k: int) -> Int[Tensor, "b k"]:
    """Positions of the ``k`` least numbers of each row, least first; of equals the first."""
    values, at = block.topk(k, dim=1, largest=False)
    at, order = at.sort(dim=1)
    at = at.gather(1, values.gather(1, order).argsort(dim=1, stable=True))
    # of numbers that tie with the last, topk takes any
    tied = ((block <= values[:, -1:]).sum(1) > k).nonzero()[:, 0]
    if len(tied):
        at[tied] = block[tied].argsort(dim=1, stable=True)[:, :k]
    return at


class TorchSpace:
    """Rows on a device and blocks of their distances in float64, in the order that `distance_blocks` has.

    The rows stay in their own precision; a block widens the part of them that it needs.
    """

    def __init__(self, x: np.ndarray | Tensor, metric: AnyMetric, device: str):
        import torch

        self.metric, self.device = metric, torch.device(device)
        rows = borrowed(np.ascontiguousarray(x)) if isinstance(x, np.ndarray) else x
        fitting = not isinstance(x, np.ndarray) or fits(x, self.device)
        # what doesn't fit is sent a part at a time
        self.rows: Tensor = rows.to(self.device) if fitting else rows
        self.n, self.d = len(rows), int(rows.shape[1])
        self.by_product = metric in ("euclidean", "cosine", "correlation")
        self.step = max(1, _WIDENED // max(self.d, 1))
        self.centre: Any = 0.0
        self.top = 0.0
        if metric == "euclidean":
            sums = [self._sent(p).sum(0, dtype=torch.float64) for p in self.rows.split(self.step)]
            self.centre = torch.stack(sums).sum(0) / self.n
        elif self.by_product:
            self.top = float(self.rows.abs().max())

    def _sent(self, rows: Tensor) -> Tensor:
        return rows.to(self.device)

    def ready(self, rows: Tensor) -> Tensor:
        """Rows in float64 as their product ranks them: less the mean of all, or of unit length."""
        import torch

        wide = self._sent(rows).double()
        if self.metric == "euclidean":
            return wide - self.centre
        if self.metric == "correlation":
            wide = wide - wide.mean(1, keepdim=True)
        kind = torch.float64 if self.metric == "correlation" and rows.element_size() > 4 else torch.float32
        length = wide.norm(dim=1, keepdim=True)
        return wide / torch.where(length > torch.finfo(kind).eps * self.top, length, torch.inf)

    def blocks(self, asked: np.ndarray, cells: int) -> Iterator[tuple[slice, Float[Tensor, "b n"]]]:
        """Yield slices of ``asked`` and their distances to all rows, at most about ``cells`` at a time."""
        import torch

        each = max(GPU_ROWS if self.device.type == "cuda" else 1, cells // max(self.n, 1))
        for start in range(0, len(asked), each):
            part = slice(start, min(start + each, len(asked)))
            yield part, self.block(torch.from_numpy(asked[part]).to(self.device))

    def block(self, at: Int[Tensor, " b"]) -> Float[Tensor, "b n"]:
        """The distances of the rows ``at`` to all, infinite to themselves.

        Only a row's order is promised: euclidean ones come squared, less the row's own square.
        """
        import torch

        left = self.rows[at.to(self.rows.device)]
        if self.metric == PRECOMPUTED:
            out = self._sent(left).double()
        elif not self.by_product:
            norm = 1 if self.metric == "manhattan" else torch.inf
            wide = self._sent(left).double()
            out = torch.cat(
                [torch.cdist(wide, self._sent(p).double(), p=norm) for p in self.rows.split(self.step)], 1
            )
        else:
            left = self.ready(left)
            squares = left.square().sum(1)[:, None]
            out = torch.empty((len(at), self.n), dtype=torch.float64, device=self.device)
            for start in range(0, self.n, self.step):
                right = self.ready(self.rows[start : start + self.step])
                own = right.square().sum(1)
                part = torch.addmm(own, left, right.T, alpha=-2)
                if self.metric != "euclidean":
                    part.add_(squares)[(squares == 0) | (own == 0)] = 2
                out[:, start : start + self.step] = part
        out[torch.arange(len(at), device=self.device), at] = torch.inf
        return out
