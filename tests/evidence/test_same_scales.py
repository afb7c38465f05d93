"""Turned signs keep every size, and put groups as far from the mean as they are from the true one."""

from __future__ import annotations

import numpy as np

from workbench.evidence.nulls.same_scales import turned_signs


def test_rows_that_stand_for_themselves_keep_their_sizes() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_t(3, (50, 4)) + 7
    drawn = turned_signs(x, None)(rng)
    assert np.allclose(np.abs(drawn), np.abs(x - x.mean(axis=0)))
    assert not np.allclose(np.abs(drawn).sum(), drawn.sum())


def test_groups_of_any_size_are_as_far_out_as_about_the_true_mean() -> None:
    """Topics of unit variance about a true mean of 0, in texts of which one has a third of the rows."""
    rng = np.random.default_rng(1)
    sizes = np.array([30, 20, 10, 10, 5, 5, 5, 5])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    squares, plain = np.zeros(len(sizes)), np.zeros(len(sizes))
    runs = 4000
    for _ in range(runs):
        x = rng.standard_normal((len(sizes), 1))[groups] + 5
        first = np.cumsum(sizes) - sizes
        squares += turned_signs(x, groups)(rng)[first, 0] ** 2 / runs
        plain += (x - x.mean())[first, 0] ** 2 / runs
    error = np.sqrt(2 / runs)
    assert np.abs(squares - 1).max() < 4 * error
    assert plain[0] < 0.7  # which is what was drawn from before


def test_signs_of_one_group_are_turned_together() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(8), 5)
    x = rng.standard_normal((8, 3))[groups]
    drawn = turned_signs(x, groups)(rng)
    assert np.allclose(drawn, drawn[::5][groups])
