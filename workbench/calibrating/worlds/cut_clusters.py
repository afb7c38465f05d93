"""Rows with the clusters that were found in them: one lump that was cut, and clusters that are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.calibrating.worlds.clusters import blobs
from workbench.calibrating.worlds.rows import LENGTH, TEXTS, D, N, cloud, of_texts
from workbench.core.history import as_control
from workbench.core.registry import method

GIVES = ("Points", "Partition")
APART = {"cluster_pairs": ("apart",)}


def _cut(
    draw: Callable[[np.random.Generator], np.ndarray], clusters: int, texts: bool = False
) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    columns = {"text_id": np.repeat(np.arange(TEXTS), LENGTH)} if texts else {}

    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        (rows,) = cloud(draw(rng), **columns)
        with as_control():
            found = method("spectral_clustering")(
                rows,
                n_clusters=clusters,
                n_null=0,
                n_boot=0,
                device="cpu",
                random_state=int(rng.integers(1 << 31)),
            )
        return rows, found

    return make


WORLDS = (
    World(
        "lump cut in two",
        "one Gaussian lump, cut in two",
        GIVES,
        _cut(lambda r: r.standard_normal((N, D)), 2),
    ),
    World(
        "lump cut in four",
        "one Gaussian lump, cut in four",
        GIVES,
        _cut(lambda r: r.standard_normal((N, D)), 4),
    ),
    World(
        "texts cut in three",
        "one lump of texts, cut in three",
        GIVES,
        _cut(lambda r: of_texts(r, 0.5), 3, True),
    ),
    World(
        "square cut in three",
        "a square, evenly filled, cut in three",
        GIVES,
        _cut(lambda r: r.random((N, 2)), 3),
    ),
    World(
        "heavy tails cut in three",
        "one lump with tails of Student's t of three degrees of freedom, cut in three",
        GIVES,
        _cut(lambda r: r.standard_normal((N, D)) / np.sqrt(r.chisquare(3, (N, 1)) / 3), 3),
    ),
    World(
        "found blobs",
        "two clusters four deviations apart, found by clustering",
        GIVES,
        _cut(lambda r: blobs(r, 2, 4.0), 2),
        holds=APART,
    ),
    World(
        "three found blobs",
        "three clusters four deviations apart, found by clustering",
        GIVES,
        _cut(lambda r: blobs(r, 3, 4.0), 3),
        holds=APART,
    ),
)
