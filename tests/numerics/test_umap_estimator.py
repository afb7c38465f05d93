"""The UMAP estimator: scikit-learn's own checks, both engines behind one interface, distortion that finds what is torn."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, make_blobs
from sklearn.manifold import trustworthiness
from sklearn.utils.estimator_checks import parametrize_with_checks

from workbench.core.errors import MissingError, ParameterError
from workbench.numerics import umap_engine
from workbench.numerics.umap_estimator import UMAP


@parametrize_with_checks([UMAP(n_epochs=30, random_state=0, device="cpu")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_peer_scikit_learn_checks_it(estimator, check) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_both_engines_are_as_faithful_and_serve_the_same_calls(metric, monkeypatch) -> None:
    x = load_digits().data[:400]
    scores = {}
    for engine, least in (("torch", 10**9), ("umap-learn", 0)):
        monkeypatch.setattr(umap_engine, "LIBRARY_FROM", least)
        model = UMAP(metric=metric, random_state=0, n_epochs=200, device="cpu").fit(x[:360])
        assert model.engine_ == engine
        assert model.graph_.shape == (360, 360)
        assert model.transform(x[360:]).shape == (40, 2)
        assert model.inverse_transform(model.embedding_[:5]).shape == (5, 64)
        assert model.distortion_.shape == (360,)
        scores[engine] = trustworthiness(x[:360], model.embedding_, n_neighbors=10, metric=metric)
    assert abs(scores["torch"] - scores["umap-learn"]) < 0.02


def test_without_umap_learn_torch_answers_for_any_size(monkeypatch) -> None:
    monkeypatch.setattr(umap_engine, "LIBRARY_FROM", 0)
    monkeypatch.setitem(sys.modules, "workbench.numerics.compiling", None)
    model = UMAP(random_state=0, n_epochs=20, device="cpu").fit(load_digits().data[:100])
    assert model.engine_ == "torch"


def test_known_answer_of_distortion_is_high_where_rows_were_moved() -> None:
    x, _ = make_blobs(200, 5, centers=2, random_state=0)
    model = UMAP(random_state=0, n_epochs=100, device="cpu").fit(x)
    before = model.distortion_.copy()
    assert ((before >= 0) & (before <= 1)).all()
    torn = UMAP(random_state=0, n_epochs=100, device="cpu").fit(x)
    torn.embedding_[:10] += 100 * np.arange(1, 11)[:, None]
    assert torn.distortion_[:10].mean() > before[:10].mean() + 0.2


def test_densities_and_labels_are_taken() -> None:
    x, label = make_blobs(150, 5, centers=3, cluster_std=[0.3, 1, 3], random_state=0)
    dense = UMAP(densmap=True, random_state=0, device="cpu").fit(x)
    assert np.corrcoef(dense.rad_orig_, dense.rad_emb_)[0, 1] > 0.5
    named = UMAP(random_state=0, n_epochs=50, device="cpu").fit(x, np.array(["a", "b", "c"])[label])
    numbered = UMAP(random_state=0, n_epochs=50, device="cpu").fit(x, label)
    assert np.array_equal(named.embedding_, numbered.embedding_)


def test_refusals() -> None:
    x = load_digits().data[:50]
    with pytest.raises(ParameterError, match="device"):
        UMAP(device="tpu").fit(x)
    with pytest.raises(ValueError, match="3 is required"):
        UMAP().fit(x[:2])
    with pytest.raises(ParameterError, match="3 coordinates and the layout has 2"):
        UMAP(n_epochs=10, device="cpu").fit(x).inverse_transform(np.zeros((4, 3)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(MissingError, match="no GPU"):
        UMAP(device="cuda").fit(load_digits().data[:50])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", 1.5),
        ("n_components", 0),
        ("n_neighbors", "15"),
        ("n_epochs", -1),
        ("n_epochs", 10.5),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("repulsion_strength", -0.5),
        ("negative_sample_rate", True),
        ("target_n_neighbors", -2),
        ("target_n_neighbors", 1),
        ("dens_lambda", -1.0),
        ("dens_frac", 1.1),
        ("dens_var_shift", -0.1),
    ],
)
def test_an_illegal_parameter_is_refused_by_name(name, value) -> None:
    with pytest.raises(ParameterError, match=f"{name}={value!r} must be"):
        UMAP(device="cpu", **{name: value}).fit(np.random.default_rng(0).normal(size=(20, 3)))
