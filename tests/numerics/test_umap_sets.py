"""Small sets laid out together are laid out as each is alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.manifold import trustworthiness

from workbench.numerics import umap_torch
from workbench.numerics.preservation import trust_of_rows
from workbench.numerics.umap_estimator import UMAP
from workbench.numerics.umap_sets import BESIDE, _read, fit_sets, together, trusts


def sets(count: int = 3, m: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((m, 6)) * [5, 3, 2, 1, 1, 1]).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation"])
@pytest.mark.parametrize("n_components", [2, 3])
def test_a_few_steps_equal_those_of_each_alone(metric, n_components) -> None:
    settings = {
        "metric": metric,
        "n_components": n_components,
        "n_neighbors": 7,
        "n_epochs": 1,
        "random_state": 4,
    }
    xs = sets()
    for x, y in zip(xs, together(torch.stack([torch.from_numpy(x) for x in xs]), **settings), strict=True):
        alone = umap_torch.fit(x, device="cpu", **settings).embedding
        torch.testing.assert_close(y, alone, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation"])
@pytest.mark.parametrize("n_components", [2, 3])
def test_on_a_cpu_they_are_those_of_each_alone_to_the_last_bit(metric, n_components) -> None:
    settings = {
        "metric": metric,
        "n_components": n_components,
        "n_neighbors": 7,
        "n_epochs": 60,
        "random_state": 4,
    }
    xs = sets()
    for x, y in zip(xs, fit_sets(xs, device="cpu", **settings), strict=True):
        assert torch.equal(y, umap_torch.fit(x, device="cpu", **settings).embedding)


def test_whole_layouts_are_as_faithful() -> None:
    xs = sets(2, 120)
    both = together(torch.stack([torch.from_numpy(x) for x in xs]), n_epochs=150)
    for x, y in zip(xs, both, strict=True):
        alone = umap_torch.fit(x, device="cpu", n_epochs=150).embedding
        ours, theirs = (trustworthiness(x, z.numpy(), n_neighbors=8) for z in (y, alone))
        assert abs(ours - theirs) < 0.02


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "correlation"])
def test_trust_is_that_of_each_alone(metric) -> None:
    xs = [*sets(2, 50), *sets(1, 40)]
    ys = [x[:, 1:3] for x in xs]
    each = [trust_of_rows(x, y, 6, metric=metric).mean() for x, y in zip(xs, ys, strict=True)]
    assert trusts(xs, ys, 6, metric, device="cpu") == pytest.approx(each)
    assert trusts(xs[:2], ys[:2], 6, metric, device="cpu") == pytest.approx(each[:2])


def test_sets_of_several_sizes_are_laid_out_one_by_one() -> None:
    xs = [sets(1, 30)[0], sets(1, 40)[0]]
    for x, y in zip(xs, fit_sets(xs, device="cpu", n_epochs=20), strict=True):
        assert torch.equal(y, umap_torch.fit(x, device="cpu", n_epochs=20).embedding)


def test_what_asks_for_more_than_the_rows_is_left_to_a_fit_of_each() -> None:
    chosen = UMAP(min_dist=0.3)._chosen()
    read = _read(chosen)
    assert read is not None
    x = torch.from_numpy(np.stack(sets(2, 20)))
    assert together(x, **{**read, "n_epochs": 2}).shape == (2, 20, 2)
    assert set(chosen) - set(read) == {*BESIDE, "init", "densmap"}
    start = np.zeros((20, 2), np.float32)
    for more in ({"init": start}, {"init": "pca"}, {"densmap": True}, {"y": np.arange(20)}):
        assert _read({**chosen, **more}) is None
    with pytest.raises(TypeError, match="spreed"):
        together(x, spreed=2.0)
