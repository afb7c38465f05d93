"""Clouds with a shape: a loop, a void, groups, each as plain as a test should just see; curves and surfaces without groups."""

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


def _three_blobs(rng: np.random.Generator) -> tuple[Any, ...]:
    values = rng.standard_normal((N, D))
    values[:, :2] += 4.5 * np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])[np.arange(N) % 3]
    return cloud(values)


def _helix(rng: np.random.Generator) -> tuple[Any, ...]:
    t = rng.uniform(0, 4 * np.pi, N)
    return cloud(np.column_stack([np.cos(t), np.sin(t), t / 3]))


def _branches(rng: np.random.Generator) -> tuple[Any, ...]:
    angle, out = 2 * np.pi / 3 * rng.integers(0, 3, N), rng.random(N)
    values = 0.05 * rng.standard_normal((N, D))
    values[:, :2] += np.column_stack([out * np.cos(angle), out * np.sin(angle)])
    return cloud(values)


def _roll(rng: np.random.Generator) -> tuple[Any, ...]:
    t, height = 1.5 * np.pi * (1 + 2 * rng.random(N)), 21 * rng.random(N)
    return cloud(np.column_stack([t * np.cos(t), height, t * np.sin(t)]))


def _closed_sheet(rng: np.random.Generator) -> tuple[Any, ...]:
    a, b = rng.uniform(0, 2 * np.pi, (2, N))
    values = 0.3 * rng.standard_normal((N, D))
    values[:, :4] += np.column_stack([np.cos(a), np.cos(b), np.sin(a), np.sin(b)])
    return cloud(values)


COMPONENTS = {"persistence": {"homology_dimensions": (0,)}}


def _one_piece(name: str, says: str, make: Make) -> World:
    """A curve or a surface, of which no groups are to be claimed."""
    return World(name, says, POINTS, make, only=("persistence",), parameters=COMPONENTS)


WORLDS = (
    _one_piece("in one piece, circle", "a circle without noise, in one piece", _sphere(2, 0.0)),
    _one_piece("in one piece, helix", "two turns of a helix, in one piece", _helix),
    _one_piece("in one piece, branches", "three branches from one point, with noise", _branches),
    _one_piece("in one piece, sphere", "a sphere without noise, in one piece", _sphere(3, 0.0)),
    _one_piece("in one piece, roll", "a rolled sheet without noise, thinner farther out", _roll),
    _one_piece("in one piece, closed sheet", "a sheet that closes on itself, in noise", _closed_sheet),
    World(
        "three groups",
        "three groups whose centres are four and a half standard deviations apart",
        POINTS,
        _three_blobs,
        holds={"persistence": ("longest_bar",)},
        parameters=COMPONENTS,
    ),
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
        parameters=COMPONENTS,
        covers=True,
    ),
)
