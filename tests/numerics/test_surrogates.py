"""Surrogates keep what they say they keep and lose what they say they lose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from workbench.numerics.surrogates import (
    autoregressive,
    meeting_ends,
    phase_randomised,
    row_rotations,
    unit_root,
)


@pytest.mark.parametrize("shape", [(200, 5), (20, 60), (30, 30)])
def test_rotated_rows_keep_mean_and_covariance(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_exponential(shape) + 7
    rotated = row_rotations(rows)(rng)
    assert np.allclose(rotated.mean(axis=0), rows.mean(axis=0), atol=1e-4)
    assert np.allclose(np.cov(rotated.T), np.cov(rows.T), atol=1e-4)
    assert not np.allclose(rotated, rows, atol=0.1)


def test_rotated_gaussian_rows_are_distributed_as_before() -> None:
    rng = np.random.default_rng(1)
    first = []
    for _ in range(400):
        rows = rng.standard_normal((12, 30))  # fewer rows than columns: where a fitted Gaussian fails
        x = row_rotations(rows)(rng)
        first.append(np.linalg.norm(x[0] - x[1]) ** 2 / 2)
    assert kstest(first, "chi2", args=(30,)).pvalue > 1e-3


def test_rotated_rows_lose_their_groups() -> None:
    rng = np.random.default_rng(2)
    rows = np.concatenate([rng.standard_normal((100, 1)) - 20, rng.standard_normal((100, 1)) + 20])
    assert np.abs(rows).min() > 10
    assert (np.abs(row_rotations(rows)(rng)) < 10).sum() > 40


def test_phase_randomised_keeps_values_and_spectrum() -> None:
    rng = np.random.default_rng(3)
    x = np.empty((500, 1))
    x[0] = 0
    for t in range(1, 500):
        x[t] = 0.9 * x[t - 1] + rng.standard_normal()
    y = phase_randomised(x, rng)
    assert np.allclose(np.sort(y, axis=0), np.sort(x, axis=0))
    size = [np.abs(np.fft.rfft(s[:, 0])) for s in (x, y)]
    assert np.corrcoef(*size)[0, 1] > 0.99
    assert abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]) < 0.5


def test_phase_randomised_keeps_correlation_between_channels() -> None:
    rng = np.random.default_rng(4)
    shared = np.cumsum(rng.standard_normal(600)) * 0.1
    x = np.column_stack([shared + rng.standard_normal(600), rng.standard_normal(600) - shared])
    before = np.corrcoef(x.T)[0, 1]
    after = [np.corrcoef(phase_randomised(x, rng).T)[0, 1] for _ in range(5)]
    assert np.allclose(after, before, atol=0.05)


def test_phase_randomised_loses_determinism() -> None:
    x = np.empty((400, 1))
    x[0] = 0.3
    for t in range(1, 400):
        x[t] = 3.9 * x[t - 1] * (1 - x[t - 1])
    y = phase_randomised(x, np.random.default_rng(5))[:, 0]
    error = np.abs(y[1:] - 3.9 * y[:-1] * (1 - y[:-1]))
    assert error.mean() > 0.1


def test_the_stretch_whose_ends_meet() -> None:
    period = 40
    x = np.sin(2 * np.pi * np.arange(190) / period)[:, None]
    kept = x[meeting_ends(x)]
    assert len(kept) >= 0.8 * len(x)
    assert abs(kept[0] - kept[-1]) < abs(x[0] - x[-1]) / 3
    assert (len(kept) % period) in (0, 1, period - 1)


def test_the_stretch_of_a_noisy_season_is_whole_seasons() -> None:
    rng = np.random.default_rng(6)
    season = np.sin(2 * np.pi * np.arange(300) / 12)[:, None]
    lengths = [
        len(range(*meeting_ends(season + 0.5 * rng.standard_normal((300, 1))).indices(300)))
        for _ in range(20)
    ]
    assert sum(n % 12 in (0, 1, 11) for n in lengths) >= 17


def test_an_autoregression_is_simulated_as_it_is() -> None:
    """Two channels, one of which follows the other: values, memory and what they share stay."""
    rng = np.random.default_rng(7)
    x = np.zeros((3000, 2))
    for t in range(1, 3000):
        x[t] = [[0.8, 0.0], [0.5, 0.2]] @ x[t - 1] + rng.standard_normal(2)
    y = autoregressive(x)(rng)
    assert np.array_equal(np.sort(y, axis=0), np.sort(x, axis=0))
    for lag in (0, 1, 2):
        before, after = (np.corrcoef(v[lag:].T, v[: len(v) - lag].T)[:2, 2:] for v in (x, y))
        assert np.allclose(before, after, atol=0.1)
    assert abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]) < 0.2


def test_a_unit_root_is_not_ruled_out_of_a_walk_and_is_of_noise() -> None:
    rng = np.random.default_rng(8)
    noise = rng.standard_normal((60, 250))
    walks = sum(unit_root(x) for x in np.cumsum(noise, axis=1))
    assert walks >= 52  # 95 % of 60, less three standard errors
    assert not any(unit_root(x) for x in noise)
    assert unit_root(np.arange(100.0) + noise[0, :100])
