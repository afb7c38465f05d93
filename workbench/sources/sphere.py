"""A sphere: one component, no loop, one void."""

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
def sphere(
    *,
    n: Annotated[int, Interval(ge=1, le=1_000_000), Doc("Rows.")] = 500,
    noise: Annotated[
        float, Interval(ge=0, le=10), Doc("Standard deviation of the noise; the radius is 1.")
    ] = 0.05,
    dimensions: Annotated[
        int, Interval(ge=2, le=4096), Doc("Dimensions of the space; the sphere has one less.")
    ] = 3,
    random_state: Seed = 0,
) -> PointCloud:
    """Draw rows uniformly from the sphere of radius 1.

    Known answers: with 3 dimensions Betti numbers 1, 0, 1; with 2, a circle, 1, 1; intrinsic dimension one
    less than the space's. The column ``height`` is the first coordinate before noise.
    """
    rng = np.random.default_rng(random_state)
    values = rng.standard_normal((n, dimensions))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    betti = (1, *[0] * (dimensions - 2), 1)
    return cloud(
        "sphere",
        values,
        noise,
        rng,
        {"betti": betti, "dimension": dimensions - 1},
        height=values[:, 0].copy(),
    )
