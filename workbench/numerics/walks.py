"""The walk on rows' neighbour graph, its slowest modes and clusters: one answer on every device.

On a CPU scikit-learn and scipy find them, on a GPU our primitives in torch; what follows is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.device import resolve
from workbench.numerics.laplacian import affinity_graph, neighbour_graph, pieces_of, slowest_modes
from workbench.numerics.neighbours import AnyMetric, k_nearest
from workbench.numerics.small_k_means import k_means

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Real
    from scipy.sparse import csr_array

    from workbench.numerics.distances import Affinity
    from workbench.numerics.spectral_clustering import Graph

RESTARTS: Any = 10  # as in scikit-learn's spectral clustering; its k-means declares the type of 'auto' alone
FEW = 1000  # rows, up to which all restarts of k-means are sooner made together
TOLERANCE = 1e-4  # residual of a mode on a GPU: an eigenvalue's error is of the order of its square


@dataclass(frozen=True)
class Walk:
    """A neighbour graph and the slowest modes of the walk on it.

    Attributes
    ----------
    graph : (n, n) symmetric weights; of a neighbour graph 1 where both rows name each other, a half where one does.
    values : (k,) smallest eigenvalues of the normalized Laplacian, ascending; 0 once for every piece.
    modes : (n, k) right eigenvectors of the walk.
    pieces, piece_of : connected pieces, and that of every row, 0 the largest.
    on_device : the graph and its unit eigenvectors in torch, where they were found there.
    """

    graph: csr_array
    values: Float[np.ndarray, " k"]
    modes: Float[np.ndarray, "n k"]
    pieces: int
    piece_of: Int[np.ndarray, " n"]
    on_device: Any = None

    def cluster(self, k: int, random_state: int = 0) -> Int[np.ndarray, " n"]:
        """Return labels of ``k`` clusters of the leading modes.

        Pieces are clusters first, the largest by themselves; where there are more than ``k``, the last cluster
        holds those that are left.
        """
        if self.pieces >= k:
            return np.minimum(self.piece_of, k - 1)
        if self.on_device is not None:
            from workbench.numerics.spectral_clustering import best_labels

            graph, vectors = self.on_device
            return best_labels(graph, vectors[:, :k], random_state)[0].cpu().numpy()
        leading = self.modes[:, :k]
        # rows nearer than single precision tells apart are one point: of no more points than clusters each is one
        alike = np.round(leading / np.abs(leading).max(initial=np.finfo(np.float64).tiny), 7)
        points, point_of = np.unique(alike, axis=0, return_inverse=True)
        if len(points) <= k:
            return point_of
        if len(leading) <= FEW:
            return k_means(leading, k, RESTARTS, random_state)
        from sklearn.cluster import KMeans

        return KMeans(k, n_init=RESTARTS, random_state=random_state).fit_predict(leading)


def walk(
    x: Real[np.ndarray, "n d"],
    k: int,
    n_neighbors: int,
    *,
    affinity: Affinity = "nearest_neighbors",
    device: str = "cpu",
    random_state: int = 0,
) -> Walk:
    """Return the ``k`` slowest modes of the walk on the graph of each row's ``n_neighbors`` others.

    Parameters
    ----------
    k : at most n. n_neighbors : less than n, the row itself not included; not read where ``affinity`` is "precomputed".
    affinity : "precomputed_nearest_neighbors" for ``x`` (n, n) distances, "precomputed" for (n, n) affinities with zeros
        on the diagonal, which are the graph's weights.
    device : "cpu" for the libraries, "cuda" for our primitives.
    """
    device = resolve(device)
    if device != "cpu":
        return walk_in_torch(x, k, n_neighbors, device, random_state, affinity)
    graph = _graph(x, n_neighbors, affinity)
    return Walk(graph, *slowest_modes(graph, k, random_state), pieces_of(graph)[1])


def _graph(x: np.ndarray, n_neighbors: int, affinity: Affinity) -> csr_array:
    if affinity == "precomputed":
        return affinity_graph(x)
    metric: AnyMetric = "euclidean" if affinity == "nearest_neighbors" else "precomputed"
    return neighbour_graph(k_nearest(x, n_neighbors, metric)[0])


def walk_in_torch(
    x: np.ndarray,
    k: int,
    n_neighbors: int,
    device: str,
    random_state: int,
    affinity: Affinity = "nearest_neighbors",
) -> Walk:
    """Return what `walk` does by our primitives, whatever the device; of given matrices the graph comes from the CPU."""
    from scipy.sparse import csr_array

    from workbench.numerics import spectral_clustering as spectral
    from workbench.numerics.neighbours_torch import k_nearest as search

    if affinity == "nearest_neighbors":
        near = search(x, n_neighbors, recall_rows=0, device=device, random_state=random_state)
        graph = spectral.neighbour_graph(near.indices)
    else:
        graph = _in_torch(_graph(x, n_neighbors, affinity), device)
    found = spectral.spectral_modes(graph, k, tol=TOLERANCE, random_state=random_state)
    modes = (found.vectors / graph.degrees.sqrt()[:, None]).double().cpu().numpy()
    entries = (a.cpu().numpy() for a in (graph.weights.double(), graph.columns.int(), graph.starts.int()))
    return Walk(
        csr_array(tuple(entries), shape=(graph.n, graph.n)),
        found.values.double().cpu().numpy(),
        modes,
        found.pieces,
        found.piece_of.cpu().numpy(),
        (graph, found.vectors),
    )


def _in_torch(graph: csr_array, device: str) -> Graph:
    import torch

    from workbench.numerics import spectral_clustering as spectral

    graph.sort_indices()
    starts, columns = (torch.from_numpy(a.astype(np.int64)) for a in (graph.indptr, graph.indices))
    weights = torch.from_numpy(graph.data.astype(np.float32))
    return spectral.Graph(starts.to(device), columns.to(device), weights.to(device))
