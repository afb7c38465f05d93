"""Landmarks cover: the radius is true, and close to the best."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from workbench.numerics import landmarks
from workbench.numerics.landmarks import farthest_first


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "chebyshev"])
def test_radius_covers_every_row(metric: str) -> None:
    rows = np.random.default_rng(0).standard_normal((300, 4))
    positions, radius = farthest_first(rows, 20, metric)
    assert len(set(positions.tolist())) == 20
    assert cdist(rows, rows[positions], metric).min(axis=1).max() == pytest.approx(radius, rel=1e-4)


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "chebyshev"])
def test_each_landmark_is_the_farthest_from_those_before(metric: str) -> None:
    rows = np.random.default_rng(1).standard_normal((200, 3))
    positions, _ = farthest_first(rows, 15, metric)
    for k in range(1, 15):
        nearest = cdist(rows, rows[positions[:k]], metric).min(axis=1)
        assert nearest[positions[k]] == pytest.approx(nearest.max(), rel=1e-4)


def test_is_within_twice_the_best_radius() -> None:
    rows = np.arange(64.0)[:, None]
    best = 3.5  # eight landmarks cover 64 equally spaced rows in runs of eight
    assert farthest_first(rows, 8)[1] <= 2 * best


def test_equal_rows_are_chosen_once() -> None:
    rows = np.repeat(np.random.default_rng(2).standard_normal((5, 3)), 10, axis=0)
    positions, radius = farthest_first(rows, 20)
    assert len(positions) == 5
    assert radius == 0


def test_huge_and_minute_rows() -> None:
    rows = np.random.default_rng(3).standard_normal((50, 3))
    plain, radius = farthest_first(rows, 10)
    for scale in (1e30, 1e-30):
        positions, scaled = farthest_first(rows * scale, 10)
        assert (positions == plain).all()
        assert scaled == pytest.approx(radius * scale)


def test_all_rows_where_there_are_no_more() -> None:
    assert farthest_first(np.eye(4), 9)[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("n", "d", "m"), [(3000, 30, 64), (500, 3, 499), (60, 2, 50)])
def test_what_a_gpu_would_choose_is_the_same(n: int, d: int, m: int) -> None:
    rows = np.random.default_rng(3).standard_normal((n, d))
    if n == 60:  # landmarks run out
        rows = np.repeat(rows[:20], 3, axis=0)
    (here, radius), (there, covered) = farthest_first(rows, m), landmarks._there(rows, m, "cpu")
    np.testing.assert_array_equal(here, there)
    assert covered == pytest.approx(radius)
