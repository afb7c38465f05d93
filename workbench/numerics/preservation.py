"""How well the neighbourhoods of one array survive in another: trustworthiness, continuity, recall."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.core.progress import track
from workbench.numerics.neighbours import BLOCK_CELLS, Metric, distance_blocks, k_nearest

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Real


class Scores(NamedTuple):
    """One measure: ``rows`` (q,) in [0, 1], 1 best, and ``null`` (m,), the mean over rows in each null draw."""

    rows: Float[np.ndarray, " q"]
    null: Float[np.ndarray, " m"]


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
    before: Real[np.ndarray, "n d"], after: Real[np.ndarray, "n e"], k: int, *, metric: Metric = "euclidean",
    metric_after: Metric = "euclidean", queries: Int[np.ndarray, " q"] | None = None, n_null: int = 0,
    random_state: int = 0,
) -> Scores:  # fmt: skip
    """Measure whether the ``k`` nearest of all rows after were near before; exact.

    Parameters
    ----------
    k : at least 1 and less than n / 2, where the measure is in [0, 1].
    queries : positions of the rows asked about; None asks about all.
    n_null : draws with the rows of ``after`` permuted (the asked ones among themselves, the rest likewise).

    Raises
    ------
    ValueError
        ``k`` is out of range.

    References
    ----------
    Venna and Kaski 2001, Neighborhood preservation in nonlinear projection methods, ICANN.
    """
    near_after = _nearest(after, k, metric_after, queries)
    return _survival(before, near_after, metric, queries, n_null, random_state)[0]


def preservation(
    before: Real[np.ndarray, "n d"], after: Real[np.ndarray, "n e"], k: int, *, metric: Metric = "euclidean",
    metric_after: Metric = "euclidean", queries: Int[np.ndarray, " q"] | None = None, n_null: int = 0,
    random_state: int = 0,
) -> Preservation:  # fmt: skip
    """Measure trustworthiness, continuity and recall together; parameters are those of `trustworthiness`."""
    near_before, near_after = _nearest(before, k, metric, queries), _nearest(after, k, metric_after, queries)
    trust, recall = _survival(before, near_after, metric, queries, n_null, random_state)
    # Continuity is trustworthiness with the roles exchanged, and a permutation's inverse is as good a draw.
    continuity, _ = _survival(after, near_before, metric_after, queries, n_null, random_state)
    return Preservation(trust, continuity, recall)


def pair_ranks(
    x: Real[np.ndarray, "n d"], others: Int[np.ndarray, "m q k"], metric: Metric = "euclidean",
    queries: Int[np.ndarray, " q"] | None = None,
) -> Int[np.ndarray, "m q k"]:  # fmt: skip
    """Return the rank of ``others[:, i]`` by distance from asked row ``i``, 1 for the nearest other row."""
    n = x.shape[0]
    out = np.empty(others.shape, np.int32)
    done = 0
    for rows, block in distance_blocks(x, metric, queries):
        part = slice(done, done + len(rows))
        ranks = np.empty(block.shape, np.int32)
        np.put_along_axis(
            ranks, block.argsort(axis=1, kind="stable"), np.arange(1, n + 1, dtype=np.int32)[None], axis=1
        )
        out[:, part] = np.take_along_axis(ranks[None], others[:, part], axis=2)
        done += len(rows)
    return out


def _nearest(x: np.ndarray, k: int, metric: Metric, queries: np.ndarray | None) -> np.ndarray:
    if not 1 <= k < len(x) / 2:
        raise ValueError(f"k={k} must be at least 1 and less than half the number of rows, {len(x)}")
    return k_nearest(x, k, metric, queries)[0]


def _survival(
    x: np.ndarray,
    near: np.ndarray,
    metric: Metric,
    queries: np.ndarray | None,
    n_null: int,
    random_state: int,
) -> tuple[Scores, Scores]:
    """Trustworthiness and recall of the neighbours ``near`` (q, k) by their ranks in ``x``."""
    n = len(x)
    asked = np.arange(n) if queries is None else queries
    seeds = np.random.SeedSequence([random_state, 0x7065726D]).spawn(n_null)
    many = max(1, BLOCK_CELLS // near.size)  # draws that are looked up in one pass over the distances
    rows, null = np.empty((2, 0)), [np.empty((2, 0))]
    for start in track(range(0, n_null + 1, many), "neighbourhoods"):
        sets = [
            _permute(near, asked, n, np.random.default_rng(seeds[i - 1])) if i else near
            for i in range(start, min(start + many, n_null + 1))
        ]
        scores = np.stack(_measure(pair_ranks(x, np.stack(sets), metric, queries), n))
        if start == 0:
            rows, scores = scores[:, 0], scores[:, 1:]
        null.append(scores.mean(axis=2))
    null_trust, null_recall = np.concatenate(null, axis=1)
    return Scores(rows[0], null_trust), Scores(rows[1], null_recall)


def _measure(ranks: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    k = ranks.shape[-1]
    excess = np.maximum(ranks - k, 0).sum(axis=-1)
    return 1 - 2 * excess / (k * (2 * n - 3 * k - 1)), (ranks <= k).mean(axis=-1)


def _permute(near: np.ndarray, asked: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Neighbours after the rows behind ``near`` are permuted: row i gets p^-1(near(p(i)))."""
    p = rng.permutation(len(asked))
    rest = np.setdiff1d(np.arange(n), asked)
    inverse = np.empty(n, np.int64)
    inverse[asked[p]] = asked
    inverse[rng.permutation(rest)] = rest
    return inverse[near[p]]
