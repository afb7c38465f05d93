"""Nearest neighbours: exact, in order, ties by position, in blocks."""

from __future__ import annotations

import tracemalloc
from typing import get_args

import numpy as np
import pytest

from workbench.numerics import neighbours
from workbench.numerics.neighbours import Metric, distance_blocks, k_nearest


def brute(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    d = np.sqrt(np.square(x[:, None].astype(float) - x[None]).sum(axis=2))
    np.fill_diagonal(d, np.inf)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(d, order, axis=1)


@pytest.mark.parametrize("metric", get_args(Metric))
def test_agrees_with_scikit_learn(metric: Metric) -> None:
    from sklearn.neighbors import NearestNeighbors

    x = np.random.default_rng(0).standard_normal((300, 12)) + 3
    indices, distances = k_nearest(x, 7, metric)
    expected = NearestNeighbors(n_neighbors=7, algorithm="brute", metric=metric).fit(x).kneighbors()
    assert np.array_equal(indices, expected[1])
    assert np.allclose(distances, expected[0], rtol=1e-9, atol=1e-12)


def test_ties_go_to_the_earlier_row() -> None:
    grid = np.stack(np.meshgrid(np.arange(15.0), np.arange(12.0)), -1).reshape(-1, 2)
    for x in (grid, grid + 1000, np.repeat(grid[:20], 9, axis=0), np.ones((40, 3))):
        for k in (1, 5, len(x) - 1):
            indices, distances = k_nearest(x, k)
            expected = brute(x, k)
            assert np.array_equal(indices, expected[0])
            assert np.allclose(distances, expected[1])


def test_far_from_the_origin_and_at_any_scale_the_answer_is_the_same() -> None:
    x = np.random.default_rng(1).standard_normal((200, 5)).astype(np.float32)
    indices, distances = k_nearest(x, 6)
    assert np.array_equal(k_nearest(x.astype(float) + 1e6, 6)[0], brute(x.astype(float) + 1e6, 6)[0])
    for scale in (1e-200, 1e200):
        scaled = k_nearest(x.astype(float) * scale, 6)
        assert np.array_equal(scaled[0], indices)
        assert np.allclose(scaled[1] / scale, distances)


def test_near_duplicates_keep_their_distance() -> None:
    x = np.random.default_rng(2).standard_normal((50, 30))
    near = x + 1e-9 * np.random.default_rng(3).standard_normal(x.shape)
    both = np.vstack([x, near])
    indices, distances = k_nearest(both, 1)
    assert np.array_equal(indices[:50, 0], np.arange(50, 100))
    assert np.allclose(distances[:50, 0], np.linalg.norm(x - near, axis=1), rtol=1e-6)


def test_asking_of_some_rows_and_in_small_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(4).integers(0, 4, (150, 3)).astype(float)
    indices, distances = k_nearest(x, 10)
    some = np.array([140, 3, 77])
    assert np.array_equal(k_nearest(x, 10, queries=some)[0], indices[some])
    monkeypatch.setattr(neighbours, "BLOCK_CELLS", 400)
    assert np.array_equal(k_nearest(x, 10)[0], indices)
    assert np.allclose(k_nearest(x, 10)[1], distances)
    blocks = list(distance_blocks(x))
    assert max(len(rows) for rows, _ in blocks) == 2
    assert np.isinf(np.concatenate([b for _, b in blocks])[np.arange(150), np.arange(150)]).all()


def test_rows_without_direction_lie_at_distance_one() -> None:
    x = np.vstack([np.zeros((2, 3)), np.random.default_rng(5).standard_normal((10, 3))])
    indices, distances = k_nearest(x, 11, "cosine")
    assert np.allclose(distances[:2], 1)
    assert (distances[2:][np.isin(indices[2:], [0, 1])] == 1).all()


def test_memory_stays_below_all_pairs() -> None:
    x = np.random.default_rng(6).standard_normal((6000, 2)).astype(np.float32)
    tracemalloc.start()
    k_nearest(x, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.8 * 6000**2 * 8


@pytest.mark.parametrize("k", [0, 10])
def test_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="number of rows, 10"):
        k_nearest(np.zeros((10, 2)), k)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation"])
@pytest.mark.parametrize(
    "kind", ["normal", "copies", "grid", "equal", "line", "half precision", "without length"]
)
def test_the_librarys_search_and_blocks_find_the_same(
    metric: neighbours.Metric, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    x = {
        "normal": rng.standard_normal((1100, 5)),
        "copies": np.repeat(rng.standard_normal((60, 4)), 20, axis=0),
        "grid": rng.integers(0, 6, (1200, 3)),
        "equal": np.ones((1050, 3)),
        "line": np.arange(1000.0)[:, None],
        "half precision": rng.standard_normal((1001, 3)).astype(np.float16),
        "without length": np.vstack([rng.standard_normal((1100, 4)), np.zeros((30, 4))]),
    }[kind]
    asked = rng.permutation(len(x))[:700]
    found = [k_nearest(x, 7, metric), k_nearest(x, 7, metric, asked)]
    monkeypatch.setattr(neighbours, "LIBRARY_FROM", 10**9)
    for (i, d), (j, e) in zip(found, [k_nearest(x, 7, metric), k_nearest(x, 7, metric, asked)], strict=True):
        np.testing.assert_array_equal(i, j)
        np.testing.assert_allclose(d, e, rtol=1e-9, atol=1e-12)
