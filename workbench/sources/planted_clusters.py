"""Planted clusters: Gaussian clumps with known members."""

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
def planted_clusters(
    *,
    n: Annotated[int, Interval(ge=1, le=1_000_000), Doc("Rows.")] = 300,
    n_clusters: Annotated[int, Interval(ge=1, le=1000), Doc("Clusters, of sizes as equal as can be.")] = 3,
    dimensions: Annotated[int, Interval(ge=1, le=4096), Doc("Dimensions of the space.")] = 10,
    separation: Annotated[
        float,
        Interval(ge=0, le=1000),
        Doc("Root mean square distance of two centres; a cluster's standard deviation is 1."),
    ] = 12.0,
    random_state: Seed = 0,
) -> PointCloud:
    """Draw rows from isotropic Gaussians of standard deviation 1 around random centres.

    Known answers: the column ``cluster`` is the group of each row. With ``separation=0`` there are none,
    whatever the column says.
    """
    rng = np.random.default_rng(random_state)
    centres = rng.standard_normal((n_clusters, dimensions)) * separation / np.sqrt(2 * dimensions)
    cluster = rng.permutation(np.arange(n) % n_clusters)
    truth = {"n_clusters": n_clusters if separation else 1, "labels": "cluster"}
    return cloud("planted clusters", centres[cluster], 1.0, rng, truth, cluster=cluster)
