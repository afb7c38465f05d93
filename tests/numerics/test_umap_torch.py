"""The torch layout's plain references against umap-learn, and a layout against what makes it right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from sklearn.datasets import load_digits, make_blobs
from sklearn.manifold import trustworthiness

from workbench.core.errors import DataError, ParameterError
from workbench.numerics import spectral_torch
from workbench.numerics import umap_torch as um
from workbench.numerics.kernels import layout, random
from workbench.numerics.neighbours_torch import k_nearest


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return load_digits().data[:300].astype(np.float32)


def test_peer_umap_learn_has_the_same_graph(digits) -> None:
    from umap.umap_ import fuzzy_simplicial_set

    near = k_nearest(digits, 14, device="cpu")
    own = np.arange(len(digits))[:, None]
    indices = np.hstack([own, near.indices.numpy()])
    distances = np.hstack([np.zeros((len(digits), 1), np.float32), near.distances.numpy()])
    theirs = fuzzy_simplicial_set(digits, 15, None, "euclidean", knn_indices=indices, knn_dists=distances)[0]
    weights, _, _ = um.memberships(near, 15)
    rows, cols, w = um.fuzzy_graph(near.indices, weights)
    ours = coo_matrix((w.numpy(), (rows.numpy(), cols.numpy())), shape=theirs.shape)
    assert abs(ours - theirs).max() < 2e-4


@pytest.mark.parametrize(("spread", "min_dist"), [(1.0, 0.1), (1.0, 0.0), (1.0, 1.0), (2.0, 0.5), (0.5, 0.3)])
def test_peer_umap_learn_has_the_same_curve(spread, min_dist) -> None:
    from umap.umap_ import find_ab_params

    assert np.allclose(um.curve(spread, min_dist), find_ab_params(spread, min_dist), rtol=1e-4)


def test_digits_are_embedded_faithfully(digits) -> None:
    y = um.fit(digits, device="cpu", n_epochs=120).embedding.numpy()
    assert trustworthiness(digits, y, n_neighbors=10) > 0.94


def test_known_answer_planted_clusters_stay_apart_and_new_rows_join_theirs() -> None:
    x, label = make_blobs(250, 10, centers=4, random_state=0)
    fitted = um.fit(x[:200], device="cpu", n_epochs=60)
    y = fitted.embedding.numpy()
    centres = np.stack([y[label[:200] == c].mean(0) for c in range(4)])
    for positions, truth in ((y, label[:200]), (um.transform(fitted, x[200:]).numpy(), label[200:])):
        assert (np.linalg.norm(positions[:, None] - centres, axis=2).argmin(1) == truth).all()


def test_a_seed_gives_the_same_bits(digits) -> None:
    a, b, c = (um.fit(digits[:200], device="cpu", random_state=s, n_epochs=30).embedding for s in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_chunks_hold_the_matrix() -> None:
    rng = np.random.default_rng(0)
    dense = torch.from_numpy(rng.random((50, 50)) * (rng.random((50, 50)) < 0.5)).float()
    dense[7] = 0
    dense[8] = 1
    rows, cols = dense.nonzero(as_tuple=True)
    chunks = layout.chunk(rows, cols, dense[rows, cols], 50)
    x = torch.from_numpy(rng.normal(size=(50, 3))).float()
    assert torch.allclose(layout.apply_reference(chunks, x), dense @ x, atol=1e-5)
    assert torch.allclose(layout.row_sums(chunks), dense.sum(1), atol=1e-5)


def test_a_step_pulls_neighbours_together_and_pushes_others_apart() -> None:
    y = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    pair = layout.chunk(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.ones(2), 2)
    nothing, some = torch.zeros(2), torch.ones(2)
    moved = layout.step_reference(y, y, pair, nothing, 1.58, 0.9, 0.1, 8, 0, 0)
    assert (moved[1] - moved[0]).norm() < 3
    alone = pair._replace(weights=torch.zeros_like(pair.weights))
    moved = layout.step_reference(y, y, alone, some, 1.58, 0.9, 0.1, 8, 0, 0)
    assert (moved[1] - moved[0]).norm() > 3


def test_draws_are_uniform_and_differ_between_rows_steps_and_seeds() -> None:
    draws = random.draw_rows(4000, 10, 16, step=3, seed=5)
    counts = torch.bincount(draws.flatten(), minlength=10)
    assert ((counts - 6400).abs() < 5 * 6400**0.5).all()
    for other in (
        random.draw_rows(4000, 10, 16, 4, 5),
        random.draw_rows(4000, 10, 16, 3, 6),
        draws.roll(1, 0),
    ):
        assert (draws == other).float().mean() == pytest.approx(0.1, abs=0.01)


def test_the_start_of_a_graph_in_pieces_keeps_the_pieces_apart() -> None:
    x, label = make_blobs(600, 5, centers=3, cluster_std=0.5, random_state=1)
    near = k_nearest(x, 14, device="cpu")
    weights, _, _ = um.memberships(near, 15)
    graph = layout.chunk(*um.fuzzy_graph(near.indices, weights), 600)
    y = spectral_torch.spectral_layout(graph, torch.from_numpy(x).float(), 2, 0).numpy()
    centres = np.stack([y[label == c].mean(0) for c in range(3)])
    assert (np.linalg.norm(y[:, None] - centres, axis=2).argmin(1) == label).mean() > 0.99


@pytest.mark.parametrize("n", [3, 4, 16, 17])
def test_degenerate_rows_are_finite(n) -> None:
    rng = np.random.default_rng(n)
    for x in (np.ones((n, 3)), rng.normal(size=(n, 1)), rng.normal(size=(n, 2)).astype(np.float16)):
        for init in ("spectral", "pca", "random"):
            assert torch.isfinite(um.fit(x, device="cpu", init=init, n_epochs=20).embedding).all()


def test_refusals_say_what_is_legal(digits) -> None:
    for arguments, text in [
        ({"n_neighbors": 1}, "at least 2"),
        ({"n_components": 0}, "between 1"),
        ({"min_dist": 2.0}, "spread"),
        ({"init": "best"}, "spectral"),
        ({"init": np.zeros((4, 2))}, "shape"),
    ]:
        with pytest.raises(ParameterError, match=text):
            um.fit(digits[:50], device="cpu", **arguments)
    with pytest.raises(DataError, match="at least 3"):
        um.fit(digits[:2], device="cpu")
