"""The aligned step's kernel against its plain reference, and aligned layouts on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from sklearn.datasets import load_digits  # noqa: E402
from sklearn.manifold import trustworthiness  # noqa: E402

from workbench.numerics import aligned_umap as au  # noqa: E402
from workbench.numerics import umap_torch as um  # noqa: E402
from workbench.numerics.kernels import aligned, chunked  # noqa: E402
from workbench.numerics.layout_alignment import measure_alignment  # noqa: E402
from workbench.numerics.neighbours_torch import k_nearest  # noqa: E402

pytestmark = pytest.mark.gpu
DEVICE = torch.device("cuda")


def graph(n: int, seed: int) -> chunked.Chunks:
    x = torch.randn((n, 5), generator=torch.Generator().manual_seed(seed))
    x[: n // 10] = x[0]
    found = k_nearest(x, min(14, n - 1), device="cpu")
    weights, _, _ = um.memberships(found, 15)
    return chunked.Chunks(*(t.to(DEVICE) for t in chunked.chunk(*um.fuzzy_graph(found.indices, weights), n)))


@pytest.mark.parametrize("sizes", [(3, 3), (31, 33, 32), (127, 5, 400, 129)])
@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("width", [0, 1, 2, 8])
def test_a_step_equals_the_reference(sizes, d, width) -> None:
    graphs = aligned.stack([graph(n, i) for i, n in enumerate(sizes)])
    n, g = sum(sizes), torch.Generator().manual_seed(1)
    y = torch.randn((n, d), generator=g).to(DEVICE)
    y[1] = y[0]
    anchors = torch.randn((n + 7, d), generator=g).to(DEVICE)
    rows = torch.randint(0, n, (n, width), generator=g, dtype=torch.int32).to(DEVICE)
    weights = torch.rand((n, width), generator=g).to(DEVICE)
    weights[::3] = 0
    ties = aligned.Ties(rows, weights)
    repel = torch.rand(n, generator=g).to(DEVICE)
    for there in (y, anchors):
        arguments = (y, there, graphs, ties, repel, 1.58, 0.9, 0.5, 16, 3, 2**31 + 7)
        assert torch.allclose(
            aligned.step(*arguments), aligned.step_reference(*arguments), rtol=1e-4, atol=2e-3
        )


def digits(layers: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    x = load_digits().data
    steps = 1.5 * rng.standard_normal((layers, *x.shape)).cumsum(0)
    return [(x + s).astype(np.float32) for s in steps]


def measured(fitted: au.FittedAligned):
    return measure_alignment(
        [y.cpu().numpy() for y in fitted.embeddings], [m.cpu().numpy() for m in fitted.matches]
    )


def test_a_seed_gives_the_same_bits_and_another_seed_others() -> None:
    rng = torch.Generator().manual_seed(0)
    for sizes in ((1797, 1797), (20_000, 19_000)):
        xs = [torch.randn((n, 20), generator=rng).to(DEVICE) for n in sizes]
        some = torch.arange(min(sizes)).numpy()
        first, again, other = (
            au.fit_aligned(xs, [(some, some)], random_state=s, n_epochs=50).embeddings for s in (1, 1, 2)
        )
        assert all(a.equal(b) for a, b in zip(first, again, strict=True))
        assert not first[0].equal(other[0])


def test_digits_are_laid_out_as_on_the_cpu() -> None:
    xs = digits()
    found = {where: au.fit_aligned(xs, device=where) for where in ("cuda", "cpu")}
    trust = {
        where: np.mean(
            [
                trustworthiness(x, y.cpu().numpy(), n_neighbors=15)
                for x, y in zip(xs, fitted.embeddings, strict=True)
            ]
        )
        for where, fitted in found.items()
    }
    moved = {where: measured(fitted).displacement.mean() for where, fitted in found.items()}
    assert trust["cuda"] > 0.97 and abs(trust["cuda"] - trust["cpu"]) < 0.005
    assert moved["cuda"] < 0.05 and abs(moved["cuda"] - moved["cpu"]) < 0.01


def test_new_rows_and_sets_join_on_the_device() -> None:
    xs = digits(3)
    found = au.fit_aligned(xs, device=DEVICE)
    placed = au.transform(found, xs[1][:50] + 1e-3, 1)
    assert torch.linalg.norm(placed - found.embeddings[1][:50], dim=1).median() < 1.0
    more = au.update(found, xs[2][:1500] + 1e-3, (np.arange(1400), np.arange(1400)))
    assert more.embeddings[3].is_cuda and torch.isfinite(more.embeddings[3]).all()
    assert measured(more).displacement[2] < 0.1


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("window", [0, 1, 3])
def test_every_dimension_and_window_is_finite(n_components, window) -> None:
    xs = [x[:300] for x in digits(3)]
    found = au.fit_aligned(
        xs, n_components=n_components, alignment_window_size=window, n_epochs=30, device=DEVICE
    )
    assert all(torch.isfinite(y).all() and y.shape == (300, n_components) for y in found.embeddings)
