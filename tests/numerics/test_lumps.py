"""Lumps keep what they say they keep: covariance, radii, margins, groups and order; and have no groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import ks_2samp

from workbench.numerics.exchangeable import effective_rows
from workbench.numerics.lumps import (
    LUMPS,
    Draw,
    average_ranks,
    elliptical,
    gaussian,
    no_hole,
    one_mode,
    own_margins,
)

RNG = np.random.default_rng(0)
Make = Callable[[np.ndarray, np.ndarray | None], Draw]
GROUPS = np.repeat(np.arange(40), 8)


def drawn(make, x, groups=None, seed: int = 1) -> np.ndarray:
    return make(x, groups)(np.random.default_rng(seed))


def test_the_gaussian_lump_keeps_mean_and_covariance() -> None:
    x = RNG.standard_normal((200, 4)) @ RNG.standard_normal((4, 4)) + 5
    y = drawn(gaussian, x)
    np.testing.assert_allclose(y.mean(axis=0), x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.cov(y.T), np.cov(x.T), rtol=1e-4)


@pytest.mark.parametrize("make", LUMPS.values())
def test_every_lump_keeps_what_groups_share(make) -> None:
    x = (RNG.standard_normal((40, 6))[GROUPS] + RNG.standard_normal((320, 6))) / np.sqrt(2)
    worth = [effective_rows(drawn(make, x, GROUPS, s), GROUPS) for s in range(5)]
    assert np.mean(worth) == pytest.approx(effective_rows(x, GROUPS), rel=0.25)


@pytest.mark.parametrize("make", LUMPS.values())
def test_every_lump_keeps_the_order_in_a_group(make) -> None:
    x = np.cumsum(RNG.standard_normal((40, 8, 3)), axis=1).reshape(320, 3)

    def roughness(rows: np.ndarray) -> float:
        blocks = rows.reshape(40, 8, 3)
        return float(np.square(np.diff(blocks, axis=1)).mean() / blocks.var())

    assert roughness(drawn(make, x, GROUPS)) == pytest.approx(roughness(x), rel=0.5)


def test_the_elliptical_lump_keeps_how_far_out_rows_are() -> None:
    x = RNG.standard_normal((300, 5)) / np.sqrt(RNG.chisquare(2, (300, 1)))
    y = drawn(elliptical, x)
    far, near = (np.sort(np.linalg.norm(z - z.mean(axis=0), axis=1)) for z in (x, y))
    np.testing.assert_allclose(near[-9:], far[-9:], rtol=0.3)
    gaussians = np.sort(np.linalg.norm(drawn(gaussian, x), axis=1))
    assert gaussians[-1] < 0.5 * near[-1]


def test_the_elliptical_lump_of_gaussian_rows_keeps_their_covariance() -> None:
    x = RNG.standard_normal((2000, 4)) @ RNG.standard_normal((4, 4))
    assert np.cov(drawn(elliptical, x).T) == pytest.approx(np.cov(x.T), abs=0.15 * np.cov(x.T).max())


def test_the_lump_of_margins_has_the_columns_values_and_rank_correlations() -> None:
    z = RNG.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 500)
    x = np.exp(z)
    y = drawn(own_margins, x)
    for drawn_column, column in zip(y.T, x.T, strict=True):
        assert ks_2samp(drawn_column, column).pvalue > 1e-3
        assert column.min() <= drawn_column.min() and drawn_column.max() <= column.max()
    assert not np.isin(y, x).any()  # values of their own, between the data's
    before, after = (
        float(np.asarray(np.corrcoef(a.argsort(axis=0).argsort(axis=0).T))[0, 1]) for a in (x, y)
    )
    assert after == pytest.approx(before, abs=0.1)


def test_margins_of_one_mode_stay_and_others_get_one() -> None:
    one = np.sort(
        np.column_stack([RNG.standard_normal(500), RNG.random(500), np.exp(RNG.standard_normal(500))]), axis=0
    )
    np.testing.assert_array_equal(one_mode(one), one)
    two = np.sort(RNG.standard_normal((500, 1)) + 6 * RNG.integers(0, 2, (500, 1)), axis=0)
    smooth = one_mode(two)
    middle = np.abs(smooth - two.mean()) < 1
    assert middle.mean() > 5 * (np.abs(two - two.mean()) < 1).mean()
    assert smooth.std() == pytest.approx(two.std(), rel=1e-6)


def test_a_lump_of_more_columns_than_rows_and_of_constant_columns() -> None:
    x = np.column_stack([RNG.standard_normal((20, 50)), np.ones((20, 2))])
    for make in LUMPS.values():
        y = drawn(make, x)
        assert y.shape == x.shape and np.isfinite(y).all()
        np.testing.assert_allclose(y[:, -2:], 1, atol=1e-5)


@pytest.mark.parametrize("k", [1, 3, 100])
def test_radii_of_a_lump_stay_and_those_of_a_sphere_fill_it(k: int) -> None:
    rng = np.random.default_rng(0)
    radii = np.sort(np.linalg.norm(rng.standard_normal((400, k)), axis=1))
    kept = no_hole(radii, k)
    assert np.abs(np.log(kept[100:] / radii[100:])).max() < 0.2 / k**0.5
    assert kept[-1] == pytest.approx(radii[-1]) and (kept <= radii * (1 + 1e-9)).all()
    filled = no_hole(np.ones(400), k)
    assert np.allclose(filled**k, np.arange(1, 401) / 400)  # an even ball


def test_an_elliptical_lump_like_a_sphere_is_no_sphere() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((300, 3))
    drawn = elliptical(x / np.linalg.norm(x, axis=1, keepdims=True), None)(rng)
    assert (np.linalg.norm(drawn, axis=1) < 0.6).mean() > 0.1


def test_average_ranks_are_scipys() -> None:
    from scipy.stats import rankdata

    rng = np.random.default_rng(0)
    for x in (rng.standard_normal((50, 4)), rng.integers(0, 5, (60, 3)).astype(np.float32), np.ones((7, 2))):
        np.testing.assert_array_equal(average_ranks(x), rankdata(x, axis=0))
