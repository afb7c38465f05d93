"""Clouds with a shape: a loop, a void, two groups, each as plain as a test should just see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.calibrating.worlds.rows import POINTS, D, N, cloud

Make = Callable[[np.random.Generator], tuple[Any, ...]]


def on_sphere(rng: np.random.Generator, dimensions: int, noise: float, n: int = N) -> np.ndarray:
    """(n, dimensions) rows spread evenly on the unit sphere, a circle in two dimensions, with noise of some size."""
    x = rng.standard_normal((n, dimensions))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x + noise * rng.standard_normal(x.shape))


def _sphere(dimensions: int, noise: float) -> Make:
    return lambda rng: cloud(on_sphere(rng, dimensions, noise))


def _blobs(apart: float) -> Make:
    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        values = rng.standard_normal((N, D))
        values[: N // 2, 0] += apart
        return cloud(values)

    return make


WORLDS = (
    World(
        "circle",
        "a circle with noise of a fifth of its radius",
        POINTS,
        _sphere(2, 0.2),
        holds={
            "persistence": ("longest_bar",),
            "landscape": ("peak",),
            "persistence_image": ("height",),
            "mapper": ("widest_loop",),
        },
        parameters={"persistence": {"homology_dimensions": (1,)}},
        covers=True,
    ),
    World(
        "sphere",
        "a sphere with noise of a tenth of its radius",
        POINTS,
        _sphere(3, 0.1),
        holds={"persistence": ("longest_bar",)},
        parameters={"persistence": {"homology_dimensions": (2,)}},
    ),
    World(
        "two blobs",
        "two groups whose centres are four and a half standard deviations apart",
        POINTS,
        _blobs(4.5),
        holds={"persistence": ("longest_bar",), "mapper": ("outside_largest_piece",)},
        parameters={"persistence": {"homology_dimensions": (0,)}},
        covers=True,
    ),
)
