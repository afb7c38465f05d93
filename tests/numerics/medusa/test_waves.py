"""Waves: the leapfrog's own energy is kept, the naive one swings, and a step at the limit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.waves import energy, laplacian, largest_step, leapfrog, require_stable


def ring(n: int, rng: np.random.Generator):
    edges = np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1)
    chords = rng.integers(0, n, (n, 2))
    edges = np.concatenate([edges, chords[chords[:, 0] != chords[:, 1]]])
    return laplacian(edges, rng.uniform(0.5, 2, len(edges)), n)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_energy_is_kept_for_20_000_steps_and_the_naive_one_swings(share: float) -> None:
    rng = np.random.default_rng(0)
    matrix, speed = ring(40, rng), 1.3
    h = share * largest_step(matrix, speed)
    q, p = rng.standard_normal(40), rng.standard_normal(40)
    own, naive = [], []
    for i in range(20_000):
        after, p = leapfrog(q, p, h, matrix, speed)
        if i % 10 == 0:
            own.append(energy(q, p, after, matrix, speed))
            naive.append(energy(q, p, q, matrix, speed))
        q = after
    assert np.ptp(own) / own[0] < 1e-10
    assert np.ptp(naive) / np.mean(naive) > 0.07


def test_a_mode_has_the_leapfrog_s_own_frequency() -> None:
    """cos(ω h) = 1 - h² c² λ / 2, exactly."""
    matrix, speed, h = ring(12, np.random.default_rng(1)), 0.7, 0.3
    values, vectors = np.linalg.eigh(matrix.toarray())
    angle = np.arccos(1 - (h * speed) ** 2 * values[5] / 2)
    q = vectors[:, 5]
    p = (q - np.cos(angle) * q) / h  # so that the displacement before was that of the same wave
    for k in range(1, 50):
        q, p = leapfrog(q, p, h, matrix, speed)
        np.testing.assert_allclose(q, np.cos(k * angle) * vectors[:, 5], atol=1e-10)


def test_damping_takes_energy_at_its_rate() -> None:
    """A free node's velocity: (1 - γh/2) / (1 + γh/2) a step."""
    matrix = laplacian(np.empty((0, 2), int), np.empty(0), 3)
    _, p = leapfrog(np.zeros(3), np.ones(3), 0.1, matrix, 1.0, damping=4.0)
    np.testing.assert_allclose(p, 0.8 / 1.2)


@pytest.mark.parametrize("n", [30, 200])
def test_the_limit_is_where_waves_begin_to_grow(n: int) -> None:
    rng = np.random.default_rng(2)
    matrix = ring(n, rng)
    most = largest_step(matrix, 1.0)
    assert most == pytest.approx(2 / np.sqrt(np.linalg.eigvalsh(matrix.toarray())[-1]), rel=1e-9)
    start = rng.standard_normal(n)
    sizes = []
    for h in (0.999 * most, 1.01 * most):
        q, p = start, np.zeros(n)
        for _ in range(400):
            q, p = leapfrog(q, p, h, matrix, 1.0)
        sizes.append(np.abs(q).max())
    assert sizes[0] < 1e3 and sizes[1] > 1e10
    for h in (most, 0.0, float("nan")):
        with pytest.raises(ParameterError, match="below 2 / "):
            require_stable(h, matrix, 1.0)
    require_stable(0.99 * most, matrix, 1.0)
    with pytest.raises(ParameterError):
        require_stable(0.99 * most, matrix, 1.0, stiffened=2.0)


def test_a_graph_whose_waves_would_grow_is_refused() -> None:
    with pytest.raises(DataError, match="negative"):
        laplacian(np.array([[0, 1]]), np.array([-1.0]), 2)
    alone = laplacian(np.array([[1, 1]]), np.array([1.0]), 2)  # an edge to itself carries nothing
    assert largest_step(alone, 1.0) == float("inf")
