"""UMAP shared among GPUs: one named twice, and several where there are."""

from __future__ import annotations

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from workbench.core.device import SHARED_FROM, describe, refusing_what_does_not_fit, sharing  # noqa: E402
from workbench.core.errors import DataError, MissingError  # noqa: E402
from workbench.numerics import neighbours_torch as nt  # noqa: E402
from workbench.numerics import umap_torch as um  # noqa: E402
from workbench.numerics.umap_estimator import UMAP  # noqa: E402

pytestmark = pytest.mark.gpu
COUNT = torch.cuda.device_count()
several = pytest.mark.skipif(COUNT < 2, reason="needs two GPUs or more")
TWICE = ["cuda:0", "cuda:0"]
LISTS = [TWICE, pytest.param([f"cuda:{i}" for i in range(COUNT)], marks=several, id="all")]


def rows(n: int, d: int, clusters: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    places = rng.normal(0, 2, (clusters, d))[rng.integers(0, clusters, n)]
    return (places + rng.normal(0, 1, (n, d))).astype(np.float32)


@pytest.mark.parametrize("devices", LISTS)
@pytest.mark.parametrize(
    ("n", "search"), [(3, "auto"), (700, "auto"), (30_000, "bins"), (60_000, "clusters")]
)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_shared_layout_has_the_bits_of_one_gpu(devices, n, search, metric) -> None:
    x = rows(n, 40)
    alone, together = (
        um.fit(x, device=d, search=search, metric=metric, n_epochs=50) for d in ("cuda:0", devices)
    )
    assert torch.equal(together.neighbours.indices, alone.neighbours.indices)
    assert torch.equal(together.neighbours.distances, alone.neighbours.distances)
    assert torch.equal(together.embedding, alone.embedding)
    again = um.fit(x, device=devices, search=search, metric=metric, n_epochs=50)
    assert torch.equal(together.embedding, again.embedding)


@pytest.mark.parametrize("devices", LISTS)
def test_bins_read_one_way_find_as_many_as_read_both_ways(devices) -> None:
    x = torch.from_numpy(rows(nt.SYMMETRIC_FROM + 777, 24)).to("cuda:0")
    alone, together = (nt.k_nearest(x, 10, device=d, search="bins") for d in ("cuda:0", devices))
    assert alone.recall is not None
    assert together.recall == pytest.approx(alone.recall, abs=0.01)
    assert (together.indices == alone.indices).float().mean() > 0.98


def test_fewer_rows_are_left_to_one_gpu() -> None:
    assert sharing("cuda", SHARED_FROM) == ("cuda",)
    assert sharing("cuda:0", 10 * SHARED_FROM) == ("cuda:0",)
    assert describe("cuda", SHARED_FROM) == describe("cuda:0", 10 * SHARED_FROM) == describe("cuda")
    with pytest.raises(MissingError, match=f"sees {COUNT} GPU"):
        sharing(f"cuda:{COUNT}", 3)


@several
def test_many_rows_are_shared_by_all_and_the_run_says_so() -> None:
    assert sharing("auto", SHARED_FROM + 1) == tuple(f"cuda:{i}" for i in range(COUNT))
    assert describe("cuda", SHARED_FROM + 1).startswith(f"cuda ({COUNT} × ")


@several
def test_another_gpu_than_the_current_one_answers_alone_and_leads() -> None:
    x = rows(20_000, 30)
    first = UMAP(device="cuda:0", random_state=0, n_epochs=30).fit(x)
    second = UMAP(device="cuda:1", random_state=0, n_epochs=30).fit(x)
    assert second.device_ == "cuda:1"
    assert second._model.embedding.device.index == 1
    assert np.array_equal(first.embedding_, second.embedding_)
    assert np.array_equal(first.transform(x[:50] + 1), second.transform(x[:50] + 1))
    both = UMAP(device=["cuda:1", "cuda:0"], random_state=0, n_epochs=30).fit(x)
    assert np.array_equal(first.embedding_, both.embedding_)


@several
def test_the_gpu_that_has_no_room_is_the_one_that_is_spoken_of() -> None:
    """The second may take a quarter of a gigabyte, which the layout's graph doesn't fit in."""
    total = torch.cuda.get_device_properties(1).total_memory
    near = nt.k_nearest(rows(3_000_000, 2), 14, device="cuda:0", search="clusters", recall_rows=0)
    torch.cuda.set_per_process_memory_fraction(2**28 / total, 1)
    try:
        with (
            pytest.raises(DataError, match="ran out of the GPU's memory") as refused,
            refusing_what_does_not_fit("cuda", 3_000_000, "umap of rows"),
        ):
            um.fit(
                rows(3_000_000, 2), neighbours=near, n_epochs=2, device=["cuda:0", "cuda:1"], init="random"
            )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 1)
    room = float(re.search(r"([\d.]+) GiB can be had", str(refused.value))[1])  # type: ignore[index]
    assert room <= 0.26
