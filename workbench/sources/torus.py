"""A torus: one component, two loops, one void."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.parameters import Seed
from workbench.core.registry import source
from workbench.sources._cloud import cloud
from workbench.subjects.points import PointCloud


@source
def torus(
    *,
    n: Annotated[int, Interval(ge=1, le=1_000_000), Doc("Rows.")] = 1000,
    tube: Annotated[
        float, Interval(gt=0, lt=1), Doc("Radius of the tube; the circle in its middle has radius 1.")
    ] = 0.5,
    noise: Annotated[float, Interval(ge=0, le=10), Doc("Standard deviation of the noise.")] = 0.02,
    dimensions: Annotated[
        int, Interval(ge=3, le=4096), Doc("Dimensions of the space that the torus lies in.")
    ] = 3,
    random_state: Seed = 0,
) -> PointCloud:
    """Draw rows uniformly, by area, from a torus in a random three-dimensional subspace.

    Known answers: Betti numbers 1, 2, 1; intrinsic dimension 2. The columns ``around`` and ``across`` are the
    angles (radians) along the ring and around the tube.
    """
    from workbench.numerics.resampling import random_frame

    rng = np.random.default_rng(random_state)
    around = rng.uniform(0, 2 * np.pi, n)
    across = _by_area(n, tube, rng)
    ring = 1 + tube * np.cos(across)
    space = np.eye(3) if dimensions == 3 else random_frame(dimensions, 3, rng)
    values = np.column_stack([ring * np.cos(around), ring * np.sin(around), tube * np.sin(across)]) @ space.T
    return cloud(
        "torus", values, noise, rng, {"betti": (1, 2, 1), "dimension": 2}, around=around, across=across
    )


def _by_area(n: int, tube: float, rng: np.random.Generator) -> np.ndarray:
    """Angles around the tube; the outer side is larger than the inner one, in proportion to 1 + tube cos."""
    found = np.empty(0)
    while len(found) < n:
        angle = rng.uniform(0, 2 * np.pi, 2 * (n - len(found)) + 8)
        found = np.append(found, angle[rng.uniform(0, 1 + tube, len(angle)) < 1 + tube * np.cos(angle)])
    return found[:n]
