"""UMAP: planted clusters stay apart, umap-learn's own layout, exact neighbours where it would approximate."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.analyses.embedding import umap as module
from workbench.core.errors import DataError, ParameterError
from workbench.numerics.compiling import import_umap

FAST = {"n_epochs": 100, "n_null": 19}


def test_known_answer_of_planted_clusters() -> None:
    from sklearn.metrics import silhouette_score

    cloud = wb.planted_clusters(n=150, n_clusters=3)
    found = wb.umap(cloud, **FAST)
    assert silhouette_score(found.values, cloud.table["cluster"]) > 0.7
    assert found.evidence[0].p_value == 0.05
    assert found.evidence[0].value > 0.85
    assert found.evidence[1].interval[0] > 0
    assert found.quality.shape == (150,)


def test_peer_is_umap_learn() -> None:
    rows = wb.swiss_roll(n=200).values
    options = {"n_neighbors": 12, "min_dist": 0.3, "metric": "manhattan", "n_epochs": 60, "random_state": 5}
    peer = import_umap().UMAP(n_jobs=1, **options).fit_transform(rows)
    assert np.array_equal(wb.umap(rows, n_null=0, **options).values, peer)
    ours = wb.umap.make_estimator(**options)
    assert np.array_equal(ours.fit_transform(rows), peer)
    assert ours.get_params()["min_dist"] == 0.3
    assert ours.transform(rows[:5]).shape == (5, 2)


def test_exact_neighbours_handed_over_give_the_same_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = wb.planted_clusters(n=300, n_clusters=6, separation=5, random_state=2).values
    plain = wb.umap(rows, n_epochs=200, n_null=0)
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    monkeypatch.setattr(module, "EXACT_ABOVE", 0)
    handed = wb.umap(rows, n_epochs=200, n_null=0)
    assert not np.array_equal(plain.values, handed.values)  # float32 distances, rounded otherwise
    assert abs(plain.evidence[0].value - handed.evidence[0].value) < 0.02


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
