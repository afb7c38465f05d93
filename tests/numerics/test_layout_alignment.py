"""The alignment score: what it is of known layouts, and its null's false-alarm rate."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated
from scipy.spatial import procrustes

from workbench.core.evidence import monte_carlo_p
from workbench.numerics.layout_alignment import disparity, measure_alignment

SAME = [np.arange(60)]


def layouts(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((60, 2)), rng.standard_normal((60, 2))


def test_known_answer_of_equal_turned_and_unrelated_layouts() -> None:
    a, b = layouts()
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    same, turned, other = (measure_alignment([a, y], SAME) for y in (a, a @ turn + 5, b))
    assert same.displacement[0] == 0 and same.disparity[0] < 1e-12
    assert turned.disparity[0] < 1e-12 and turned.displacement[0] > 0.9
    assert 0.7 < other.displacement[0] < 1.0 and other.disparity[0] > 0.5


def test_peer_scipy_has_the_same_disparity_of_layouts_of_one_size() -> None:
    a, b = layouts()
    a, b = (y - y.mean(0) for y in (a, b))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    left = procrustes(a, b)[2]  # which scales as well: 1 - s^2 where ours is 1 - s
    assert np.isclose(1 - (1 - disparity(a, b)) ** 2, left)
    assert disparity(np.ones((5, 2)), np.ones((5, 2))) == 0


def test_rows_without_a_match_are_left_out_and_moved_ones_found() -> None:
    a, _ = layouts()
    match = np.arange(60)
    match[::3] = -1
    b = a.copy()
    b[[1, 4]] += 3
    found = measure_alignment([a, b], [match], n_null=19)
    assert len(found.rows[0]) == 40
    assert set(found.related[0][np.argsort(-found.rows[0])[:2], 0]) == {1, 4}
    assert found.null.shape == (19, 1) and found.null.min() > found.displacement[0]
    assert found.interval(0)[0] <= found.displacement[0] <= found.interval(0)[1]


def test_the_scale_is_that_of_rows_related_at_random() -> None:
    a, b = layouts(2)
    square = np.square(a[:, None] - b).sum(2).mean()
    found = measure_alignment([a, b], SAME)
    assert np.isclose(found.displacement[0], np.linalg.norm(a - b, axis=1).mean() / np.sqrt(square))
    assert np.allclose(measure_alignment([a * 7, b * 7], SAME).displacement, found.displacement)


def test_calibrated_where_layouts_have_nothing_to_do_with_each_other() -> None:
    def p(seed: int) -> float:
        found = measure_alignment(layouts(seed), SAME, n_null=19, random_state=seed)
        return monte_carlo_p(found.displacement[0], found.null[:, 0].tolist(), "less")

    assert_calibrated(p)


@pytest.mark.parametrize("n_null", [0, 3])
def test_draws_are_the_same_however_many(n_null) -> None:
    found = measure_alignment(layouts(), SAME, n_null=n_null)
    assert np.array_equal(found.null, measure_alignment(layouts(), SAME, n_null=5).null[:n_null])
