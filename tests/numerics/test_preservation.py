"""Trustworthiness, continuity and recall."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.numerics import neighbour_ranks, neighbours
from workbench.numerics import preservation as module
from workbench.numerics.preservation import preservation, trustworthiness


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    before = rng.standard_normal((160, 8))
    return before, before[:, :2] + 0.3 * rng.standard_normal((160, 2))


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_what_is_counted_is_what_ranking_all_rows_gives(metric) -> None:
    """The totals without each row, by the path of draws, which ranks, and without; the mean of 128 whole numbers rounds nothing."""
    rng = np.random.default_rng(3)
    for x in (rng.integers(0, 4, (128, 3)).astype(float), rng.standard_normal((120, 6))):
        for queries in (None, rng.permutation(len(x))[:40]):
            asked = {"metric": metric, "queries": queries}
            counted, ranked = (preservation(x, x[:, :2], 7, n_null=m, **asked) for m in (0, 1))
            for here, there in zip(counted, ranked, strict=True):
                np.testing.assert_allclose(here.rows, there.rows)
                np.testing.assert_allclose(here.left_out, there.left_out)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_agrees_with_scikit_learn(pair, metric) -> None:
    from sklearn import manifold

    before, after = pair
    ours = trustworthiness(before, after, 7, metric=metric).rows.mean()
    assert np.isclose(ours, manifold.trustworthiness(before, after, n_neighbors=7, metric=metric))


def test_continuity_is_trustworthiness_backwards_and_recall_counts_common_neighbours(pair) -> None:
    before, after = pair
    found = preservation(before, after, 6)
    assert np.allclose(found.trustworthiness.rows, trustworthiness(before, after, 6).rows)
    assert np.allclose(found.continuity.rows, trustworthiness(after, before, 6).rows)
    near = [neighbours.k_nearest(x, 6)[0] for x in (before, after)]
    common = [len(set(a) & set(b)) / 6 for a, b in zip(near[0].tolist(), near[1].tolist(), strict=True)]
    assert np.allclose(found.recall.rows, common)


def test_some_rows_asked_are_those_rows_of_all(pair, monkeypatch) -> None:
    before, after = pair
    every = preservation(before, after, 5)
    some = np.array([0, 9, 31, 150])
    monkeypatch.setattr(neighbours, "BLOCK_CELLS", 320)
    monkeypatch.setattr(module, "BLOCK_CELLS", 40)
    few = preservation(before, after, 5, queries=some, n_null=7)
    for a, b in zip(few, every, strict=True):
        assert np.allclose(a.rows, b.rows[some])
        assert a.null.shape == (7,)


def test_what_is_kept_scores_one_and_what_is_reversed_nothing() -> None:
    x = np.random.default_rng(1).standard_normal((40, 3))
    for scores in preservation(x, 2 * x + 5, 4):
        assert (scores.rows == 1).all()
    # Six rows on a line, laid out so that the first row's neighbour is its furthest: as bad as it gets for it.
    line, swapped = (
        np.array([[0.0], [1], [2.1], [3.3], [4.6], [6]]),
        np.array([[0.0], [9], [21], [33], [46], [0.1]]),
    )
    assert trustworthiness(line, swapped, 1).rows[0] == 0


def test_null_draws_are_those_of_explicitly_permuted_rows(pair) -> None:
    before, after = pair
    null = trustworthiness(before, after, 8, n_null=60, random_state=3).null
    rng = np.random.default_rng(4)
    explicit = np.array([trustworthiness(before, rng.permutation(after), 8).rows.mean() for _ in range(60)])
    assert abs(null.mean() - explicit.mean()) < 4 * explicit.std() / np.sqrt(30)
    assert 0.6 < null.std() / explicit.std() < 1.6
    assert np.array_equal(null, trustworthiness(before, after, 8, n_null=60, random_state=3).null)


def test_too_many_neighbours_are_refused(pair) -> None:
    with pytest.raises(ValueError, match="half the number of rows, 160"):
        trustworthiness(*pair, 80)


@pytest.mark.parametrize("queries", [None, np.array([1, 5, 9, 22])])
def test_totals_without_a_row_are_those_of_the_other_rows(queries) -> None:
    rng = np.random.default_rng(5)
    before = rng.standard_normal((30, 4))
    after = before[:, :2] + 0.5 * rng.standard_normal((30, 2))
    found = preservation(before, after, 5, queries=queries)
    asked = np.arange(30) if queries is None else queries
    for j in range(30):
        others = np.delete(np.arange(30), j)
        still = np.searchsorted(others, asked[asked != j])
        again = preservation(before[others], after[others], 5, queries=still)
        for scores, expected in zip(found, again, strict=True):
            assert np.isclose(scores.left_out[j], expected.rows.mean())


def test_intervals_cover_the_mean_over_many_samples() -> None:
    values, intervals = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        before = rng.standard_normal((120, 5))
        found = preservation(before, before + 0.7 * rng.standard_normal(before.shape), 6)
        values.append([s.rows.mean() for s in found])
        intervals.append([s.interval() for s in found])
    mean, (low, high) = np.mean(values, axis=0), np.array(intervals).transpose(2, 0, 1)
    covered = ((low <= mean) & (mean <= high)).mean(axis=0)
    assert (covered >= 0.9).all()  # resampling the sum over rows covers 0.74
    assert ((high - low).mean(axis=0) < 2 * 3.92 * np.std(values, axis=0)).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation", "manhattan", "chebyshev"])
def test_devices_rank_alike(metric: neighbours.Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU computes, by the same torch code on the CPU."""
    monkeypatch.setattr("workbench.core.device._usable", lambda: True)
    on_gpu = neighbour_ranks.TorchSpace
    monkeypatch.setattr(neighbour_ranks, "TorchSpace", lambda x, metric, device: on_gpu(x, metric, "cpu"))
    rng = np.random.default_rng(0)
    # with many ties, and the mean of 256 whole numbers rounds nothing
    x = rng.integers(0, 4, (256, 3)).astype(float)
    x[5] = 0
    asked = rng.permutation(200)[:90]
    here, there = (list(neighbour_ranks.rank_blocks(x, metric, asked, device=d)) for d in ("cpu", "cuda"))
    for (rows, ranks), (same, others) in zip(here, there, strict=True):
        np.testing.assert_array_equal(rows, same)
        if metric in ("manhattan", "chebyshev", "euclidean"):  # exact in binary
            np.testing.assert_array_equal(ranks, others)
    x = rng.standard_normal((150, 6))
    before, after = x, x[:, :2]
    a, b = (
        preservation(before, after, 9, metric=metric, n_null=3, device=d).trustworthiness
        for d in ("cpu", "cuda")
    )
    np.testing.assert_allclose(a.rows, b.rows)
    np.testing.assert_allclose(a.null, b.null)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation", "manhattan"])
