"""Clusters of a graph's modes, and the numbers that are asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.numerics.distances import PRECOMPUTED, Affinity, among
from workbench.numerics.laplacian import eigengap, neighbour_graph, slowest_values
from workbench.numerics.neighbours import k_nearest
from workbench.numerics.walks import Walk, walk

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.sparse import csr_array

SILHOUETTE_ROWS = 2000  # beyond so many, silhouettes are those of a sample
UNTESTED = {
    "nearest_neighbors": "",
    "precomputed": "affinities without rows can't be set beside a lump like them",
    "precomputed_nearest_neighbors": "distances without rows can't be set beside a lump like them",
}


class Recipe(NamedTuple):
    """Everything that makes clusters of rows; see `spectral_clustering` for what each is."""

    n_clusters: int | None
    max_clusters: int
    n_neighbors: int
    affinity: Affinity
    random_state: int

    @property
    def untested(self) -> str:
        """Why there is no null, if there is none."""
        return UNTESTED[self.affinity]

    @property
    def least(self) -> int:
        """No graph has fewer rows, or as many."""
        parts = self.n_clusters or 2
        return parts if self.affinity == PRECOMPUTED else max(self.n_neighbors, parts)


class Found(NamedTuple):
    """Clusters, and the walk whose modes they are of. ``asked``: how many there were to be."""

    labels: Int[np.ndarray, " n"]
    walk: Walk
    asked: int

    @property
    def spectrum(self) -> Float[np.ndarray, " m"]:
        return self.walk.values


def cluster(x: np.ndarray, recipe: Recipe, device: str) -> Found:
    """Cluster rows, distances or affinities."""
    found = _walk(x, max(recipe.max_clusters, recipe.n_clusters or 0) + 2, recipe, device)
    k = recipe.n_clusters or eigengap(found.values[: recipe.max_clusters + 2])
    return Found(largest_first(found.cluster(k, recipe.random_state)), found, k)


def _walk(x: np.ndarray, size: int, recipe: Recipe, device: str = "cpu") -> Walk:
    return walk(
        x,
        min(size, len(x)),
        recipe.n_neighbors - 1,
        affinity=recipe.affinity,
        device=device,
        random_state=recipe.random_state,
    )


def statistics(
    x: np.ndarray, found: Found, recipe: Recipe, near: Float[np.ndarray, " m"] | None = None
) -> Float[np.ndarray, " 3"]:
    """The least cut, the cut that was made, and the silhouette, of silhouettes ``near`` where those are known."""
    cut = cut_per_cluster(found.walk.graph, found.labels)
    near = silhouettes(x, found.labels, recipe) if near is None else near
    return np.array([least_cut(found.spectrum, recipe.n_clusters or 2), cut, near.mean()])


def least_cut_of(x: np.ndarray, recipe: Recipe) -> float:
    """The least cut of a few hundred rows, without their clusters."""
    parts = recipe.n_clusters or 2
    if recipe.affinity != "nearest_neighbors":
        return least_cut(_walk(x, parts, recipe).values, parts)
    return least_cut(slowest_values(neighbour_graph(k_nearest(x, recipe.n_neighbors - 1)[0]), parts), parts)


def least_cut(spectrum: Float[np.ndarray, " m"], k: int) -> float:
    """Mean of the ``k`` smallest eigenvalues: a lower bound on the normalized cut per cluster into ``k``."""
    return round(float(spectrum[:k].mean()), 9)


def cut_per_cluster(graph: csr_array, labels: Int[np.ndarray, " n"]) -> float:
    """Mean over clusters of the share of a cluster's edge weight that leaves it."""
    edges = graph.tocoo()
    leaving = labels[edges.row] != labels[edges.col]
    volume = np.bincount(labels[edges.row], edges.data)
    cut = np.bincount(labels[edges.row], edges.data * leaving)
    held = volume > 0
    return float((cut[held] / volume[held]).mean()) if held.any() else 0.0


def largest_first(labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Number groups from the largest, and among equals from the one that comes first."""
    _, first, inverse, counts = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    place = np.empty(len(first), np.int64)
    place[np.lexsort((first, -counts))] = np.arange(len(first))
    return place[inverse]


def silhouettes(x: np.ndarray, labels: np.ndarray, recipe: Recipe) -> Float[np.ndarray, " m"]:
    """Silhouettes of all rows, or of a sample of so many."""
    from sklearn.metrics import silhouette_samples

    rows = np.arange(len(x))
    if len(x) > SILHOUETTE_ROWS:
        rng = np.random.default_rng([recipe.random_state, 0x73696C])
        rows = np.sort(rng.choice(len(x), SILHOUETTE_ROWS, replace=False))
    if recipe.affinity == PRECOMPUTED or not 2 <= len(np.unique(labels[rows])) < len(rows):
        return np.zeros(len(rows))  # as scikit-learn gives a row that is alone in its group
    metric = PRECOMPUTED if recipe.untested else "euclidean"
    return np.asarray(silhouette_samples(among(x, rows, metric), labels[rows], metric=metric))
