"""The kernels of nearest neighbours against their plain references, and the searches against exact ones."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from workbench.core.errors import DataError  # noqa: E402
from workbench.numerics import neighbours_torch as nt  # noqa: E402
from workbench.numerics.kernels import knn  # noqa: E402

pytestmark = pytest.mark.gpu
DEVICE = torch.device("cuda")
METRICS = ["euclidean", "cosine", "correlation", "inner_product"]


def rows(n: int, d: int, clusters: int = 20) -> torch.Tensor:
    g = torch.Generator(DEVICE).manual_seed(0)
    centres = torch.randn((clusters, d), generator=g, device=DEVICE) * 2
    which = torch.randint(0, clusters, (n,), generator=g, device=DEVICE)
    return centres[which] + torch.randn((n, d), generator=g, device=DEVICE)


def halved(x: torch.Tensor, norms: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    base = nt.Rows(x, "euclidean", DEVICE)
    order = nt.shuffled(len(x), 0, DEVICE)
    return nt.half_rows(x, order, *nt.centre_and_factor(base, x), norms)


def assert_same_bins(got: torch.Tensor, want: torch.Tensor, size: int) -> None:
    """Equal up to float32 rounding of the products; a bin's place may differ only between near ties."""
    a, b = knn.unordered(got), knn.unordered(want)
    real = b > -1e29
    assert (a > -1e29).equal(real)
    assert torch.allclose(
        a[real], b[real], rtol=2.0 * size / 2**23 + 1e-6, atol=2e-5 * float(b[real].abs().max())
    )
    assert ((got ^ want) & (size - 1))[real].ne(0).float().mean() < 0.02


