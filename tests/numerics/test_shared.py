"""Work shared among devices: a processor named several times stands for them, and finds what one finds, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness

import workbench as wb
from workbench.core.device import SHARED_FROM, describe, resolve, sharing
from workbench.core.errors import Cancelled, DataError, ParameterError
from workbench.core.progress import listening, tell
from workbench.numerics import clusters_torch, shared
from workbench.numerics import neighbours_torch as nt
from workbench.numerics import umap_torch as um
from workbench.numerics.kernels import chunked, layout
from workbench.numerics.umap_estimator import UMAP

CPU = torch.device("cpu")


def rows(n: int, d: int, clusters: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    places = rng.normal(0, 2, (clusters, d))[rng.integers(0, clusters, n)]
    return (places + rng.normal(0, 1, (n, d))).astype(np.float32)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("step", [1, 64])
def test_parts_cover_every_row_once_and_are_about_as_long(n, count, step) -> None:
    cuts = shared.parts(n, count, step)
    assert [r for cut in cuts for r in range(n)[cut]] == list(range(n))
    assert len(cuts) == min(count, -(-n // step))
    assert all(cut.start % step == 0 and cut.start < cut.stop for cut in cuts)
    lengths = [cut.stop - cut.start for cut in cuts]
    assert max(lengths[:-1], default=0) - min(lengths[:-1], default=0) <= step


def test_every_device_is_sent_what_the_others_computed() -> None:
    cuts = shared.parts(10, 3)
    wholes = [torch.full((10, 2), -1.0) for _ in cuts]
    for place, cut in enumerate(cuts):
        wholes[place][cut] = place
    shared.exchange(wholes, cuts)
    assert wholes[0][:, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert torch.equal(wholes[0], wholes[1])
    assert torch.equal(wholes[0], wholes[2])


def test_what_fails_on_one_device_is_raised_and_progress_is_heard_once() -> None:
    def fails(place: int) -> int:
        if place == 1:
            raise DataError("the second has no room")
        return place

    with pytest.raises(DataError, match="second"):
        shared.each([CPU, CPU, CPU], fails)

    def works(place: int) -> int:
        tell("work", place)
        return place

    steps: list[int] = []
    with listening(lambda what, done, total: steps.append(done)):
        assert shared.each([CPU, CPU, CPU], works) == [0, 1, 2]
    assert steps == [0]

    def cancel(*step: object) -> None:
        raise Cancelled("enough")

    with listening(cancel), pytest.raises(Cancelled):
        shared.each([CPU, CPU], works)


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_a_step_of_a_share_is_that_of_the_whole(dim) -> None:
    rng = np.random.default_rng(dim)
    head = torch.from_numpy(np.sort(rng.integers(0, 200, 1500)))
    graph = chunked.chunk(head, torch.from_numpy(rng.integers(0, 200, 1500)), torch.rand(1500), 200)
    y = torch.from_numpy(rng.normal(size=(200, dim))).float()
    y[150] = y[20]
    repel = chunked.row_sums(graph) / 16
    settings = (1.58, 0.9, 0.1, 16, 2, 7)
    for step in (layout.step, layout.step_reference):
        whole = step(y, y, graph, repel, *settings)
        for cut in (slice(0, 64), slice(64, 200)):
            piece = chunked.of_rows(graph, cut)
            share = step(y[cut], y, piece, repel[cut], *settings, begin=cut.start)
            assert torch.equal(share, whole[cut])


@pytest.mark.parametrize("n", [3, 17, 65, 500])
@pytest.mark.parametrize("count", [2, 3])
def test_a_shared_layout_is_that_of_one_device(n, count) -> None:
    x = load_digits().data[:n].astype(np.float32)
    alone = um.fit(x, device="cpu", n_epochs=60)
    together = um.fit(x, device=["cpu"] * count, n_epochs=60)
    assert torch.equal(together.neighbours.indices, alone.neighbours.indices)
    assert torch.equal(together.neighbours.distances, alone.neighbours.distances)
    assert torch.equal(together.embedding, alone.embedding)
    assert together.devices == (CPU,) * count
    assert torch.equal(um.transform(together, x[:2] + 0.5), um.transform(alone, x[:2] + 0.5))


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("search", ["exact", "bins", "clusters"])
def test_shared_searches_find_what_one_finds(search, metric, monkeypatch) -> None:
    monkeypatch.setattr(clusters_torch, "BLOCK", 1 << 11)
    x = rows(6500, 8, 60)
    x[40] = x[3]
    x[5000:5012] = x[6000]  # more of a row than are asked for
    asked = {"metric": metric, "search": search, "probes": 2}
    alone = nt.k_nearest(x, 10, device="cpu", **asked)
    for count in (2, 7):
        together = nt.k_nearest(x, 10, device=["cpu"] * count, **asked)
        assert torch.equal(together.distances, alone.distances)
        assert torch.equal(together.indices, alone.indices)
        assert together.recall == alone.recall
        assert together.search == search


def test_clustered_rows_of_six_thousand_are_laid_out_as_faithfully() -> None:
    x = rows(6000, 12, 40)
    alone, together = (um.fit(x, device=d, search="clusters", n_epochs=30) for d in ("cpu", ["cpu", "cpu"]))
    assert torch.equal(alone.embedding, together.embedding)
    assert trustworthiness(x[:800], together.embedding[:800].numpy(), n_neighbors=10) > 0.7


def test_a_search_by_clusters_in_pieces_is_that_of_the_whole() -> None:
    x = rows(9000, 8, 90)
    pieces, whole = (
        nt.k_nearest(x, 10, search="clusters", probes=3, device="cpu", recall_rows=0, memory=m)
        for m in (10 << 20, None)
    )
    assert torch.equal(pieces.indices, whole.indices)


def test_rows_on_disk_are_shared_as_they_stream(tmp_path) -> None:
    np.save(tmp_path / "x.npy", rows(5000, 20, 9))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    asked = {"search": "exact", "memory": 700_000}  # of 400,000 bytes of rows: too many to hold
    alone = nt.k_nearest(x, 6, device="cpu", **asked)
    together = nt.k_nearest(x, 6, device=["cpu", "cpu"], **asked)
    assert torch.equal(together.indices, alone.indices)
    with pytest.raises(DataError, match="would fit"):
        nt.k_nearest(x, 6, device=["cpu", "cpu"], search="exact", memory=1 << 16)


def test_densities_and_targets_are_followed_too() -> None:
    x = load_digits().data[:150].astype(np.float32)
    label = load_digits().target[:150]
    for options in ({"densmap": True}, {"y": label}, {"init": "pca"}):
        alone, together = (um.fit(x, device=d, n_epochs=40, **options) for d in ("cpu", ["cpu", "cpu"]))
        assert torch.equal(together.embedding, alone.embedding)


def test_devices_are_named_one_by_one_and_are_of_one_kind() -> None:
    assert sharing("cpu", 10 * SHARED_FROM) == ("cpu",)
    assert sharing(["cpu", "cpu"], 3) == ("cpu", "cpu")
    assert describe("cpu", 10 * SHARED_FROM) == "cpu"
    x = torch.zeros(5, 2)
    assert shared.among("auto", x) == shared.given("auto", x) == (CPU,)
    assert shared.among(CPU, x) == (CPU,)
    with pytest.raises(ParameterError, match="one device or several"):
        sharing([], 3)
    for wrong in ("gpu", "cuda:", "cuda:first"):
        with pytest.raises(ParameterError, match="'cuda:0'"):
            resolve(wrong)


def test_the_estimator_takes_a_list_and_says_who_took_part() -> None:
    x = load_digits().data[:120]
    model = UMAP(device=["cpu", "cpu"], n_epochs=20, random_state=0).fit(x)
    assert model.devices_ == ("cpu", "cpu")
    assert model.device_ == "cpu"
    alone = UMAP(device="cpu", n_epochs=20, random_state=0).fit(x)
    assert alone.devices_ == ("cpu",)
    assert np.array_equal(model.embedding_, alone.embedding_)
    assert model.transform(x[:3]).shape == (3, 2)


def test_the_method_declares_that_gpus_share_its_work_and_takes_one_of_them() -> None:
    declared = wb.umap.parameters["device"]
    assert declared.shared
    assert "cuda:0" in declared.choices
    assert not wb.method("aligned_umap").parameters["device"].shared
