"""A circle: one component, one loop, dimension one."""

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
def circle(
    *,
    n: Annotated[int, Interval(ge=1, le=1_000_000), Doc("Rows.")] = 200,
    noise: Annotated[
        float, Interval(ge=0, le=10), Doc("Standard deviation of the noise; the radius is 1.")
    ] = 0.05,
    dimensions: Annotated[
        int, Interval(ge=2, le=4096), Doc("Dimensions of the space that the circle lies in.")
    ] = 2,
    random_state: Seed = 0,
) -> PointCloud:
    """Draw rows uniformly from a circle of radius 1 in a random plane.

    Known answers: Betti numbers 1, 1; intrinsic dimension 1. The column ``angle`` is the coordinate (radians).
    """
    from workbench.numerics.resampling import random_frame

    rng = np.random.default_rng(random_state)
    angle = rng.uniform(0, 2 * np.pi, n)
    plane = np.eye(2) if dimensions == 2 else random_frame(dimensions, 2, rng)
    values = np.column_stack([np.cos(angle), np.sin(angle)]) @ plane.T
    return cloud("circle", values, noise, rng, {"betti": (1, 1), "dimension": 1}, angle=angle)
