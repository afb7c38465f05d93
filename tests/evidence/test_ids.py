"""Every method names its questions: no two answers of a result alike, and alike for other data and parameters."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.core.result import Result
from workbench.subjects.descents.siblings import Siblings
from workbench.subjects.descents.trajectory import Trajectory

FEW = {"n_null": 3, "n_boot": 3}


@cache
def descent(seed: int) -> Trajectory:
    return wb.digits_descent(width=6, steps=40, random_state=seed)


@cache
def siblings(seed: int) -> Siblings:
    return wb.digits_siblings(models=2, width=6, depth=1, steps=20, random_state=seed)


def cloud(seed: int) -> Any:
    return wb.planted_clusters(n=90, random_state=seed)


def layers(seed: int) -> Any:
    x = cloud(seed).values
    rng = np.random.default_rng(seed)
    held = {f"layer.{i}": x + i * rng.standard_normal(x.shape).astype(np.float32) for i in range(3)}
    return wb.Activations(held, cloud(seed).table)


def wave(seed: int) -> Any:
    return wb.TimeSeries(np.sin(np.arange(200) / 5 + seed))


def graph(seed: int) -> Any:
    return wb.GraphSubject(np.random.default_rng(seed).integers(0, 20, (60, 2)), 20)


def weight(seed: int) -> Any:
    return descent(seed).at(40).at("0.weight")


ASKED: dict[str, tuple[Any, dict[str, Any]]] = {
    "linear_probe": (cloud, {"label": "cluster", "control": "cluster"}),
    "pca": (cloud, FEW),
    "isomap": (cloud, {"n_null": 3}),
    "singular_values": (weight, {"n_null": 3}),
    "weights": (lambda seed: descent(seed).at(40), {"n_null": 3}),
    "spectral_clustering": (cloud, {**FEW, "n_clusters": 3}),
    "intrinsic_dimension": (cloud, FEW),
    "persistence": (cloud, {**FEW, "homology_dimensions": (0, 1)}),
    "persistence_image": (cloud, FEW),
    "landscape": (cloud, FEW),
    "mapper": (cloud, {"n_null": 3}),
    "takens": (wave, {"n_null": 3}),
    "pagerank": (graph, {"n_null": 3}),
    "cka": (layers, {"n_null": 3}),
    "barcode_distance": (layers, FEW),
    "aligned_umap": (layers, {"n_null": 3}),
    "neighbourhood_preservation": (lambda seed: layers(seed).at("layer.0", "layer.2"), {"n_null": 3}),
    "descent_law": (descent, FEW),
    "plateaus": (descent, FEW),
    "renormalization_pictures": (descent, FEW),
    "activation_rank": (descent, {**FEW, "max_steps": 2}),
    "gradient_rank": (descent, {**FEW, "max_steps": 2}),
    "output_entropy": (descent, {**FEW, "max_steps": 2}),
    "sameness": (descent, {**FEW, "max_steps": 2}),
    "neural_collapse": (descent, {**FEW, "max_steps": 2}),
    "hessian_spectrum": (descent, {"max_steps": 2, "n_null": 3}),
    "hessian_density": (descent, {"n_null": 3}),
    "update_alignment": (descent, {"n_null": 3}),
    "loss_landscape": (descent, {**FEW, "points": 5}),
    "loss_slice": (descent, {**FEW, "points": 5}),
    "renormalize": (descent, {"budget": 4, "repeats": 3, "arm": "flattening", "n_null": 3}),
    "tethers": (descent, FEW),
    "tether_agreement": (descent, {**FEW, "sources": ("magnitude", "movement", "fisher")}),
    "tether_ablation": (descent, {**FEW, "sources": ("magnitude", "movement")}),
    "bookmark_stability": (descent, FEW),
    "interpolation_barrier": (siblings, {**FEW, "points": 5}),
    "tether_compatibility": (siblings, {"sources": ("magnitude", "movement"), "n_null": 3, "steps": 1}),
    "ensemble": (siblings, {"rounds": 2, "repeats": 3, "n_null": 3}),
    "ensemble_tethers": (siblings, {"rounds": 2, "repeats": 3}),
}


def ask(name: str, seed: int = 0, **more: Any) -> Result:
    subject, parameters = ASKED[name]
    return wb.method(name)(subject(seed), **{**parameters, **more}, random_state=seed)


@pytest.mark.parametrize("name", ASKED)
def test_no_two_answers_have_id_and_of_in_common_and_each_null_has_its_hypothesis(name: str) -> None:
    result = ask(name)
    named = [(e.id, e.of) for e in result.evidence]
    assert len(set(named)) == len(named) > 0
    assert all(result.evidence_of(*key) is e for key, e in zip(named, result.evidence, strict=True))
    tested = [e for e in result.evidence if e.null_values]
    assert all(e.null and e.hypothesis and not e.untested for e in tested)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("pca", {"n_components": 3}),
        ("intrinsic_dimension", {"n_neighbors": 12}),
        ("spectral_clustering", {"n_clusters": 2}),
        ("renormalization_pictures", {"at": 6.0}),
        ("output_entropy", {"max_steps": 3}),
        ("tether_compatibility", {"measure": "procrustes"}),
        ("ensemble_tethers", {"rounds": 2, "fraction": 0.5}),
    ],
)
def test_parameters_and_data_change_labels_and_no_names(name: str, more: dict[str, Any]) -> None:
    one, other = ask(name), ask(name, 1, **more)
    assert [(e.id, e.of) for e in one.evidence] == [(e.id, e.of) for e in other.evidence]