def test_counting_ranks_as_sorting_does(metric, device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties by position too: whole numbers in three columns are equally far very often."""
    monkeypatch.setattr("workbench.core.device._usable", lambda: True)
    on_gpu = neighbour_ranks.TorchSpace
    monkeypatch.setattr(neighbour_ranks, "TorchSpace", lambda x, metric, device: on_gpu(x, metric, "cpu"))
    rng = np.random.default_rng(1)
    for x in (rng.integers(0, 4, (256, 3)).astype(float), rng.standard_normal((150, 6)).astype(np.float32)):
        asked = rng.permutation(len(x))[:40]
        others = rng.integers(0, len(x), (40, 5))
        whole = np.concatenate([r for _, r in neighbour_ranks.rank_blocks(x, metric, asked, device=device)])
        few = neighbour_ranks.ranks_of(x, others, metric, asked, device=device)
        np.testing.assert_array_equal(few, np.take_along_axis(whole, others, axis=1))
        for queries in (None, asked):
            plain = trustworthiness(x, x[:, :2], 9, metric=metric, queries=queries).rows
            quick = module.trust_of_rows(x, x[:, :2], 9, metric=metric, queries=queries, device=device)
            exact = device == "cpu" and metric in (
                "euclidean",
                "manhattan",
            )  # on a GPU any of equally near rows will do
            if exact or x.dtype == np.float32:
                np.testing.assert_allclose(quick, plain)
