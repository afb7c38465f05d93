"""Spectral modes and clusters against dense eigenvectors and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

from workbench.core.errors import DataError, ParameterError
from workbench.numerics import linalg_torch
from workbench.numerics import spectral_clustering as spectral
from workbench.numerics.neighbours_torch import k_nearest
from workbench.numerics.spectral_clustering import (
    Graph,
    connected_pieces,
    neighbour_graph,
    normalized_cut,
    spectral_clustering,
    spectral_modes,
    widest_gap,
)


def blobs(n: int, k: int, d: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    return (rng.normal(size=(k, d))[y] + spread * rng.normal(size=(n, d))).astype(np.float32), y


def graph_of(x: np.ndarray, k: int = 15) -> Graph:
    return neighbour_graph(k_nearest(x, k, device="cpu", recall_rows=0).indices)


def matrix(graph: Graph) -> csr_array:
    columns, starts = graph.columns.numpy().astype(np.int32), graph.starts.numpy().astype(np.int32)
    return csr_array((graph.weights.numpy(), columns, starts), shape=(graph.n, graph.n))


def test_graph_is_symmetric_and_counts_both_namings() -> None:
    a = matrix(neighbour_graph(torch.tensor([[1, 2], [0, 2], [3, 0], [2, 1]]))).toarray()
    np.testing.assert_array_equal(a, [[0, 1, 1, 0], [1, 0, 0.5, 0.5], [1, 0.5, 0, 1], [0, 0.5, 1, 0]])


@pytest.mark.parametrize(("n", "k", "spread"), [(400, 3, 0.5), (500, 5, 0.1), (300, 4, 3.0)])
def test_peer_dense_eigenvectors(n: int, k: int, spread: float) -> None:
    graph = graph_of(blobs(n, k, 4, spread)[0])
    a = matrix(graph).toarray()
    root = np.sqrt(a.sum(1))
    laplacian = np.eye(n) - a / np.outer(root, root)
    modes = spectral_modes(graph, k, tol=1e-5)
    assert modes.converged
    assert modes.residual <= 1e-5
    np.testing.assert_allclose(modes.values, np.linalg.eigvalsh(laplacian)[:k], atol=1e-6)
    v = modes.vectors.double().numpy()
    np.testing.assert_allclose(v.T @ v, np.eye(k), atol=1e-5)
    np.testing.assert_allclose(laplacian @ v, v * modes.values.numpy(), atol=2e-5)
    assert modes.pieces == connected_components(matrix(graph), directed=False)[0]


def test_known_answer_planted_clusters() -> None:
    x, y = blobs(900, 6, 30, 0.6)
    found = spectral_clustering(x, device="cpu")
    assert found.n_clusters == 6
    assert adjusted_rand_score(y, found.labels.numpy()) > 0.99


def test_known_answer_circle() -> None:
    """The modes of a ring are its sines and cosines: eigenvalues come in pairs of 1 - cos(2πj / n)."""
    n = 200
    at = torch.arange(n)
    ring = neighbour_graph(torch.stack([(at + 1) % n, (at - 1) % n], 1))
    modes = spectral_modes(ring, 5, tol=1e-6)
    expected = 1 - np.cos(2 * np.pi * np.array([0, 1, 1, 2, 2]) / n)
    np.testing.assert_allclose(modes.values, expected, atol=2e-6)


def test_moves_end_where_no_single_move_lowers_the_cut() -> None:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32))
    graph = spectral.neighbour_graph(k_nearest(x, 5, recall_rows=0, device=torch.device("cpu")).indices)
    start = torch.from_numpy(np.random.default_rng(1).integers(0, 3, 60))
    before = spectral.normalized_cut(graph, start, 3)
    labels, cut = spectral._moved(graph, start, before, 3)
    assert cut < 0.7 * before
    assert cut == pytest.approx(spectral.normalized_cut(graph, labels, 3))
    for row in range(60):
        for to in range(3):
            moved = labels.clone()
            moved[row] = to
            assert spectral.normalized_cut(graph, moved, 3) > cut - 1e-5


def test_small_clusters_beside_a_large_one_are_cut_off() -> None:
    """Rows of unit length hide small clusters among the large one's modes; the walk's own don't."""
    rng = np.random.default_rng(3)
    small = [rng.standard_normal((30, 8)) * 0.05 + 4 * rng.standard_normal(8) for _ in range(6)]
    bridges = [np.linspace(0, 1, 12)[:, None] * part.mean(0) for part in small]
    x = np.concatenate([rng.standard_normal((2000, 8)), *small, *bridges]).astype(np.float32)
    found = spectral.spectral_clustering(x, 7, n_neighbors=10, device="cpu")
    sizes = torch.bincount(found.labels, minlength=7).sort().values
    assert sizes[-1] > 1900
    assert found.normalized_cut < 0.2


