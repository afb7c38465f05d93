"""The Swiss roll is a flat sheet rolled up; planted clusters are where they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb


@pytest.mark.parametrize("dimensions", [3, 20])
def test_rolling_keeps_short_distances(dimensions: int) -> None:
    roll = wb.swiss_roll(n=4000, dimensions=dimensions, random_state=1)
    assert roll.values.shape == (4000, dimensions)
    flat = roll.table[["along", "across"]].to_numpy()
    i = np.arange(0, 4000, 40)
    on_sheet = np.linalg.norm(flat[i, None] - flat[None], axis=2)
    in_space = np.linalg.norm(roll.values[i, None].astype(float) - roll.values[None], axis=2)
    near = (on_sheet > 0.05) & (on_sheet < 1)
    assert near.sum() > 300
    assert np.allclose(in_space[near] / on_sheet[near], 1, atol=0.02)
    assert (in_space <= on_sheet + 1e-4).all()


def test_rows_are_uniform_by_area_and_noise_is_as_large_as_asked() -> None:
    from scipy.stats import kstest

    clean, noisy = wb.swiss_roll(n=3000), wb.swiss_roll(n=3000, noise=0.4)
    along = clean.table["along"].to_numpy()
    assert kstest(along / along.max(), "uniform").pvalue > 1e-3
    assert np.isclose(np.std(noisy.values - clean.values), 0.4, atol=0.02)
    assert clean.table["across"].max() <= 21


def test_clusters_have_unit_spread_around_centres_as_far_apart_as_asked() -> None:
    cloud = wb.planted_clusters(n=6000, n_clusters=200, dimensions=8, separation=9)
    group = cloud.table["cluster"].to_numpy()
    assert np.ptp(np.bincount(group)) == 0
    centres = np.array([cloud.values[group == g].mean(axis=0) for g in range(200)])
    assert np.isclose(np.std(cloud.values - centres[group]) * np.sqrt(30 / 29), 1, atol=0.02)
    apart = np.square(centres[:, None] - centres[None]).sum(axis=2)[np.triu_indices(200, 1)]
    assert np.isclose(np.sqrt(apart.mean()), 9, rtol=0.1)


def test_the_seed_decides() -> None:
    for source in (wb.swiss_roll, wb.planted_clusters):
        assert source(n=20).digest == source(n=20).digest != source(n=20, random_state=1).digest
