"""How well the neighbourhoods of one array survive in another: trustworthiness, continuity, recall."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.core.device import resolve
from workbench.core.progress import track
from workbench.numerics.exchangeable import exchanged
from workbench.numerics.neighbour_ranks import (
    GPU_CELLS,
    TorchSpace,
    nearest_of,
    rank_blocks,
    ranks_in,
    ranks_of,
)
from workbench.numerics.neighbours import BLOCK_CELLS, AnyMetric
from workbench.numerics.resampling import LEVEL, NORMAL, jackknife_error

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Int32, Real
    from torch import Tensor


class Scores(NamedTuple):
    """One measure.

    Attributes
    ----------
    rows : (q,) each asked row's, in [0, 1], 1 best; ``rows.mean()`` is the total.
    null : (m,) the total in each null draw.
    left_out : (n,) the total without each row, as asked row and as anybody's neighbour.
    """

    rows: Float[np.ndarray, " q"]
    null: Float[np.ndarray, " m"]
    left_out: Float[np.ndarray, " n"]

    def interval(self, groups: Int[np.ndarray, " n"] | None = None) -> tuple[float, float]:
        """Interval of at least 95 % of the total, by the jackknife over rows, within what the total can be.

        What k rows do together counts k times in it: where the arrays have nothing in common, its square is about twice the
        variance of trustworthiness and continuity, and four times that of recall.

        Parameters
        ----------
        groups : codes from 0 of rows that are left out together; what that changes is taken for the sum of what each of
            them alone does. At least two.
        """
        value = float(self.rows.mean())
        half = NORMAL * jackknife_error(self.left_out)
        if groups is not None:
            from scipy.stats import t

            change = np.bincount(groups, self.left_out - self.left_out.mean())
            half = float(t.ppf((1 + LEVEL) / 2, len(change) - 1)) * jackknife_error(change)
        return max(0.0, value - half), min(1.0, value + half)


class Preservation(NamedTuple):
    """The three measures of `preservation`.

    Attributes
    ----------
    trustworthiness : falls where rows come near that were far before.
    continuity : falls where rows that were near before are far now.
    recall : share of the k nearest before that are among the k nearest now.
    """

    trustworthiness: Scores
    continuity: Scores
    recall: Scores


def trustworthiness(
    before: Real[np.ndarray, "n d"],
    after: Real[np.ndarray, "n e"],
    k: int,
    *,
    metric: AnyMetric = "euclidean",
    metric_after: AnyMetric = "euclidean",
    queries: Int[np.ndarray, " q"] | None = None,
    n_null: int = 0,
    random_state: int = 0,
    device: str = "cpu",
    groups: Int[np.ndarray, " n"] | None = None,
) -> Scores:
    """Measure whether the ``k`` nearest of all rows after were near before; exact.

    Parameters
    ----------
    k : at least 1 and less than n / 2, where the measure is in [0, 1].
    queries : positions of the rows asked about; None asks about all.
    n_null : draws with the rows of ``after`` permuted (the asked ones among themselves, the rest likewise).
    device : "cuda" ranks all rows by distance there, which takes most of the time.
    groups : codes from 0 of rows that are permuted as one, all of one size, with all rows asked; None permutes rows.

    Raises
    ------
    ValueError
        ``k`` is out of range, or groups of several sizes, or of rows that aren't asked, are to be permuted.

    References
    ----------
    Venna and Kaski 2001, Neighborhood preservation in nonlinear projection methods, ICANN.
    """
    near_after = _nearest(after, k, metric_after, queries, device)
    return _survival(before, near_after, metric, queries, n_null, random_state, device, groups)[0]


def trust_of_rows(
    before: Real[np.ndarray | Tensor, "n d"],
    after: Real[np.ndarray | Tensor, "n e"],
    k: int,
    *,
    metric: AnyMetric = "euclidean",
    queries: Int[np.ndarray, " q"] | None = None,
    device: str = "cpu",
) -> Float[np.ndarray, " q"]:
    """Each asked row's trustworthiness alone, `trustworthiness(...).rows`, by ranking no more than its neighbours.

    Parameters
    ----------
    before, after : on the device already or not.
    k, metric, queries : as `trustworthiness` takes them.

    Raises
    ------
    ValueError
        ``k`` is out of range.
    """
    n = len(before)
    _require_k(n, k)
    ranks = ranks_of(
        before, nearest_of(after, k, queries=queries, device=device), metric, queries, device=device
    )
    return 1 - np.maximum(ranks - k, 0).sum(axis=1) / (k * (2 * n - 3 * k - 1) / 2)


def preservation(
    before: Real[np.ndarray, "n d"],
    after: Real[np.ndarray, "n e"],
    k: int,
    *,
    metric: AnyMetric = "euclidean",
    metric_after: AnyMetric = "euclidean",
    queries: Int[np.ndarray, " q"] | None = None,
    n_null: int = 0,
    random_state: int = 0,
    device: str = "cpu",
    groups: Int[np.ndarray, " n"] | None = None,
) -> Preservation:
    """Measure trustworthiness, continuity and recall together; parameters are those of `trustworthiness`."""
    near_before = _nearest(before, k, metric, queries, device)
    near_after = _nearest(after, k, metric_after, queries, device)
    asked = (queries, n_null, random_state, device, groups)
    trust, recall = _survival(before, near_after, metric, *asked)
    # Continuity is trustworthiness with the roles exchanged, and a permutation's inverse is as good a draw.
    continuity, _ = _survival(after, near_before, metric_after, *asked)
    return Preservation(trust, continuity, recall)


def _nearest(x: np.ndarray, k: int, metric: AnyMetric, queries: np.ndarray | None, device: str) -> np.ndarray:
    """The ``k`` nearest and the one that would take the place of any that is left out."""
    _require_k(len(x), k)
    return nearest_of(x, k + 1, metric, queries, device=device)


def _require_k(n: int, k: int) -> None:
    if n < 4 or not 1 <= k < n / 2:
        raise ValueError(f"k={k} must be at least 1 and less than half the number of rows, {n}, at least 4")


def _survival(
    x: np.ndarray,
    near: np.ndarray,
    metric: AnyMetric,
    queries: np.ndarray | None,
    n_null: int,
    random_state: int,
    device: str,
    groups: np.ndarray | None,
) -> tuple[Scores, Scores]:
    """Trustworthiness and recall of the neighbours ``near`` (q, k + 1) by their ranks in ``x``."""
    n, k = len(x), near.shape[1] - 1
    asked = np.arange(n) if queries is None else queries
    if groups is not None and n_null and (queries is not None or len(set(np.bincount(groups))) > 1):
        raise ValueError("groups are permuted where all rows are asked and all groups have one size")
    permute = _permuting(asked, n) if groups is None else _permuting_groups(groups)
    measures = [
        _Measure(f, len(asked), n, n_null) for f in (lambda r: np.maximum(r - k, 0), lambda r: (r <= k) * 1)
    ]
    if not n_null:
        _by_counting(x, near, metric, asked, device, measures)
        return _scores(measures, asked, n, k)
    seeds = np.random.SeedSequence([random_state, 0x7065726D]).spawn(n_null)
    many = max(1, BLOCK_CELLS // near.size)  # draws that are looked up in one pass over the distances
    for start in track(range(0, max(n_null, 1), many), "neighbourhoods"):
        draws = range(start, min(start + many, n_null))
        sets = [permute(near[:, :k], np.random.default_rng(seeds[i])) for i in draws]
        done = 0
        for rows, ranks in rank_blocks(x, metric, queries, device=device):
            part = slice(done, done + len(rows))
            for measure in measures:
                if start == 0:
                    measure.add(near[part], ranks, part)
                for draw, others in zip(draws, sets, strict=True):
                    measure.null[draw] += measure.f(np.take_along_axis(ranks, others[part], axis=1)).sum()
            done += len(rows)
    return _scores(measures, asked, n, k)


def _by_counting(
    x: np.ndarray,
    near: np.ndarray,
    metric: AnyMetric,
    asked: np.ndarray,
    device: str,
    measures: list[_Measure],
) -> None:
    """Add up the measures without ranking any but the neighbours: a look at each distance, or one for each of them."""
    space = TorchSpace(x, metric, resolve(device))
    if space.device.type == "cpu":
        from workbench.numerics.kernels import counts_cpu

        for part, block in space.blocks(asked, BLOCK_CELLS):
            distances = block.numpy()
            ranks = counts_cpu.ranks(distances, near[part])
            for measure in measures:
                change = measure.own(near[part], ranks, part)
                counts_cpu.weigh(distances, near[part, :-1], change, measure.change)
        return
    import torch

    for part, block in space.blocks(asked, GPU_CELLS):
        others = torch.from_numpy(near[part]).to(block.device)
        edges, ranks_there = block.gather(1, others), ranks_in(block, others)
        own = ranks_there.cpu().numpy()
        for measure in measures:
            for j, change in enumerate(measure.own(near[part], own, part).T):
                at = torch.from_numpy(np.flatnonzero(change)).to(block.device)
                # a row that lies nearer than neighbour j, and no further than as many as j's rank says
                some, edge = block[at], edges[at, j, None]
                before = some < edge
                if bool((before.sum(1) + 1 < ranks_there[at, j]).any()):
                    number = torch.arange(space.n, device=block.device)
                    before |= (some == edge) & (number < others[at, j, None])
                weights = torch.from_numpy(change[change != 0]).to(block.device, torch.float64)
                measure.change += (weights @ before.double()).cpu().numpy()


def _scores(measures: list[_Measure], asked: np.ndarray, n: int, k: int) -> tuple[Scores, Scores]:
    excess, kept = measures
    worst, q = k * (2 * n - 3 * k - 1) / 2, len(asked)
    trust = Scores(
        1 - excess.rows / worst,
        1 - excess.null / (q * worst),
        1 - excess.left_out(asked) / (k * (2 * n - 3 * k - 3) / 2),
    )
    return trust, Scores(kept.rows / k, kept.null / (q * k), kept.left_out(asked) / k)


class _Measure:
    """Sums over a row's neighbours of ``f`` of their ranks: as they are, permuted, and without each row."""

    def __init__(self, f: Callable[[np.ndarray], np.ndarray], q: int, n: int, n_null: int):
        self.f = f
        self.rows = np.zeros(q)
        self.null = np.zeros(n_null)
        self.change = np.zeros(n)  # of the sum over all asked rows when a row is left out

    def add(self, near: np.ndarray, ranks: np.ndarray, part: slice) -> None:
        own = np.take_along_axis(ranks, near, axis=1)
        # Without row j, the neighbours that are further than j come one rank nearer.
        nearer = np.zeros((len(near), ranks.shape[1] + 1), np.int32)
        np.put_along_axis(nearer, own[:, :-1], self.own(near, own, part), axis=1)
        further = np.cumsum(nearer[:, ::-1], axis=1, dtype=np.int32)[:, ::-1] - nearer
        self.change += np.take_along_axis(further, ranks, axis=1).sum(axis=0)

    def own(self, near: np.ndarray, ranks: np.ndarray, part: slice) -> Int32[np.ndarray, "b k"]:
        """Add what the neighbours (b, k + 1) themselves say by their ranks; return what one rank nearer changes of each."""
        own, spare = ranks[:, :-1], ranks[:, -1:]
        value = self.f(own)
        self.rows[part] = value.sum(axis=1)
        # where a neighbour itself is left out, the spare one takes its place
        np.add.at(self.change, near[:, :-1], self.f(spare - (own < spare)) - value)
        return (self.f(own - 1) - value).astype(np.int32)

    def left_out(self, asked: np.ndarray) -> np.ndarray:
        total = self.rows.sum() + self.change
        total[asked] -= self.rows
        count = np.full(len(total), len(self.rows))
        count[asked] -= 1
        return total / count


Permute = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _permuting(asked: np.ndarray, n: int) -> Permute:
    """Return what gives the neighbours after the rows behind them are permuted: row i gets p^-1(near(p(i)))."""

    def permute(near: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        p = rng.permutation(len(asked))
        rest = np.setdiff1d(np.arange(n), asked)
        inverse = np.empty(n, np.int64)
        inverse[asked[p]] = asked
        inverse[rng.permutation(rest)] = rest
        return inverse[near[p]]

    return permute


def _permuting_groups(groups: np.ndarray) -> Permute:
    """Return the same for whole groups of rows, all of one size."""
    exchange = exchanged(groups, len(groups))

    def permute(near: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        p = exchange(rng)
        inverse = np.empty(len(p), np.int64)
        inverse[p] = np.arange(len(p))
        return inverse[near[p]]

    return permute
