"""Pieces are the groups, rows drawn anew stay where their piece is, and a curve's valleys are no deeper than its pieces'."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from workbench.numerics.controls import draw_until_clear
from workbench.numerics.pieces import near_their_places, valleys_inside
from workbench.numerics.robust_linkage import deepest_valley, least_rows, linked, parted


def distances(x: np.ndarray) -> np.ndarray:
    return cdist(x, x)


def valley(x: np.ndarray, least: int) -> float:
    return deepest_valley(distances(x), None, least)


def groups(many: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((80 * many, 4))
    x[:, 0] += 8 * (np.arange(len(x)) // 80)
    return x


def helix(seed: int) -> np.ndarray:
    t = np.random.default_rng(seed).uniform(0, 4 * np.pi, 240)
    return np.column_stack([np.cos(t), np.sin(t), t / 3])


@pytest.mark.parametrize("many", [2, 3, 4])
def test_each_group_is_a_piece_and_no_row_is_lost(many: int) -> None:
    x = groups(many)
    found = linked(distances(x), None, least_rows(len(x)))
    assert found is not None
    pieces = parted(found, 0.5)
    assert sorted(np.concatenate(pieces).tolist()) == list(range(len(x)))
    large = [p for p in pieces if len(p) > 40]
    assert len(large) == many
    for p in large:
        assert len(np.unique(p // 80)) == 1


def test_rows_drawn_anew_stay_on_a_line_at_its_density() -> None:
    rng = np.random.default_rng(1)
    along = np.sort(rng.exponential(size=200))
    x = along[:, None] * np.array([3.0, 4.0, 0.0])
    drawn = near_their_places(x, distances)(rng)
    assert np.abs(drawn @ np.array([[4.0, 0], [-3.0, 0], [0, 1.0]])).max() < 1e-9
    assert np.abs(np.sort(drawn[:, 0]) / 3 - along).mean() < 0.1
    assert pdist(drawn).min() > 0


def p_value(x: np.ndarray) -> float:
    value = deepest_valley(distances(x))
    drawn = draw_until_clear(
        valleys_inside(x, distances, None, valley), np.array([value]), ("greater",), 39, 0
    )[0]
    return float((1 + (drawn >= value).sum()) / (1 + len(drawn)))


def test_a_curve_has_valleys_like_those_of_its_pieces_and_groups_have_not() -> None:
    assert sum(p_value(helix(seed)) <= 0.05 for seed in range(10)) <= 2
    assert all(p_value(groups(many)) <= 0.05 for many in (2, 3, 4))


def test_equal_and_few_rows_have_no_pieces_to_draw() -> None:
    rng = np.random.default_rng(2)
    for x in (np.ones((50, 2)), np.arange(9.0)[:, None]):
        assert valleys_inside(x, distances, None, valley)(rng) == 0.0
