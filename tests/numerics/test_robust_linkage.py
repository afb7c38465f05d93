"""The valley between groups is as deep as their densities make it, and outliers have none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from workbench.numerics.robust_linkage import deepest_valley


def of_rows(x: np.ndarray, limit: float | None = None) -> float:
    return deepest_valley(cdist(x, x), limit)


def two(gap: float, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((200, 3))
    x[:100, 0] += gap
    return x


def test_the_farther_apart_groups_are_the_deeper_is_the_valley() -> None:
    depths = [of_rows(two(gap)) for gap in (0, 6, 12, 30)]
    assert (np.diff(depths) > 0).all()
    assert depths[0] < 1.5 < 4 < depths[2]


def test_scale_place_and_order_do_not_matter() -> None:
    x = two(8)
    order = np.random.default_rng(1).permutation(len(x))
    assert of_rows(1e3 * x[order] + 7) == pytest.approx(of_rows(x), rel=1e-9)


def test_a_few_far_rows_are_no_group_and_a_tenth_of_the_rows_are() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((200, 3))
    plain = of_rows(x)
    few, many = x.copy(), x.copy()
    few[:4] += 50 + np.arange(4)[:, None] * 20
    many[:20] += 50
    assert of_rows(few) < plain + 0.7
    assert of_rows(many) > plain + 4


def test_merges_beyond_the_limit_count_as_if_they_were_there() -> None:
    x = two(30)
    assert of_rows(x, 3.0) < of_rows(x, 10.0) < of_rows(x)


def test_few_and_equal_rows_have_no_valley() -> None:
    assert of_rows(np.arange(9.0)[:, None]) == 0
    assert of_rows(np.repeat(two(9)[:20], 10, axis=0)) == 0
