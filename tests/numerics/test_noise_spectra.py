"""The band of noise holds 95 of 100 singular values of noise, and none of a matrix that isn't."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.numerics.noise_spectra import LARGEST, band_of_noise, ranks_shown


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (150, 150)])
def test_known_answer_share_of_whole_matrices_that_lies_in_the_band(shape: tuple[int, int]) -> None:
    """By definition: matrices that are drawn entry by entry."""
    rng = np.random.default_rng(5)
    ranks = np.arange(1, min(shape) + 1)
    low, high = band_of_noise(shape, ranks)
    outside = [
        ((s < low) | (s > high)).mean()
        for s in (np.linalg.svd(rng.standard_normal(shape), compute_uv=False) for _ in range(60))
    ]
    assert 0.03 < np.mean(outside) < 0.08
    twice = np.linalg.svd(2 * rng.standard_normal(shape), compute_uv=False)
    assert ((twice > high).mean()) > 0.95, "noise of twice the level lies above it"


def test_a_longer_side_is_stood_for_by_a_shorter_one() -> None:
    shape = (LARGEST + 500, LARGEST + 400)
    ranks = ranks_shown(min(shape))
    s = np.linalg.svd(np.random.default_rng(3).standard_normal(shape), compute_uv=False)[ranks - 1]
    low, high = band_of_noise(shape, ranks)
    assert ((s < low) | (s > high)).mean() < 0.1
    assert (high[:-1] / low[:-1]).max() < 1.1, "and is no wide band"


def test_ranks_are_in_order_from_the_first_to_the_last() -> None:
    for side in (1, 2, 7, 384, 100_000):
        ranks = ranks_shown(side)
        assert ranks[0] == 1 and ranks[-1] == side and (np.diff(ranks) > 0).all()
