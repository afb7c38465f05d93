"""Distances don't depend on where the origin lies, nor may what is computed from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.numerics import neighbours, neighbours_torch
from workbench.numerics.near_origin import far_centre, near_origin
from workbench.numerics.spanning_tree import minimum_spanning_tree
from workbench.numerics.umap_estimator import UMAP

FAR = 1e9
X = np.random.default_rng(0).integers(-8, 8, (90, 5)).astype(np.float64)  # whole, so that far away is exact
FEW: dict[str, Any] = {"n_null": 0}


def test_known_answer_only_columns_that_are_far_are_moved() -> None:
    x = np.column_stack([X[:, 0], X[:, 1] + FAR, np.full(len(X), 3.0)])
    centre = far_centre(x)
    assert centre is not None
    assert centre[0] == 0 and centre[1] in x[:, 1] and centre[2] == 3
    moved = near_origin(x)
    assert np.abs(moved).max() <= 16
    assert far_centre(moved) is None
    assert near_origin(X) is X


@pytest.mark.parametrize("move", [lambda x: x, torch.from_numpy])
@pytest.mark.parametrize("metric", ["euclidean", "correlation"])
def test_neighbours_far_away_are_those_near_the_origin(metric: Any, move: Any) -> None:
    near = neighbours.k_nearest(X, 5, metric)
    for found in (
        neighbours.k_nearest(X + FAR, 5, metric),
        neighbours_torch.k_nearest(move(X + FAR), 5, metric, device="cpu").numpy(),
    ):
        np.testing.assert_allclose(found[1], near[1], atol=1e-5)
    asked = neighbours_torch.k_nearest(X + FAR, 1, "euclidean", queries=X[:7] + FAR, device="cpu").numpy()
    np.testing.assert_array_equal(asked[1], 0)


def test_single_precision_far_away_loses_no_more_than_it_holds() -> None:
    x = (X / 16 + 1000).astype(np.float32)
    exact = neighbours.k_nearest(x, 5)[1]
    np.testing.assert_allclose(neighbours_torch.k_nearest(x, 5, device="cpu").numpy()[1], exact, rtol=1e-5)


@pytest.mark.parametrize("name", ["umap", "tsne", "isomap", "spectral_embedding"])
def test_layouts_far_away_are_as_faithful(name: str) -> None:
    method = getattr(wb, name)
    quick = {"max_iter": 250} if name == "tsne" else {"n_epochs": 50} if name == "umap" else {}
    near, far = (method(x, **FEW, **quick).evidence[0].value for x in (X, X + FAR))
    assert far == pytest.approx(near, abs=0.05)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "correlation"])
def test_umap_far_away_has_the_same_graph(metric: str) -> None:
    chosen: dict[str, Any] = {"metric": metric, "n_epochs": 20, "random_state": 0, "device": "cpu"}
    near, far = UMAP(**chosen).fit(X), UMAP(**chosen).fit(X + FAR)
    np.testing.assert_allclose(far.graph_.toarray(), near.graph_.toarray(), atol=1e-3)
    if metric == "euclidean":
        np.testing.assert_array_equal(far.transform(X[:4] + FAR), far.embedding_[:4])
        back = far.inverse_transform(far.embedding_[:4]) - FAR
        assert np.abs(back).max() < 20


def test_spanning_tree_persistence_and_dimension_far_away() -> None:
    for measure in (
        lambda x: minimum_spanning_tree(x, device="cpu").lengths,
        lambda x: wb.persistence(x, n_null=0, n_boot=0).pairs,
        lambda x: wb.intrinsic_dimension(x + np.linspace(0, 1, x.size).reshape(x.shape)).evidence[0].value,
    ):
        np.testing.assert_allclose(measure(X + FAR), measure(X), rtol=1e-3)