@pytest.mark.parametrize("d", [1, 2, 63, 64, 65, 384])
@pytest.mark.parametrize(
    "tiles",
    [
        knn.Tiles(128, 16, 16),
        knn.Tiles(128, 32, 32),
        knn.Tiles(128, 128, 256),
        knn.Tiles(128, 64, 64, bulk=False),
    ],
    ids=str,
)
def test_bin_maxima_equal_the_reference(d, tiles) -> None:
    half, norm = halved(rows(4100, d))
    spans = torch.arange(len(half) // knn.SPAN, device=DEVICE)
    pairs = torch.cartesian_prod(spans, spans)
    slots, bins = pairs[:, 1] * (knn.SPAN // tiles.bin), len(half) // tiles.bin
    want = knn.bin_maxima_reference(half, half, norm, pairs, slots, bins, tiles.bin)
    assert_same_bins(knn.bin_maxima(half, half, norm, pairs, slots, bins, tiles), want, tiles.bin)


def test_symmetric_bins_equal_the_one_sided_but_for_the_row_itself() -> None:
    half, norm = halved(rows(8000, 48))
    spans = torch.arange(len(half) // knn.SPAN, device=DEVICE)
    pairs = torch.cartesian_prod(spans, spans)
    for size in (128, 256, 512):
        got = knn.bin_maxima_symmetric(half, norm, knn.Tiles(128, 128, size))
        want = knn.bin_maxima_reference(
            half, half, norm, pairs, pairs[:, 1] * (knn.SPAN // size), len(half) // size, size
        )
        at = torch.arange(len(half), device=DEVICE)
        own = torch.arange(len(want), device=DEVICE)[:, None] == at // size
        own |= (norm > 1e29)[None]
        assert_same_bins(torch.where(own, 0, got), torch.where(own, 0, want), size)
        itself = (got[at // size, at] ^ ((got[at // size, at] >> 31) & 0x7FFFFFFF)) & (size - 1)
        assert not (itself == at % size)[norm < 1e29].any()


@pytest.mark.parametrize("bins", [16, 17, 127, 512, 513, 1954, 4096])
def test_selected_bins_equal_the_reference(bins) -> None:
    g = torch.Generator(DEVICE).manual_seed(bins)
    keys = torch.randint(-(2**31), 2**31 - 1, (bins, 2048), generator=g, device=DEVICE).int()
    keys[:, :9] = keys[:1, :9]  # all alike
    keys[3:, 9] = knn.LOWEST  # hardly any
    table = torch.arange(-(-bins * 128 // knn.SPAN), dtype=torch.int32, device=DEVICE)[None]
    assert knn.select_bins(keys, table, 23, 32, 128).equal(
        knn.select_bins_reference(keys, table, 23, 32, 128)
    )


def test_a_floor_holds_what_other_bins_showed() -> None:
    g = torch.Generator(DEVICE).manual_seed(3)
    keys = torch.randint(-(2**31), 2**31 - 1, (300, 2048), generator=g, device=DEVICE).int()
    table = torch.arange(-(-300 * 128 // knn.SPAN), dtype=torch.int32, device=DEVICE)[None]
    floors = [torch.full((2048,), knn.LOWEST, dtype=torch.int32, device=DEVICE) for _ in range(2)]
    for part in (keys[:200], keys[200:]):
        part = part.contiguous()
        got = knn.select_bins(part, table, 23, 32, 128, floors[0])
        assert got.equal(knn.select_bins_reference(part, table, 23, 32, 128, floors[1]))
        assert floors[0].equal(floors[1])
    assert (got >= 0).sum() < 0.7 * 23 * 2048  # few of the second part are among the best of both


def test_bands_find_what_the_whole_does(monkeypatch: pytest.MonkeyPatch) -> None:
    x = rows(210_000, 48)
    whole = nt.k_nearest(x, 15, search="bins", recall_rows=500)
    monkeypatch.setattr(nt, "KEYS", 1 << 20)
    monkeypatch.setattr(nt, "KEYS_A_ROW", 100)
    parts = nt.k_nearest(x, 15, search="bins", recall_rows=500)
    assert parts.recall >= whole.recall - 0.003
    assert (parts.indices == whole.indices).float().mean() > 0.98
    again = nt.k_nearest(x, 15, search="bins", recall_rows=0)
    assert again.indices.equal(parts.indices)


@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize(
    ("d", "m", "k"), [(1, 7, 5), (3, 16, 16), (70, 32, 15), (384, 111, 15), (384, 40, 60)]
)
def test_reranked_equal_the_reference(dot, d, m, k) -> None:
    g = torch.Generator(DEVICE).manual_seed(m)
    x = rows(500, d).round()  # with many ties, and products that float32 holds exactly
    maybe = torch.randint(-1, 520, (500, m), generator=g, device=DEVICE).int()
    got = knn.rerank(x, x, maybe, k, dot, dedupe=True)
    want = knn.rerank_reference(x, x, maybe, k, dot)
    assert got[0].equal(want[0])
    assert got[1].equal(want[1])


@pytest.mark.parametrize("d", [20, 30, 96, 384])
@pytest.mark.parametrize("m", [16, 32, 64, 128])
def test_reranked_name_each_candidate_with_its_own_distance(d, m) -> None:
    n = 200_000 if d < 96 else 50_000
    x = torch.randn((n, d), generator=torch.Generator(DEVICE).manual_seed(m), device=DEVICE)
    maybe = torch.randint(0, n, (n, m), generator=torch.Generator(DEVICE).manual_seed(d), device=DEVICE).int()
    distance, index = knn.rerank(x, x, maybe, m)
    assert index.sort(1).values.equal(maybe.sort(1).values)
    for part in torch.arange(n, device=DEVICE).split(2000):
        true = (x[part, None] - x[index[part].long()]).square().sum(2)
        assert torch.allclose(distance[part], true, rtol=1e-4)


def test_collected_equal_the_reference() -> None:
    half, norm = halved(rows(5000, 40))
    scores = half.float() @ half.float().T - norm
    edge = scores.topk(20, dim=1).values[:, -1]
    edge = edge - 1e-3 * edge.abs()
    edge[norm > 1e29] = torch.inf
    lists, counts = knn.collect(half, norm, edge, 64)
    want, number = knn.collect_reference(half, norm, edge, 64)
    assert (counts - number).abs().max() <= 1
    alike = (counts == number) & (counts <= 64)
    assert alike.float().mean() > 0.5
    assert lists[alike].sort(1).values.equal(want[alike].sort(1).values)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("n", "search", "least"), [(20_000, "bins", 0.98), (210_000, "bins", 0.98), (30_000, "clusters", 0.95)]
)
def test_searches_find_the_neighbours_and_say_how_many(metric, n, search, least) -> None:
    x = rows(n, 96, 20 if search == "bins" else n // 300)
    found = nt.k_nearest(x, 15, metric, search=search, recall_rows=2000, device=DEVICE)
    at = torch.randperm(n, generator=torch.Generator().manual_seed(5))[:500].to(DEVICE)
    right = nt.Rows(x, metric, DEVICE)
    true, ids = nt._exact(right, None, 15, 10**10, at)
    share = (found.indices[at][:, :, None] == ids[:, None, :]).any(1).float().mean().item()
    assert share > least
    assert found.recall == pytest.approx(share, abs=0.01)
    near = torch.isclose(found.distances[at], right.scale(true), rtol=1e-3, atol=1e-3)
    assert near[:, 0].float().mean() > least
    assert (found.distances[at] >= right.scale(true) * (1 - 1e-5) - 1e-3).all() or metric == "inner_product"


@pytest.mark.parametrize("metric", METRICS)
def test_the_exact_search_equals_float64(metric) -> None:
    x = rows(3000, 33)
    found = nt.k_nearest(x, 10, metric, search="exact", device=DEVICE)
    y = x.double()
    if metric == "correlation":
        y = y - y.mean(1, keepdim=True)
    if metric in ("cosine", "correlation"):
        y = y / y.norm(dim=1, keepdim=True)
    true = torch.cdist(y, y) if metric == "euclidean" else -(y @ y.T) + (metric != "inner_product")
    true.fill_diagonal_(torch.inf)
    best = true.topk(10, dim=1, largest=False).values
    assert torch.allclose(found.distances.double(), best, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_the_certified_search_equals_the_plain_one(metric) -> None:
    x = rows(nt.SYMMETRIC_FROM + 77, 24)
    x[100:400] = x[:300].clone()
    x[1000:1100] = x[1000]
    found = nt.k_nearest(x, 15, metric, search="exact", device=DEVICE)
    at = torch.cat([torch.arange(0, 1200), torch.arange(150_000, 152_000)]).to(DEVICE)
    true, ids = nt._exact(nt.Rows(x, metric, DEVICE), None, 15, 10**10, at)
    scale = nt.Rows(x, metric, DEVICE).scale
    assert torch.allclose(found.distances[at], scale(true), rtol=1e-5, atol=1e-5)
    assert (found.indices[at] == ids).float().mean() > 0.999


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_are_measured_as_given(dtype) -> None:
    x = rows(20_000, 32).to(dtype)
    found = nt.k_nearest(x, 5, search="bins", device=DEVICE)
    again = nt.k_nearest(x.float(), 5, search="bins", device=DEVICE)
    assert found.distances.equal(again.distances)
    assert found.indices.equal(again.indices)


@pytest.mark.parametrize("n", [2, 3, 127, 128, 129, 2047, 2048, 2049, 4095, 4096, 4097, 6145])
@pytest.mark.parametrize("d", [1, 7])
def test_sizes_around_the_blocks(n, d) -> None:
    x = rows(n, d)
    k = min(5, n - 1)
    for search in ("auto", "bins", "clusters"):
        found = nt.k_nearest(x, k, search=search, device=DEVICE, recall_rows=0)
        assert ((found.indices >= 0) & (found.indices < n)).all()
        assert (found.indices != torch.arange(n, device=DEVICE)[:, None]).all()
        assert (found.distances.diff(dim=1) >= 0).all()
        true = (x[found.indices.long()] - x[:, None]).norm(dim=2)
        assert torch.allclose(found.distances, true, rtol=1e-4, atol=1e-5)


def test_rows_all_alike_and_rows_without_length() -> None:
    for n in (300, 20_000):
        same = torch.ones((n, 9), device=DEVICE)
        for metric in ("euclidean", "cosine"):
            found = nt.k_nearest(same, 5, metric, device=DEVICE, recall_rows=100)
            assert torch.allclose(found.distances, torch.zeros(()).to(DEVICE), atol=1e-6)
            assert (found.indices != torch.arange(n, device=DEVICE)[:, None]).all()
            assert found.recall == 1
    x = rows(20_000, 16)
    x[7] = 0
    for metric in ("cosine", "correlation"):
        assert (nt.k_nearest(x, 5, metric, device=DEVICE, recall_rows=0).distances[7] == 1).all()


def test_queries_find_themselves() -> None:
    x = rows(30_000, 20)
    found = nt.k_nearest(x, 3, queries=x[4000:4500], search="bins", device=DEVICE)
    assert (found.indices[:, 0] == torch.arange(4000, 4500, device=DEVICE)).all()
    assert (found.distances[:, 0] == 0).all()


def test_rows_stream_from_a_memory_map(tmp_path) -> None:
    x = rows(60_000, 64).cpu().numpy()
    np.save(tmp_path / "x.npy", x)
    held = np.load(tmp_path / "x.npy", mmap_mode="r")
    whole = nt.k_nearest(x, 10, search="exact", device=DEVICE)
    for search, memory in (("exact", 30 << 20), ("bins", 100 << 20)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        found = nt.k_nearest(held, 10, search=search, device=DEVICE, memory=memory, recall_rows=0)
        assert torch.cuda.max_memory_allocated() - before < memory + (10 << 20)
        share = (found.indices[:, :, None] == whole.indices[:, None, :]).any(1).float().mean()
        assert share > (0.9999 if search == "exact" else 0.99)


def test_what_does_not_fit_is_refused_with_the_size_that_would() -> None:
    for search, memory in (("clusters", 10 << 20), ("bins", 1 << 18), ("exact", 1 << 17)):
        with pytest.raises(DataError, match="would fit"):
            nt.k_nearest(rows(50_000, 64), 10, search=search, device=DEVICE, memory=memory)
    with pytest.raises(DataError, match="finite"):
        nt.k_nearest(torch.full((100, 3), torch.nan, device=DEVICE), 2)


def test_the_same_call_gives_the_same_bits() -> None:
    x = rows(210_000, 40)
    for search in ("bins", "clusters", "exact"):
        first, again = (nt.k_nearest(x, 15, search=search, device=DEVICE, recall_rows=0) for _ in range(2))
        assert first.indices.equal(again.indices)
        assert first.distances.equal(again.distances)
