"""UMAP: planted clusters stay apart, as faithful as umap-learn, targets that steer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError
from workbench.numerics import umap_engine
from workbench.numerics.compiling import import_umap

FAST = {"n_epochs": 100, "n_null": 3}


def test_known_answer_of_planted_clusters() -> None:
    from sklearn.metrics import silhouette_score

    cloud = wb.planted_clusters(n=150, n_clusters=3)
    found = wb.umap(cloud, **FAST)
    assert silhouette_score(found.values, cloud.table["cluster"]) > 0.7
    assert found.evidence[0].value > 0.85
    assert [e.id for e in found.evidence] == ["trustworthiness", "beyond_one_lump"]


def test_a_closed_curve_is_laid_out_better_than_its_lump() -> None:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 150)
    curve = np.column_stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])
    beyond = wb.umap(curve, **FAST).evidence[1]
    assert beyond.value > 0.01  # what a lump of four dimensions loses in a plane
    assert beyond.p_value is None
    assert "n_null=19" in beyond.untested


def test_peer_umap_learn_is_no_more_faithful() -> None:
    from sklearn.datasets import load_digits
    from sklearn.manifold import trustworthiness

    rows = load_digits().data[:500].astype(np.float32)
    for options in ({}, {"n_neighbors": 30, "min_dist": 0.4, "metric": "manhattan"}):
        peer = import_umap().UMAP(n_jobs=1, random_state=5, **options).fit_transform(rows)
        ours = wb.umap(rows, n_null=0, random_state=5, **options).values
        metric = options.get("metric", "euclidean")
        kept, theirs = (trustworthiness(rows, y, n_neighbors=15, metric=metric) for y in (ours, peer))
        assert kept > theirs - 0.005


def test_a_large_cloud_is_umap_learns_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(umap_engine, "LIBRARY_FROM", 0)
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    rows = wb.swiss_roll(n=200).values
    options = {"n_neighbors": 12, "min_dist": 0.3, "metric": "manhattan", "n_epochs": 60, "random_state": 5}
    peer = import_umap().UMAP(n_jobs=1, **options).fit_transform(rows)
    assert np.array_equal(wb.umap(rows, n_null=0, device="cpu", **options).values, peer)


def test_the_estimator_is_the_method_without_its_control() -> None:
    rows = wb.swiss_roll(n=200).values
    ours = wb.umap.make_estimator(n_epochs=60, min_dist=0.3)
    assert np.array_equal(ours.fit_transform(rows), wb.umap(rows, n_epochs=60, min_dist=0.3, n_null=0).values)
    assert ours.get_params()["min_dist"] == 0.3


def test_a_target_steers_the_layout_and_the_caveat_says_so() -> None:
    from sklearn.metrics import silhouette_score

    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, 6)).astype(np.float32)
    side = np.where(rows[:, 0] > 0, "right", "left")
    cloud = wb.PointCloud(
        rows, name="ball", table=pd.DataFrame({"side": side, "height": rows[:, 1].astype(float)})
    )
    plain, steered = (wb.umap(cloud, target=t, **FAST) for t in ("", "side"))
    assert silhouette_score(steered.values, side) > silhouette_score(plain.values, side) + 0.2
    assert "made to follow 'side'" in steered.caveat
    assert wb.umap(cloud, target="height", **FAST).values.shape == (200, 2)
    with pytest.raises(MissingError, match="no column 'colour'"):
        wb.umap(cloud, target="colour")
    holed = wb.PointCloud(
        rows, name="ball", table=pd.DataFrame({"height": np.where(rows[:, 0] > 1, np.nan, 1.0)})
    )
    with pytest.raises(DataError, match="no finite 'height'"):
        wb.umap(holed, target="height")


def test_pieces_are_said() -> None:
    rows = wb.planted_clusters(n=90, n_clusters=3, separation=40).values
    assert "fell into 3 pieces" in wb.umap(rows, n_neighbors=5, n_null=0, n_epochs=20).outcome.advice
    joined = wb.umap(wb.swiss_roll(n=100), n_null=0, n_epochs=20)
    assert joined.outcome.advice == ""


def test_what_cant_be_laid_out_is_refused() -> None:
    rows = np.random.default_rng(0).standard_normal((20, 3))
    with pytest.raises(DataError, match=r"20 rows, and n_neighbors=20 takes at least 21"):
        wb.umap(rows, n_neighbors=20)
    with pytest.raises(DataError, match="n_components=19"):
        wb.umap(rows, n_components=19)
    with pytest.raises(DataError, match="are equal"):
        wb.umap(np.ones((20, 3)))
    with pytest.raises(DataError, match="init='pca'"):
        wb.umap(rows, n_components=5, init="pca")
    with pytest.raises(ParameterError, match="min_dist=2 is above spread=1"):
        wb.umap(rows, min_dist=2)
    with pytest.raises(DataError, match="same number in every column"):
        wb.umap(rows[:, :1], metric="correlation")


def test_the_declared_ranges_of_spread_and_min_dist_are_those_where_the_curve_can_be_fitted() -> None:
    fit = import_umap().umap_.find_ab_params
    low, high = wb.umap.parameters["spread"].low, wb.umap.parameters["spread"].high
    with np.errstate(divide="ignore"):
        for spread in (low, 1, high):
            for share in (0, 0.5, 1):
                a, b = fit(spread, share * spread)
                assert a > 0
                assert b > 0


def test_one_row_is_refused_in_words_and_not_by_a_parameter() -> None:
    with pytest.raises(DataError, match=r"has 1 row\. .* give a table with more lines") as refusal:
        wb.umap(wb.PointCloud(np.ones((1, 3)), name="mine"))
    assert "n_neighbors" not in str(refusal.value)
