"""Loops close within their length; components are what single linkage says."""

from __future__ import annotations

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist

from workbench.numerics.cycles import dying_components, loop_through


def polygon(n: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return np.column_stack([np.cos(angle), np.sin(angle)])


def test_loop_goes_the_long_way_round() -> None:
    rows = polygon(12)
    rows[0] *= 1.05  # so that the edges at row 0 are the longest sides
    d = cdist(rows, rows)
    assert loop_through(d, (0, 11), d[0, 11]).tolist() == list(range(12))


def test_loop_through_one_of_several_equal_edges() -> None:
    d = cdist(polygon(8), polygon(8)).astype(np.float32)
    side = d[0, 1]
    d[np.isclose(d, side)] = side
    assert sorted(loop_through(d, (0, 7), float(side))) == list(range(8))


def test_no_way_back_is_no_loop() -> None:
    d = cdist([[0.0], [1.0], [3.0]], [[0.0], [1.0], [3.0]])
    assert len(loop_through(d, (1, 2), d[1, 2])) == 0


def test_equal_rows_are_joined_at_length_zero() -> None:
    rows = polygon(12)
    rows[0] *= 1.05
    rows = np.vstack([rows, rows[5]])
    d = cdist(rows, rows)
    assert set(loop_through(d, (0, 11), d[0, 11]).tolist()) >= {0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11}


def test_components_at_death_are_single_linkage_s() -> None:
    rows = np.random.default_rng(0).standard_normal((40, 3))
    d = cdist(rows, rows)
    tree = linkage(rows, "single")
    merges = [np.argwhere(np.triu(np.isclose(d, h, rtol=1e-12), 1))[0] for h in tree[:, 2]]
    swallowed, left = dying_components(40, np.array(merges), np.empty((0, 2), np.int64))
    assert [len(c) for c in left] == [40]
    for height, component in zip(tree[:, 2], swallowed, strict=True):
        before = fcluster(tree, height * (1 - 1e-9), "distance")
        assert (np.flatnonzero(before == before[component[0]]) == component).all()
        assert len(component) <= 20


def test_components_that_never_merge_and_rows_that_are_one() -> None:
    swallowed, left = dying_components(5, np.array([[0, 2]]), np.array([[0, 1], [1, 0]]))
    assert [c.tolist() for c in swallowed] == [[2]]
    assert [c.tolist() for c in left] == [[0, 1, 2], [3], [4]]
