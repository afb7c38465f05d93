"""Spectral modes and clusters on the GPU against the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from workbench.numerics.linalg_torch import randomized_svd
from workbench.numerics.neighbours_torch import k_nearest
from workbench.numerics.spectral_clustering import Graph, neighbour_graph, spectral_clustering, spectral_modes

pytestmark = pytest.mark.gpu
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)


def blobs(n: int, k: int, d: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, n)
    return (rng.normal(size=(k, d))[y] + spread * rng.normal(size=(n, d))).astype(np.float32), y


@pytest.mark.parametrize(("n", "k", "spread"), [(3000, 6, 0.8), (2000, 5, 0.05)])
def test_modes_equal_the_cpu(n: int, k: int, spread: float) -> None:
    graph = neighbour_graph(k_nearest(blobs(n, k, 10, spread)[0], 15, recall_rows=0, device="cuda").indices)
    there = spectral_modes(graph, k, tol=1e-5)
    here = spectral_modes(Graph(graph.starts.cpu(), graph.columns.cpu(), graph.weights.cpu()), k, tol=1e-5)
    assert there.converged
    assert here.converged
    assert there.pieces == here.pieces
    np.testing.assert_allclose(there.values.cpu(), here.values, atol=2e-5)


def test_known_answer_planted_clusters() -> None:
    x, y = blobs(20_000, 20, 64, 0.7)
    found = spectral_clustering(x, device="cuda")
    assert found.n_clusters == 20
    assert adjusted_rand_score(y, found.labels.cpu().numpy()) > 0.99


def test_same_seed_same_labels() -> None:
    x, _ = blobs(4000, 4, 5, 1.0)
    a, b = (spectral_clustering(x, 4, device="cuda", random_state=3) for _ in range(2))
    assert torch.equal(a.labels, b.labels)


def test_randomized_svd_equals_the_cpu() -> None:
    a = torch.from_numpy(np.random.default_rng(0).normal(size=(2000, 50)) * 0.8 ** np.arange(50)).float()
    there, here = randomized_svd(a.cuda(), 6), randomized_svd(a, 6)
    torch.testing.assert_close(there[1].cpu(), here[1], rtol=1e-4, atol=1e-4)
