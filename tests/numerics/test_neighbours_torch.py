"""The plain torch references of the searches, against scikit-learn; tests/gpu holds the kernels to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from workbench.core.errors import DataError, ParameterError
from workbench.numerics import neighbours_torch as nt
from workbench.numerics.device import choose
from workbench.numerics.kernels import knn


def rows(n: int, d: int, clusters: int = 12) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(0, 2, (clusters, d))[rng.integers(0, clusters, n)] + rng.normal(0, 1, (n, d))).astype(
        np.float32
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation"])
@pytest.mark.parametrize("d", [3, 40])
def test_peer_scikit_learn_finds_the_same(metric, d) -> None:
    x = rows(700, d)
    found = nt.k_nearest(x, 10, metric, device="cpu")
    distances, indices = (
        NearestNeighbors(n_neighbors=11, metric=metric, algorithm="brute").fit(x.astype(float)).kneighbors(x)
    )
    assert np.allclose(found.distances, distances[:, 1:], atol=2e-6, rtol=1e-5)
    assert (found.indices.numpy() == indices[:, 1:]).mean() > 0.99  # near ties


def test_inner_products_rank_by_the_largest() -> None:
    x = rows(300, 5)
    found = nt.k_nearest(x, 4, "inner_product", device="cpu")
    product = x.astype(float) @ x.T.astype(float)
    np.fill_diagonal(product, -np.inf)
    assert np.allclose(-found.distances.numpy(), np.sort(product, 1)[:, :-5:-1], rtol=1e-5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation", "inner_product"])
def test_bins_find_what_their_number_promises(metric) -> None:
    x = rows(6000, 24)
    found = nt.k_nearest(x, 10, metric, search="bins", device="cpu", recall_rows=600)
    true = nt.k_nearest(x, 10, metric, search="exact", device="cpu")
    share = (found.indices[:, :, None] == true.indices[:, None, :]).any(1).float().mean().item()
    # one of ten is lost with probability about 9 / 2L; there are 6000 / 16 bins with rows in them
    assert share > 1 - 1.5 * 10 / (2 * 6000 / 16)
    assert found.recall == pytest.approx(share, abs=0.01)
    assert true.recall == 1


def test_clusters_find_neighbours_within_clusters() -> None:
    x = rows(9000, 8, clusters=90)
    found = nt.k_nearest(x, 10, search="clusters", probes=3, device="cpu", recall_rows=500)
    assert found.recall is not None
    assert found.recall > 0.9


def test_the_second_pass_makes_a_poor_first_one_exact(monkeypatch) -> None:
    x = torch.from_numpy(rows(1500, 12))

    def poor(base, k, tiles, seed):
        d, i = nt._exact(base, None, 4 * k, 1 << 30)
        return d[:, ::4].contiguous(), i[:, ::4].contiguous()

    monkeypatch.setattr(nt, "_symmetric", poor)
    for metric in ("euclidean", "cosine", "inner_product"):
        base = nt.Rows(x, metric, torch.device("cpu"))
        d, i = nt._certified(base, 5, 1 << 30, 0)
        true, ids = nt._exact(base, None, 5, 1 << 30)
        assert torch.equal(i, ids)
        assert torch.allclose(d, true)


def test_rows_stream_through_little_memory(tmp_path) -> None:
    x = rows(5000, 20)
    np.save(tmp_path / "x.npy", x)
    held = np.load(tmp_path / "x.npy", mmap_mode="r")
    whole = nt.k_nearest(x, 8, search="exact", device="cpu")
    parts = nt.k_nearest(held, 8, search="exact", device="cpu", memory=2 << 20)
    assert torch.equal(whole.indices, parts.indices)
    binned = nt.k_nearest(held, 8, search="bins", device="cpu", memory=16 << 20, recall_rows=200)
    assert binned.recall is not None
    assert binned.recall > 0.95


@pytest.mark.parametrize("n", [2, 3, 50, 2047, 2049])
def test_small_and_degenerate_rows(n) -> None:
    k = min(5, n - 1)
    for x in (np.ones((n, 3), np.float32), np.arange(n, dtype=np.float16)[:, None], rows(n, 2)):
        found = nt.k_nearest(x, k, device="cpu", recall_rows=0)
        assert (found.indices != torch.arange(n)[:, None]).all()
        assert ((found.indices >= 0) & (found.indices < n)).all()
        x = torch.from_numpy(x).float()
        assert torch.allclose(found.distances, (x[found.indices.long()] - x[:, None]).norm(dim=2), atol=1e-4)


@pytest.mark.parametrize("n", [4095, 4096, 4097, 6145])
@pytest.mark.parametrize("kind", ["copies", "equal", "line", "half precision"])
def test_bins_of_degenerate_rows_around_the_blocks(n: int, kind: str) -> None:
    x = {
        "copies": np.repeat(rows(n // 4 + 1, 5), 4, axis=0)[:n],
        "equal": np.ones((n, 3), np.float32),
        "line": np.arange(n, dtype=np.float32)[:, None],
        "half precision": rows(n, 7).astype(np.float16),
    }[kind]
    found = nt.k_nearest(x, 4, search="bins", device="cpu", recall_rows=300)
    assert found.search == ("bins" if n > 2 * knn.SPAN else "exact")
    assert found.recall is not None
    assert found.recall > 0.97
    assert (found.indices != torch.arange(n)[:, None]).all()
    true = nt.k_nearest(x.astype(np.float32), 4, search="exact", device="cpu")
    held = torch.isclose(found.distances, true.distances, rtol=1e-4, atol=1e-4)
    assert held.float().mean() > 0.95
    if kind == "copies":
        assert (found.distances[: n // 4 * 4, :3] == 0).float().mean() > 0.97


def test_one_row_finds_itself_as_a_query_and_nobody_else() -> None:
    found = nt.k_nearest(np.ones((1, 3)), 1, queries=np.zeros((2, 3)), device="cpu")
    assert found.indices.tolist() == [[0], [0]]
    assert torch.allclose(found.distances, torch.tensor(3.0).sqrt())
    with pytest.raises(ParameterError, match="1 rows"):
        nt.k_nearest(np.ones((1, 3)), 1, device="cpu")


def test_what_does_not_fit_is_refused_by_every_search() -> None:
    x = rows(9000, 64)
    for search in ("exact", "bins", "clusters"):
        with pytest.raises(DataError, match="would fit"):
            nt.k_nearest(x, 10, search=search, device="cpu", memory=1 << 17)  # type: ignore[arg-type]


def test_rows_without_direction_lie_at_one() -> None:
    x = rows(60, 4)
    x[3], x[5] = 0, 0
    assert (nt.k_nearest(x, 5, "cosine", device="cpu").distances[3] == 1).all()
    x[3] = 7
    assert (nt.k_nearest(x, 5, "correlation", device="cpu").distances[3] == 1).all()


def test_reranking_counts_a_candidate_once_and_passes_over_none() -> None:
    x = torch.arange(6.0)[:, None]
    d, i = knn.rerank_reference(x, x[:1], torch.tensor([[3, 1, 3, -1, 6, 1]]), 4)
    assert i.tolist() == [[1, 3, -1, -1]]
    assert d.tolist() == [[1, 9, torch.inf, torch.inf]]


def test_refusals_say_what_is_legal() -> None:
    x = rows(50, 3)
    for arguments, text in [
        ({"k": 50}, "at most 49"),
        ({"k": 0}, "at least 1"),
        ({"k": 3, "metric": "hamming"}, "euclidean"),
        ({"k": 3, "search": "guess"}, "clusters"),
        ({"k": 3, "device": "tpu"}, "'auto'"),
    ]:
        with pytest.raises(ParameterError, match=text):
            nt.k_nearest(x, **{"device": "cpu", **arguments})
    with pytest.raises(DataError, match="finite"):
        nt.k_nearest(np.full((9, 2), np.nan), 2, device="cpu")
    with pytest.raises(DataError, match="would fit"):
        nt.k_nearest(rows(9000, 8), 2, search="clusters", device="cpu", memory=1 << 16)
    assert choose("cpu").type == "cpu"
