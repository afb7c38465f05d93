"""The torch layout's plain references against umap-learn, and a layout against what makes it right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from sklearn.datasets import load_digits, make_blobs
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from workbench.core.errors import DataError, ParameterError
from workbench.numerics import spectral_torch
from workbench.numerics import umap_torch as um
from workbench.numerics.compiling import import_umap
from workbench.numerics.kernels import chunked, layout, random
from workbench.numerics.neighbours_torch import k_nearest
from workbench.numerics.rows_torch import Rows


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return load_digits().data[:300].astype(np.float32)


@pytest.mark.slow
def test_peer_umap_learn_has_the_same_graph(digits) -> None:
    fuzzy_simplicial_set = import_umap().umap_.fuzzy_simplicial_set

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
    find_ab_params = import_umap().umap_.find_ab_params
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


def test_a_hub_of_hundreds_of_neighbours_stays_in_the_layout() -> None:
    rows = torch.randn((1000, 60), generator=torch.Generator().manual_seed(0))
    rows[:4] *= 0.5  # nearer to every row than the rows are to each other
    fitted = um.fit(rows, random_state=0, device="cpu")
    assert chunked.row_sums(fitted.graph)[:4].min() > 200
    out = (fitted.embedding - fitted.embedding.median(0).values).norm(dim=1)
    assert out.max() < 1.5 * out.quantile(0.99)


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
    chunks = chunked.chunk(rows, cols, dense[rows, cols], 50)
    x = torch.from_numpy(rng.normal(size=(50, 3))).float()
    assert torch.allclose(chunked.apply_reference(chunks, x), dense @ x, atol=1e-5)
    assert torch.allclose(chunked.row_sums(chunks), dense.sum(1), atol=1e-5)


def test_a_step_pulls_neighbours_together_and_pushes_others_apart() -> None:
    y = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    pair = chunked.chunk(torch.tensor([0, 1]), torch.tensor([1, 0]), torch.ones(2), 2)
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
    graph = chunked.chunk(*um.fuzzy_graph(near.indices, weights), 600)
    y = spectral_torch.spectral_layout(
        graph, Rows(torch.from_numpy(x), "euclidean", torch.device("cpu")), 2, 0
    ).numpy()
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


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_the_step_for_processors_equals_the_plain_one(dim) -> None:
    rng = np.random.default_rng(dim)
    head = torch.from_numpy(np.sort(rng.integers(0, 90, 700)))
    graph = chunked.chunk(head, torch.from_numpy(rng.integers(0, 90, 700)), torch.rand(700), 90)
    y = torch.from_numpy(rng.normal(size=(90, dim))).float()
    y[5] = y[6]
    repel = chunked.row_sums(graph) / 16
    for there in (y, y.clone()):
        wanted = layout.step_reference(y, there, graph, repel, 1.58, 0.9, 0.1, 16, 2, 7)
        assert torch.allclose(
            layout.step(y, there, graph, repel, 1.58, 0.9, 0.1, 16, 2, 7), wanted, atol=1e-5
        )


def test_a_new_rows_place_depends_on_no_company_and_a_known_row_keeps_its_own(digits) -> None:
    for metric in ("euclidean", "cosine"):
        fitted = um.fit(digits[:200], device="cpu", n_epochs=60, metric=metric)
        whole = um.transform(fitted, digits[200:260])
        alone = torch.cat([um.transform(fitted, digits[i : i + 1]) for i in range(200, 260)])
        assert torch.allclose(whole, alone, atol=1e-6)
        assert torch.equal(um.transform(fitted, digits[50:90]), fitted.embedding[50:90])


def test_labels_part_what_the_rows_leave_together_and_minus_one_is_no_label(digits) -> None:
    from sklearn.metrics import silhouette_score

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 8)).astype(np.float32)
    label = (x[:, 0] > 0).astype(int)
    plain = um.fit(x, device="cpu", n_epochs=100).embedding.numpy()
    steered = um.fit(x, y=label, device="cpu", n_epochs=100).embedding.numpy()
    assert silhouette_score(steered, label) > silhouette_score(plain, label) + 0.2
    unknown = um.fit(x, y=np.full(300, -1), device="cpu", n_epochs=100).embedding.numpy()
    assert abs(silhouette_score(unknown, label) - silhouette_score(plain, label)) < 0.15
    number = um.fit(x, y=x[:, 0], target_metric="euclidean", device="cpu", n_epochs=100).embedding.numpy()
    near = np.abs(number[:, None] - number[None]).sum(2).argsort(1)[:, 1:11]
    assert np.abs(x[near, 0] - x[:, :1]).mean() < 0.6 * np.abs(x[:, None, 0] - x[None, :, 0]).mean()
    with pytest.raises(ParameterError, match="target_weight"):
        um.fit(x, y=label, target_weight=2, device="cpu")
    with pytest.raises(DataError, match="300 rows and 5 targets"):
        um.fit(x, y=label[:5], device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["categorical", "euclidean"])
def test_peer_umap_learn_has_the_same_steered_graph(digits, metric) -> None:
    umap = import_umap()
    target = load_digits().target[:300] if metric == "categorical" else digits @ np.linspace(0, 1, 64)
    theirs = umap.UMAP(
        n_neighbors=15, target_metric=metric, target_weight=0.4, n_epochs=0, random_state=0, n_jobs=1
    ).fit(digits, target.astype(float))
    near = k_nearest(digits, 14, device="cpu")
    graph = um._steered(
        um.fuzzy_graph(near.indices, um.memberships(near, 15)[0]),
        target,
        metric,
        0.4,
        15,
        300,
        torch.device("cpu"),
        0,
    )
    mine = coo_matrix((graph[2].numpy(), (graph[0].numpy(), graph[1].numpy())), shape=(300, 300)).tocsr()
    difference = abs(mine - theirs.graph_)
    assert difference.mean() < 0.02 * theirs.graph_.mean()


def exact_neighbours(x: np.ndarray, k: int, *asked, **options):
    """In place of umap-learn's own approximate ones, with which it looks at its layout: a minute of compiling."""
    distances, indices = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(x)
    return indices, distances, None


