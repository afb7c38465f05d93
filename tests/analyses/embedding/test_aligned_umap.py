"""Aligned UMAP as a method: what it says of rows that stay and rows that move, its controls and its estimator."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness

import workbench as wb
from workbench.core.errors import DataError, ParameterError
from workbench.core.result import load
from workbench.numerics.compiling import compiled_code_kept, import_umap
from workbench.numerics.layout_alignment import measure_alignment

FAST = {"n_epochs": 60, "n_null": 19}


def layers(n: int = 120, count: int = 3, noise: float = 0.3, seed: int = 0) -> wb.Activations:
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    rows = rng.standard_normal((n, 6)) + 5 * rng.standard_normal((3, 6))[group]
    steps = noise * rng.standard_normal((count, n, 6)).cumsum(0)
    sites = {f"layer.{i}": (rows + s).astype(np.float32) for i, s in enumerate(steps)}
    return wb.Activations(sites, pd.DataFrame({"group": group}), name="layers")


def test_known_answer_of_rows_that_change_groups() -> None:
    from workbench.subjects.activations import Aligned

    view = layers(noise=0.05).view(Aligned)
    sites = {name: x.copy() for name, x in view.arrays.items()}
    group = view.table["group"].to_numpy()
    moved = np.flatnonzero(group == 0)[:6]
    sites["layer.2"][moved] += sites["layer.2"][group == 1].mean(0) - sites["layer.2"][group == 0].mean(0)
    found = wb.aligned_umap(wb.Activations(sites, view.table, name="planted"), **FAST)
    assert set(np.argsort(-found.displacement()[1])[:6]) == set(moved)
    assert found.frames.shape == (3, 120, 2) and found.frame_names == ("layer.0", "layer.1", "layer.2")
    assert np.array_equal(found.values, found.frames[2])
    assert set(found.table().displacement.nlargest(6).index) == set(moved)


def test_evidence_is_alignment_trust_and_its_cost() -> None:
    found = wb.aligned_umap(layers(), **FAST)
    moves, trust, cost = found.evidence[:2], found.evidence[2:5], found.evidence[5]
    assert all(e.p_value is None and "pulled together" in e.untested and e.value < 0.3 for e in moves)
    for e, x, y in zip(trust, layers()._arrays.values(), found.frames, strict=True):
        assert np.isclose(e.value, trustworthiness(x, y, n_neighbors=10))
        assert e.interval is None and "about a half" in e.untested
    assert cost.value > -0.03
    assert cost.p_value is None and cost.interval is None
    assert np.isclose(found.quality.mean(), np.mean([e.value for e in trust]))
    assert "can be compared" in found.caveat
    assert len(wb.aligned_umap(layers(), n_epochs=60, n_null=0).evidence) == 5


def test_layers_that_share_nothing_are_not_pulled_together() -> None:
    rng = np.random.default_rng(0)
    sites = {f"layer.{i}": rng.standard_normal((150, 6)).astype(np.float32) for i in range(2)}
    free = wb.aligned_umap(wb.Activations(sites, pd.DataFrame(index=range(150)), name="unrelated"), **FAST)
    assert free.evidence[0].value > 0.5


@pytest.mark.slow
def test_peer_umap_learn_is_no_more_faithful_and_no_better_aligned() -> None:
    rng = np.random.default_rng(0)
    digits = load_digits().data[:300]
    steps = 1.5 * rng.standard_normal((3, *digits.shape)).cumsum(0)
    xs = [(digits + s).astype(np.float32) for s in steps]
    acts = wb.Activations(
        {f"layer.{i}": x for i, x in enumerate(xs)}, pd.DataFrame(index=range(300)), name="x"
    )
    same = {i: i for i in range(300)}
    umap = import_umap()
    with warnings.catch_warnings(), compiled_code_kept():  # it compiles its epochs anew in every process
        warnings.simplefilter("ignore")
        peer = umap.AlignedUMAP(random_state=0, n_epochs=200).fit(xs, relations=[same, same])
    trust, moved = {}, {}
    for who, ys in (("ours", wb.aligned_umap(acts, n_null=0).frames), ("theirs", peer.embeddings_)):
        layouts = [np.asarray(y) for y in ys]
        each = [trustworthiness(x, y, n_neighbors=10) for x, y in zip(xs, layouts, strict=True)]
        trust[who] = np.mean(each)
        moved[who] = measure_alignment(layouts, [np.arange(300)] * 2).displacement.mean()
    assert trust["ours"] > trust["theirs"] - 0.005
    assert moved["ours"] < moved["theirs"] * 1.1


def test_estimator_fits_transforms_and_updates_as_umap_learns() -> None:
    from sklearn.base import clone

    xs = list(layers()._arrays.values())
    made = clone(wb.aligned_umap.make_estimator(n_epochs=60, device="cpu"))
    assert made.get_params()["n_epochs"] == 60
    assert made.set_params(alignment_window_size=2).alignment_window_size == 2
    same = {i: i for i in range(120)}
    found = made.fit_transform(xs, relations=[same, same])
    assert [y.shape for y in found] == [(120, 2)] * 3
    assert all(np.array_equal(a, b) for a, b in zip(found, clone(made).fit(xs).embeddings_, strict=True))
    assert made.alignment_.displacement.shape == (2,)
    assert made.transform(xs[0][:4], at=0).shape == (4, 2)
    made.update(xs[2][:100], relations={i: i for i in range(100)})
    assert [len(y) for y in made.embeddings_] == [120, 120, 120, 100]
    assert made.alignment_.displacement[2] < 0.2
    assert not np.array_equal(
        *(clone(made).set_params(random_state=None).fit(xs).embeddings_[0] for _ in range(2))
    )


def test_the_figure_has_a_slider_that_carries_positions_and_survives_without_frames(tmp_path) -> None:
    found = load(wb.aligned_umap(layers(), n_epochs=30, n_null=0).save(tmp_path / "result"))
    for options in ({}, {"color": "displacement"}, {"color": "quality"}):
        drawn = found.figure(**options)
        assert not drawn.frames
        (slider,) = drawn.layout.sliders
        assert [s.label for s in slider.steps] == ["layer.0", "layer.1", "layer.2"] and slider.active == 2
        for step, y in zip(slider.steps, found.frames, strict=True):
            assert np.allclose(step.args[0]["data"][0]["x"], y[:, 0], atol=1e-3)
    grouped = wb.aligned_umap(layers(), n_epochs=30, n_null=0).figure(color=np.repeat(["a", "b"], 60))
    first = grouped.layout.sliders[0].steps[0].args[0]
    assert [len(d["x"]) for d in first["data"]] == [60, 60] and first["traces"] in ([0, 1], (0, 1))
    for n_components, axes in ((1, {"x"}), (3, {"x", "y", "z"})):
        more = wb.aligned_umap(layers(), n_epochs=10, n_null=0, n_components=n_components).figure()
        assert set(more.layout.sliders[0].steps[1].args[0]["data"][0]) == axes
    assert not wb.pca(layers().at("layer.0"), n_null=0).figure().layout.sliders


def test_what_cant_be_laid_out_is_refused_with_its_layer() -> None:
    with pytest.raises(
        DataError, match=r"layers at layer.0 has 120 rows, and n_neighbors=120 takes at least 121"
    ):
        wb.aligned_umap(layers(), n_neighbors=120)
    with pytest.raises(ParameterError, match="min_dist=2 is above spread=1"):
        wb.aligned_umap(layers(), min_dist=2)
    with pytest.raises(DataError, match="n_components=9"):
        wb.aligned_umap(layers(), n_components=9, init="pca")
    with pytest.raises(wb.core.errors.ViewError, match="holds one site"):
        wb.aligned_umap(layers().at("layer.0"))
