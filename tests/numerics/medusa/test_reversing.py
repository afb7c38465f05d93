"""Time run backwards: round trips that hold with the score, and don't without it; matched scores against exact ones."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.medusa.counters import normals
from workbench.numerics.medusa.reversing import (
    backward,
    forward,
    gaussian_scores,
    linear_scores,
    matched_scores,
)

MATRIX = np.array([[-0.5, 1.0], [-1.0, -0.3]])
SOURCES = np.array([[0.5, 0.0], [0.2, 0.4]])
MEAN, COVARIANCE = np.array([1.0, 0.0]), np.array([[0.5, 0.1], [0.1, 0.3]])


def turning(x: np.ndarray) -> np.ndarray:
    return MATRIX @ x


def well(x: np.ndarray) -> np.ndarray:
    return x - x**3


def begun(worlds: int) -> np.ndarray:
    z = normals(1, 99, range(1), 2, range(worlds))[0]
    return MEAN[:, None] + np.linalg.cholesky(COVARIANCE) @ z


def test_a_linear_system_comes_back_by_its_exact_score() -> None:
    h, steps = 0.01, 100
    slices = forward(turning, SOURCES, begun(40_000), h, steps)
    scores = linear_scores(MATRIX, SOURCES, MEAN, COVARIANCE, h, steps)
    there = backward(turning, SOURCES, slices, scores, h, within=0.015)
    assert there.held and there.distance.max() <= 0.015
    without = backward(turning, SOURCES, slices, None, h, within=0.015)
    assert not without.held and without.distance.max() > 0.1


def test_a_double_well_comes_back_by_a_matched_score_and_not_by_a_gaussian_one() -> None:
    h, steps, sources = 0.02, 60, np.array([[0.5]])
    start = 0.5 * normals(1, 99, range(1), 1, range(20_000))[0]
    slices = forward(well, sources, start, h, steps)
    found = {
        name: backward(well, sources, slices, scores, h).distance[0]
        for name, scores in (
            ("matched", matched_scores(slices, features=30)),
            ("gaussian", gaussian_scores(slices)),
            ("none", None),
        )
    }
    assert found["matched"] <= 0.02 < found["gaussian"] < found["none"]


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_matched_score_of_a_gaussian_is_the_gaussian_s(d: int) -> None:
    """Where the answer is in closed form, of correlated coordinates too."""
    rng = np.random.default_rng(d)
    root = np.eye(d) + 0.4 * np.tril(rng.standard_normal((d, d)))
    x = 2 + root @ rng.standard_normal((d, 20_000))
    exact = -np.linalg.inv(root @ root.T) @ (x - 2)
    found = matched_scores(x[None], features=20)[0](x)
    assert np.square(found - exact).mean() < 0.01 * np.square(exact).mean()


def test_a_matched_score_of_two_lumps() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random(20_000) < 0.5, -1.5, 1.5)[None] + 0.5 * rng.standard_normal((1, 20_000))
    exact = (-x + 1.5 * np.tanh(6 * x)) / 0.25
    found = matched_scores(x[None])[0](x)
    assert np.square(found - exact).mean() < 0.05 * np.square(exact).mean()
    gaussian = gaussian_scores(x[None])[0](x)
    assert np.square(gaussian - exact).mean() > 0.5 * np.square(exact).mean()


def test_what_can_not_be_run_back_is_refused() -> None:
    with pytest.raises(DataError, match=r"diverge at step \d+ of 50"), np.errstate(all="ignore"):
        forward(well, np.array([[1.0]]), np.full((1, 4), 50.0), 0.5, 50)
    with pytest.raises(DataError, match="don't spread in every direction"):
        linear_scores(MATRIX, SOURCES, MEAN, np.diag([1.0, 0.0]), 0.1, 3)
    with pytest.raises(ParameterError, match="ridge=0"):
        matched_scores(np.ones((1, 1, 5)), ridge=0.0)
