"""Spectral modes and clusters on the GPU against the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from workbench.core.errors import DataError
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


@pytest.mark.parametrize("method", ["spectral_clustering", "spectral_embedding"])
def test_walks_agree_with_the_cpu(method: str) -> None:
    from workbench.numerics.walks import walk

    x, y = blobs(3000, 5, 20, 0.6 if method == "spectral_clustering" else 2.0)
    here, there = (walk(x, 6, 9, device=d) for d in ("cpu", "cuda"))
    assert here.pieces == there.pieces
    np.testing.assert_array_equal(here.piece_of, there.piece_of)
    np.testing.assert_allclose(here.values, there.values, atol=1e-5)
    if method == "spectral_clustering":
        assert adjusted_rand_score(here.cluster(5), there.cluster(5)) > 0.98
        assert adjusted_rand_score(y, there.cluster(5)) > 0.98
        return
    bases = [np.linalg.qr(w.modes[:, :5])[0] for w in (here, there)]
    gap = here.values[5] - here.values[4]
    assert np.linalg.svd(bases[0].T @ bases[1], compute_uv=False).min() > 1 - 1e-3 / max(gap, 0.01)


def test_too_many_modes_are_refused_with_what_would_fit() -> None:
    graph = neighbour_graph(k_nearest(blobs(3000, 5, 8, 1.0)[0], 9, recall_rows=0, device="cuda").indices)
    with pytest.raises(DataError, match="would fit"):
        spectral_modes(graph, 20, memory=1 << 20)


@pytest.mark.parametrize("n", [2, 3, 127, 128, 129, 2047, 2048, 2049])
@pytest.mark.parametrize("kind", ["normal", "copies", "equal", "line", "float16"])
def test_degenerate_rows(n: int, kind: str) -> None:
    rng = np.random.default_rng(0)
    x = {
        "normal": rng.normal(size=(n, 6)),
        "copies": np.repeat(rng.normal(size=(n // 3 + 1, 6)), 3, axis=0)[:n],
        "equal": np.ones((n, 2)),
        "line": np.arange(float(n))[:, None],
        "float16": rng.normal(size=(n, 6)).astype(np.float16),
    }[kind]
    found = spectral_clustering(
        x if kind == "float16" else x.astype(np.float32), 2, n_neighbors=min(5, n - 1), device="cuda"
    )
    assert found.labels.shape == (n,)
    assert found.modes.converged
    assert bool(torch.isfinite(found.modes.vectors).all())
