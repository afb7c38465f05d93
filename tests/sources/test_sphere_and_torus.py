"""The sphere and the torus lie where they should, uniformly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

import workbench as wb


@pytest.mark.parametrize("dimensions", [2, 3, 10])
def test_sphere_has_radius_one_and_no_preferred_direction(dimensions: int) -> None:
    cloud = wb.sphere(n=4000, noise=0, dimensions=dimensions)
    assert np.allclose(np.linalg.norm(cloud.values, axis=1), 1, atol=1e-6)
    moment = cloud.values.T @ cloud.values / len(cloud)
    assert np.allclose(
        moment, np.eye(dimensions) / dimensions, atol=4 / np.sqrt(len(cloud)) / dimensions**0.5
    )


def test_sphere_height_is_uniform_in_three_dimensions() -> None:
    cloud = wb.sphere(n=2000, noise=0)
    assert kstest(cloud.table["height"], "uniform", args=(-1, 2)).pvalue > 1e-3  # Archimedes


@pytest.mark.parametrize("tube", [0.2, 0.7])
def test_torus_lies_at_the_tube_s_radius_from_the_ring(tube: float) -> None:
    x, y, z = wb.torus(n=500, tube=tube, noise=0).values.T
    assert np.allclose((np.hypot(x, y) - 1) ** 2 + z**2, tube**2, atol=1e-5)


def test_torus_is_uniform_by_area() -> None:
    tube = 0.7
    across = wb.torus(n=4000, tube=tube, noise=0).table["across"].to_numpy()
    area = lambda angle: (angle + tube * np.sin(angle)) / (2 * np.pi)  # noqa: E731
    assert kstest(across, area).pvalue > 1e-3
    assert kstest(across, "uniform", args=(0, 2 * np.pi)).pvalue < 1e-6


def test_torus_in_many_dimensions_is_a_rotated_copy() -> None:
    flat, high = wb.torus(n=50, noise=0), wb.torus(n=50, noise=0, dimensions=12)
    distances = [np.linalg.norm(c.values[:, None] - c.values[None], axis=2) for c in (flat, high)]
    assert np.allclose(*distances, atol=1e-5)


@pytest.mark.parametrize("make", [wb.sphere, wb.torus])
def test_noise_has_its_standard_deviation(make) -> None:
    clean, noisy = make(n=3000, noise=0), make(n=3000, noise=0.3)
    assert np.std(noisy.values - clean.values) == pytest.approx(0.3, rel=0.05)
