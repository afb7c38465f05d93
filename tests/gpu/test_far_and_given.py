"""On a GPU too: rows far from the origin, distances in place of rows, and training that a scaler steers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

from scipy.spatial.distance import cdist  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402

import workbench as wb  # noqa: E402
from workbench.numerics import neighbours, neighbours_torch  # noqa: E402
from workbench.numerics.spanning_tree import minimum_spanning_tree  # noqa: E402

pytestmark = pytest.mark.gpu
FAR = 1e9
X = load_digits().data  # whole numbers, which are exact far away too


@pytest.mark.parametrize("metric", ["euclidean", "correlation"])
def test_neighbours_far_away_are_those_near_the_origin(metric: Any) -> None:
    near = neighbours.k_nearest(X, 5, metric)[1]
    far = neighbours_torch.k_nearest(X + FAR, 5, metric, device="cuda").numpy()[1]
    np.testing.assert_allclose(far, near, atol=2e-3)


def test_the_spanning_tree_far_away_is_as_long() -> None:
    near, far = (np.sort(minimum_spanning_tree(x, device="cuda")[1]) for x in (X, X + FAR))
    np.testing.assert_allclose(far, near, rtol=1e-5)


def test_layouts_far_away_and_of_distances_are_as_faithful() -> None:
    x = X[:600]
    near = wb.umap(x, n_null=0, device="cuda").evidence[0].value
    far = wb.umap(x + FAR, n_null=0, device="cuda").evidence[0].value
    given = wb.umap(cdist(x, x), metric="precomputed", n_null=0, device="cuda").evidence[0].value
    assert far == pytest.approx(near, abs=0.03)
    assert given == pytest.approx(near, abs=0.03)


def test_persistence_of_distances_is_that_of_the_rows() -> None:
    x = np.random.default_rng(0).standard_normal((80, 3))
    rows = wb.persistence(x, n_null=0, n_boot=0, device="cuda")
    given = wb.persistence(cdist(x, x), metric="precomputed", n_null=0, n_boot=0, device="cuda")
    np.testing.assert_allclose(given.pairs, rows.pairs, rtol=1e-5)


@pytest.mark.parametrize("affinity", ["precomputed", "precomputed_nearest_neighbors"])
def test_spectra_and_clusters_of_given_matrices_are_the_cpu_s(affinity: Any) -> None:
    d = cdist(X[:600], X[:600])
    given = np.exp(-((d / 20) ** 2)) if affinity == "precomputed" else d
    how: dict[str, Any] = {"affinity": affinity, "n_clusters": 6, "n_boot": 0}
    cpu, cuda = (wb.spectral_clustering(given, device=device, **how) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(cuda.spectrum, cpu.spectrum, atol=1e-4)
    assert cuda.evidence[1].value <= cpu.evidence[1].value * 1.1  # about as good a cut
    laid = [wb.spectral_embedding(given, affinity=affinity, n_null=0, device=on) for on in ("cpu", "cuda")]
    assert laid[1].evidence[0].value == pytest.approx(laid[0].evidence[0].value, abs=1e-3)


@pytest.mark.parametrize("fused", [False, True])
def test_a_gradient_scaler_leaves_no_trace_in_a_recording(fused: bool) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 2)
    ).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=fused)
    scaler = torch.amp.GradScaler("cuda", init_scale=2.0**16)
    x, y = torch.randn(64, 6, device="cuda"), torch.arange(64, device="cuda") % 2
    states, norms, losses = {}, [], []
    with wb.record(model, optimizer, weights_at=1) as run:
        for i in range(6):
            states[run.step] = {n: t.detach().cpu().numpy().copy() for n, t in model.state_dict().items()}
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            true = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
            scaler.scale(loss).backward()
            if i == 3:
                model[0].bias.grad[0] = torch.inf
            before = run.step
            scaler.step(optimizer)
            scaler.update()
            if run.step != before:
                run.log(loss=loss)
                losses.append(loss.item())
                norms.append(torch.cat([g.flatten() for g in true]).norm().item())
    trajectory = run.trajectory
    assert len(trajectory) == 5 and run.diverged is None
    np.testing.assert_allclose(trajectory.table["grad_norm"], norms, rtol=1e-3)
    np.testing.assert_array_equal(trajectory.table["loss"], np.float32(losses))
    for step in range(5):
        held = trajectory.weights(step)
        for name in held:
            np.testing.assert_array_equal(held[name], states[step][name])