@pytest.mark.slow
def test_densmap_keeps_densities_as_umap_learn_does(monkeypatch) -> None:
    umap = import_umap()
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(120, 6)) * s + 12 * i for i, s in enumerate((0.3, 1.0, 3.0))])
    x = x.astype(np.float32)

    def kept(radii) -> float:
        return float(np.corrcoef(radii[0], radii[1])[0, 1])

    plain = um.fit(x, densmap=True, dens_lambda=0.0, device="cpu", n_neighbors=20)
    dense = um.fit(x, densmap=True, device="cpu", n_neighbors=20)
    monkeypatch.setattr(umap.umap_, "nearest_neighbors", exact_neighbours)
    _, data, laid = umap.UMAP(
        n_neighbors=20, densmap=True, output_dens=True, random_state=0, n_jobs=1
    ).fit_transform(x)
    assert kept(dense.radii) > kept(plain.radii) + 0.2
    assert kept(dense.radii) > kept((data, laid)) - 0.05
    assert np.corrcoef(dense.radii[0], data)[0, 1] > 0.99


def test_places_go_back_to_rows_like_those_laid_out_there(digits) -> None:
    umap = import_umap()
    fitted = um.fit(digits, device="cpu")
    places = fitted.embedding[::10]
    error = np.square(um.inverse_transform(fitted, places).numpy() - digits[::10]).mean()
    model = umap.UMAP(random_state=0, n_jobs=1).fit(digits)
    theirs = np.square(model.inverse_transform(model.embedding_[::10]) - digits[::10]).mean()
    assert error < 1.1 * theirs
    assert error < 0.5 * digits.var(0).mean()
