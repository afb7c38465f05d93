"""The layout's kernels against their plain references, and whole layouts against what makes them right."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from sklearn.datasets import load_digits, make_blobs  # noqa: E402
from sklearn.manifold import trustworthiness  # noqa: E402
from sklearn.metrics import silhouette_score  # noqa: E402

from workbench.numerics import umap_torch as um  # noqa: E402
from workbench.numerics.kernels import chunked, layout  # noqa: E402
from workbench.numerics.neighbours_torch import k_nearest  # noqa: E402

pytestmark = pytest.mark.gpu
DEVICE = torch.device("cuda")


def graph(n: int, seed: int = 0) -> chunked.Chunks:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn((n, 5), generator=g)
    x[: n // 10] = x[0]
    found = k_nearest(x, min(14, n - 1), device="cpu")
    weights, _, _ = um.memberships(found, 15)
    rows, cols, w = um.fuzzy_graph(found.indices, weights)
    return chunked.Chunks(*(t.to(DEVICE) for t in chunked.chunk(rows, cols, w, n)))


@pytest.mark.parametrize("n", [3, 31, 32, 33, 127, 128, 129, 1000])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_steps_equal_the_reference(n, d) -> None:
    g, y = graph(n), torch.randn((n, d), generator=torch.Generator().manual_seed(1)).to(DEVICE)
    y[1] = y[0]
    repel = chunked.row_sums(g) / 8
    assert torch.allclose(chunked.apply(g, y), chunked.apply_reference(g, y), atol=1e-5)
    for there in (y, torch.randn((n, d), generator=torch.Generator().manual_seed(2)).to(DEVICE)):
        got = layout.step(y, there, g, repel, 1.58, 0.9, 0.5, 16, 3, 2**31 + 7)
        want = layout.step_reference(y, there, g, repel, 1.58, 0.9, 0.5, 16, 3, 2**31 + 7)
        assert torch.allclose(got, want, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("k", [1, 2, 14, 29, 99])
def test_bandwidths_equal_the_reference(k) -> None:
    d = torch.rand((333, k), generator=torch.Generator().manual_seed(k)).sort(1).values.to(DEVICE)
    d[0], d[1], d[2, : k // 2] = 0, 5, 0
    d[3] *= 1e-20
    for got, want in zip(
        layout.bandwidths(d, k + 1, 0.5), layout.bandwidths_reference(d, k + 1, 0.5), strict=True
    ):
        assert torch.isfinite(got).all()
        assert torch.allclose(got, want, rtol=2e-3)


def test_a_seed_gives_the_same_bits_and_another_seed_others() -> None:
    for n in (3000, 30_000):
        x = torch.randn((n, 30), generator=torch.Generator().manual_seed(0)).to(DEVICE)
        first, again, other = (um.fit(x, random_state=s, n_epochs=50).embedding for s in (1, 1, 2))
        assert first.equal(again)
        assert not first.equal(other)


def test_digits_are_embedded_as_well_as_on_the_cpu() -> None:
    x = load_digits().data.astype(np.float32)
    fitted = um.fit(x, device=DEVICE)
    assert trustworthiness(x, fitted.embedding.cpu().numpy(), n_neighbors=15) > 0.983
    plain = um.fit(x[:300], device="cpu", n_epochs=100).embedding.numpy()
    ours = um.fit(x[:300], device=DEVICE, n_epochs=100).embedding.cpu().numpy()
    a, b = (trustworthiness(x[:300], y, n_neighbors=10) for y in (plain, ours))
    assert abs(a - b) < 0.02


def test_planted_clusters_stay_apart_and_new_rows_join_theirs() -> None:
    x, label = make_blobs(20_500, 40, centers=12, cluster_std=1.0, random_state=0)
    fitted = um.fit(x[:20_000].astype(np.float32), device=DEVICE)
    y = fitted.embedding.cpu().numpy()
    assert silhouette_score(y[:3000], label[:3000]) > 0.7
    placed = um.transform(fitted, x[20_000:].astype(np.float32)).cpu().numpy()
    centres = np.stack([np.median(y[label[:20_000] == c], axis=0) for c in range(12)])
    nearest = np.linalg.norm(placed[:, None] - centres, axis=2).argmin(1)
    assert (nearest == label[20_000:]).mean() > 0.98


@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
@pytest.mark.parametrize("init", ["spectral", "pca", "random"])
def test_every_start_and_dimension_is_finite(n_components, init) -> None:
    x = torch.randn((700, 8), generator=torch.Generator().manual_seed(0))
    y = um.fit(x, n_components=n_components, init=init, device=DEVICE).embedding
    assert y.shape == (700, n_components)
    assert torch.isfinite(y).all()
    assert (y.std(0) > 0.1).all()


@pytest.mark.parametrize("n", [3, 4, 15, 16, 17, 16_384, 16_385])
def test_small_and_degenerate_rows_are_finite(n) -> None:
    g = torch.Generator().manual_seed(n)
    for x in (torch.ones((n, 3)), torch.randn((n, 1), generator=g), torch.randn((n, 3), generator=g).half()):
        y = um.fit(x, device=DEVICE, n_epochs=30).embedding
        assert torch.isfinite(y).all()


def test_new_rows_are_placed_as_on_a_cpu_whatever_their_company() -> None:
    x = load_digits().data.astype(np.float32)
    fitted = um.fit(x[:1500], device=DEVICE)
    whole = um.transform(fitted, x[1500:1600])
    alone = torch.cat([um.transform(fitted, x[i : i + 1]) for i in range(1500, 1520)])
    assert torch.allclose(whole[:20], alone, atol=1e-3)
    assert torch.equal(um.transform(fitted, x[:50]), fitted.embedding[:50])


def test_labels_numbers_and_densities_steer_as_on_a_cpu() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(300, 8)) * s + 12 * i for i, s in enumerate((0.3, 1, 3))]).astype(
        np.float32
    )
    label = (x[:, 0] > np.median(x[:, 0])).astype(int)
    for options in ({"y": label}, {"y": x[:, 1], "target_metric": "euclidean"}, {"densmap": True}):
        here, there = (um.fit(x, device=d, **options) for d in (DEVICE, "cpu"))
        again = um.fit(x, device=DEVICE, **options)
        assert torch.equal(here.embedding, again.embedding)
        kept = [trustworthiness(x, f.embedding.cpu().numpy(), n_neighbors=15) for f in (here, there)]
        assert abs(kept[0] - kept[1]) < 0.02
    dense = um.fit(x, densmap=True, device=DEVICE).radii
    assert dense is not None
    assert np.corrcoef(dense.cpu().numpy())[0, 1] > 0.7


def test_the_estimator_runs_on_the_gpu() -> None:
    from workbench.numerics.umap_estimator import UMAP

    x = load_digits().data
    for metric in ("cosine", "manhattan"):
        model = UMAP(metric=metric, random_state=0).fit(x[:1500])
        assert model.device_ == "cuda"
        assert model.transform(x[1500:]).shape == (297, 2)
        assert model.distortion_.mean() < 0.7


@pytest.mark.parametrize("m", [3, 31, 33, 200])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_sets_are_moved_as_each_alone(m, d) -> None:
    """A few steps: more amplify the last bits."""
    s = 5
    pieces = [graph(m, seed) for seed in range(s)]
    whole = chunked.Chunks(
        torch.cat(
            [pieces[0].first[:1], *(p.first[1:] + o for p, o in zip(pieces, _before(pieces), strict=True))]
        ),
        torch.cat([p.heads + i * m for i, p in enumerate(pieces)]),
        torch.cat([p.tails + i * m for i, p in enumerate(pieces)]),
        torch.cat([p.weights for p in pieces]),
    )
    y = torch.randn((s * m, d), generator=torch.Generator().manual_seed(1)).to(DEVICE)
    repel = chunked.row_sums(whole) / 8
    for epochs in (1, 4):
        asked = (y, whole, m, repel, 1.58, 0.9, epochs, 0.1, 16, 2**31 + 7)
        got, want = layout.sets(*asked), layout.sets_reference(*asked)
        assert torch.allclose(got, want, rtol=1e-3, atol=5e-3)
    assert layout.sets(*asked).equal(got)


def _before(pieces) -> list[int]:
    lengths = [len(p.heads) for p in pieces]
    return [sum(lengths[:i]) for i in range(len(lengths))]


def test_small_sets_together_are_laid_out_as_faithfully_as_alone() -> None:
    from workbench.numerics.umap_sets import fit_sets

    x = load_digits().data.astype(np.float32)
    xs = [x[i : i + 200] for i in range(0, 1600, 200)]
    for rows, y in zip(xs, fit_sets(xs), strict=True):
        alone = um.fit(rows, device=DEVICE).embedding
        a, b = (trustworthiness(rows, z.cpu().numpy(), n_neighbors=10) for z in (y, alone))
        assert abs(a - b) < 0.03


def test_pieces_are_counted() -> None:
    x = np.concatenate([np.random.default_rng(i).standard_normal((500, 5)) + 100 * i for i in range(3)])
    assert um.fit(x.astype(np.float32), device=DEVICE, n_epochs=5).pieces == 3
