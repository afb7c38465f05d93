"""Rows that are not one lump: clusters and a bent sheet; and lumps that are cut in a given number of clusters all the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.calibrating.world import World
from workbench.calibrating.worlds.rows import LENGTH, POINTS, TEXTS, D, N, cloud, of_texts
from workbench.subjects.points import PointCloud

CLUSTERING = ("spectral_clustering",)
LAYOUTS = ("umap", "tsne", "isomap", "spectral_embedding")
GIVEN = {"spectral_clustering": {"n_clusters": 3}}


def blobs(rng: np.random.Generator, clusters: int, separation: float, n: int = N, d: int = D) -> np.ndarray:
    """Gaussian clusters of one size; each centre lies at a distance of ``separation`` from one before and from all at least so far."""
    centres = np.zeros((1, d))
    while len(centres) < clusters:
        step = rng.standard_normal(d)
        centre = centres[rng.integers(len(centres))] + separation * step / np.linalg.norm(step)
        if np.linalg.norm(centres - centre, axis=1).min() >= 0.999 * separation:
            centres = np.vstack([centres, centre])
    return np.asarray(centres[rng.permutation(np.arange(n) % clusters)] + rng.standard_normal((n, d)))


def _blobs(clusters: int, separation: float) -> Any:
    return lambda rng: cloud(blobs(rng, clusters, separation))


def _blobs_of_texts(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    """Clusters of which every text has rows: what texts share doesn't make them."""
    return cloud(
        blobs(rng, 2, 4.0) + np.sqrt(0.25) * of_texts(rng, 0.99), text_id=np.repeat(np.arange(TEXTS), LENGTH)
    )


def _bent_sheet(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    """Two circles, one beside the other, in noise: a sheet that closes on itself in four of six columns."""
    angles = rng.uniform(0, 2 * np.pi, (N, 2))
    sheet = np.hstack([np.cos(angles), np.sin(angles), np.zeros((N, D - 4))])
    return cloud(sheet + 0.3 * rng.standard_normal((N, D)))


def _lump(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    return cloud(rng.standard_normal((N, D)))


def _even_lump(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    return cloud(rng.random((N, 2)))


def _lump_of_texts(rng: np.random.Generator) -> tuple[PointCloud, ...]:
    return cloud(of_texts(rng, 0.5), text_id=np.repeat(np.arange(TEXTS), LENGTH))


ANY = {"spectral_clustering": ("least_cut",)}
ALL = {"spectral_clustering": ("least_cut", "cut_per_cluster", "silhouette")}
WORLDS = (
    World(
        "iid in three",
        "one Gaussian lump, cut in three",
        POINTS,
        _lump,
        only=CLUSTERING,
        parameters=GIVEN,
        covers=True,
    ),
    World(
        "square in three",
        "a square, evenly filled, cut in three",
        POINTS,
        _even_lump,
        only=CLUSTERING,
        parameters=GIVEN,
    ),
    World(
        "texts in three",
        "one lump of texts, cut in three",
        POINTS,
        _lump_of_texts,
        only=CLUSTERING,
        parameters=GIVEN,
    ),
    World("two blobs", "two clusters four deviations apart", POINTS, _blobs(2, 4.0), holds=ANY, covers=True),
    World(
        "blobs of texts",
        "two clusters that all texts have rows of",
        POINTS,
        _blobs_of_texts,
        holds=ANY,
        covers=True,
    ),
    World(
        "three blobs",
        "three clusters four deviations apart",
        POINTS,
        _blobs(3, 4.0),
        holds=ALL,
        parameters=GIVEN,
        covers=True,
    ),
    World(
        "bent sheet",
        "a sheet that closes on itself, in noise",
        POINTS,
        _bent_sheet,
        holds={
            "intrinsic_dimension": ("intrinsic_dimension",),
            **dict.fromkeys(LAYOUTS, ("beyond_one_lump",)),
        },
        covers=True,
    ),
)
