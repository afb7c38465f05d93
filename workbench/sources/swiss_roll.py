"""A Swiss roll: a flat sheet, rolled up."""

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
def swiss_roll(
    *,
    n: Annotated[int, Interval(ge=1, le=1_000_000), Doc("Rows.")] = 1000,
    noise: Annotated[
        float, Interval(ge=0, le=10), Doc("Standard deviation of the noise; sheets lie 6.3 apart.")
    ] = 0.0,
    height: Annotated[float, Interval(ge=0.1, le=1000), Doc("Height of the roll.")] = 21.0,
    dimensions: Annotated[
        int, Interval(ge=3, le=4096), Doc("Dimensions of the space that the roll lies in.")
    ] = 3,
    random_state: Seed = 0,
) -> PointCloud:
    """Draw rows uniformly by area from a rolled-up sheet, in a random three-dimensional subspace.

    Known answers: intrinsic dimension 2, Betti numbers 1, 0. The columns ``along`` (arc length of the spiral
    r = angle, from angle 1.5 pi to 4.5 pi) and ``across`` are the coordinates of the flat sheet, so that a
    method that unrolls must find them up to a rotation; ``angle`` is the spiral's angle.
    """
    from workbench.numerics.resampling import random_frame

    rng = np.random.default_rng(random_state)
    grid = np.linspace(1.5 * np.pi, 4.5 * np.pi, 4096)
    lengths = (grid * np.sqrt(1 + grid**2) + np.arcsinh(grid)) / 2
    along = rng.uniform(lengths[0], lengths[-1], n)
    angle = np.interp(along, lengths, grid)
    across = rng.uniform(0, height, n)
    frame = np.eye(3) if dimensions == 3 else random_frame(dimensions, 3, rng)
    values = np.column_stack([angle * np.cos(angle), across, angle * np.sin(angle)]) @ frame.T
    return cloud(
        "swiss roll",
        values,
        noise,
        rng,
        {"betti": (1, 0), "dimension": 2},
        angle=angle,
        along=along - lengths[0],
        across=across,
    )