def test_peer_scikit_learn_cuts_no_better() -> None:
    graph = graph_of(blobs(1200, 8, 10, 0.8)[0])
    peer = SpectralClustering(8, affinity="precomputed", assign_labels="kmeans", random_state=0)
    theirs = torch.from_numpy(peer.fit_predict(matrix(graph))).long()
    ours = spectral_clustering(graph, 8)
    assert ours.normalized_cut <= normalized_cut(graph, theirs, 8) * 1.005
    assert ours.normalized_cut == pytest.approx(normalized_cut(graph, ours.labels, 8))


@pytest.mark.parametrize("k", [2, 5, 8])
def test_pieces_are_found_and_become_clusters(k: int) -> None:
    x, y = blobs(500, 5, 20, 0.05)
    found = spectral_clustering(x, k, device="cpu")
    assert found.modes.pieces == 5
    np.testing.assert_allclose(found.modes.values[: min(k, 5)], 0, atol=1e-7)
    if k <= 5:
        assert found.normalized_cut == 0
    for piece in range(5):  # no piece is torn where there are clusters enough
        assert len(np.unique(found.labels.numpy()[y == piece])) == 1 or k > 5
    count, piece_of = connected_pieces(graph_of(x))
    assert count == 5
    assert bool((torch.bincount(piece_of).diff() <= 0).all())


@pytest.mark.parametrize(
    "x",
    [
        np.ones((40, 3)),
        np.repeat(np.eye(3), 20, axis=0),
        np.arange(30.0)[:, None],
        np.ones((7, 1)),
        np.arange(2049.0)[:, None],
        np.repeat(np.arange(700.0), 3)[:, None],
        blobs(2047, 3, 4, 0.3)[0].astype(np.float16),
    ],
)
def test_degenerate_rows(x: np.ndarray) -> None:
    found = spectral_clustering(
        x if x.dtype == np.float16 else x.astype(np.float32), 2, n_neighbors=5, device="cpu"
    )
    assert found.labels.shape == (len(x),)
    assert found.modes.converged
    assert np.isfinite(found.normalized_cut)
    assert bool(torch.isfinite(found.modes.vectors).all())


def test_same_seed_same_labels() -> None:
    x, _ = blobs(300, 4, 5, 1.0)
    a, b = (spectral_clustering(x, 4, device="cpu", random_state=3) for _ in range(2))
    assert torch.equal(a.labels, b.labels)
    assert torch.equal(a.modes.vectors, b.modes.vectors)


def test_refusals() -> None:
    x, _ = blobs(50, 2, 3, 1.0)
    with pytest.raises(ParameterError, match="1 rows"):
        spectral_clustering(x[:1], 1, device="cpu")
    with pytest.raises(DataError, match="would fit"):
        spectral_modes(graph_of(x), 3, memory=1000)
    with pytest.raises(ParameterError, match="n_clusters"):
        spectral_clustering(x, 51, device="cpu")
    with pytest.raises(ParameterError, match="k=0"):
        spectral_modes(graph_of(x), 0)
    lonely = Graph(torch.tensor([0, 1, 2, 2]), torch.tensor([1, 0]), torch.ones(2))
    with pytest.raises(DataError, match="no edge"):
        spectral_modes(lonely, 1)


def test_widest_gap_leaves_at_least_two() -> None:
    assert widest_gap(torch.tensor([0.0, 0.5, 0.52, 0.9, 0.91])) == 3
    assert widest_gap(torch.tensor([0.0])) == 1


def test_randomized_svd_peer_torch() -> None:
    rng = np.random.default_rng(0)
    a = torch.from_numpy(rng.normal(size=(200, 30)) * 0.8 ** np.arange(30)).float()
    u, s, vt = linalg_torch.randomized_svd(a, 6)
    np.testing.assert_allclose(s, torch.linalg.svdvals(a)[:6], rtol=1e-4)
    best = torch.linalg.svd(a, full_matrices=False)
    rank6 = best.U[:, :6] * best.S[:6] @ best.Vh[:6]
    np.testing.assert_allclose((u * s) @ vt, rank6, atol=2e-3 * float(best.S[0]))
    with pytest.raises(ParameterError, match="k=31"):
        linalg_torch.randomized_svd(a, 31)


def test_lanczos_peer_dense() -> None:
    rng = np.random.default_rng(0)
    half = torch.from_numpy(rng.normal(size=(120, 120)))
    a = half @ half.T
    values, vectors, residual = linalg_torch.lanczos(
        lambda v: a @ v, torch.ones(120, dtype=torch.float64), 60
    )
    np.testing.assert_allclose(values[-3:], torch.linalg.eigvalsh(a)[-3:], rtol=1e-9)
    np.testing.assert_allclose(a @ vectors[:, -1], values[-1] * vectors[:, -1], atol=1e-6)
    assert residual[-1] < 1e-6
    values, _, _ = linalg_torch.lanczos(lambda v: 2 * v, torch.ones(5), 5)
    np.testing.assert_allclose(values, [2.0])
