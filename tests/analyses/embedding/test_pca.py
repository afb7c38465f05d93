"""Principal components: planes that were planted, scikit-learn's numbers, a test that keeps its level."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core.errors import DataError

FEW = {"n_null": 19, "n_boot": 50}


def test_known_answer_of_a_plane_and_a_rotated_copy() -> None:
    circle = wb.circle(n=300, noise=0, dimensions=12)
    found = wb.pca(circle, **FEW)
    assert np.isclose(found.evidence[0].value, 1)
    assert found.evidence[0].p_value == 0.05
    assert np.allclose(found.quality, 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(found.values - found.values.mean(axis=0), axis=1), 1, atol=0.2)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((100, 5)) * [5, 4, 3, 2, 1]
    turned = rows @ np.linalg.qr(rng.standard_normal((5, 5)))[0]
    a, b = wb.pca(rows, n_components=3, **FEW), wb.pca(turned, n_components=3, **FEW)
    assert np.allclose(np.abs(a.values), np.abs(b.values), atol=1e-4)


@pytest.mark.parametrize("whiten", [False, True])
def test_peer_is_scikit_learn(whiten: bool) -> None:
    from sklearn.decomposition import PCA

    rows = np.random.default_rng(1).standard_normal((80, 9)) * np.arange(1, 10)
    found = wb.pca(rows, n_components=3, whiten=whiten, svd_solver="full", **FEW)
    peer = PCA(3, whiten=whiten, svd_solver="full").fit(rows)
    assert np.allclose(np.abs(found.values), np.abs(peer.transform(rows)), atol=1e-5)
    assert np.isclose(found.evidence[0].value, peer.explained_variance_ratio_.sum())
    ours = wb.pca.make_estimator(n_components=3, whiten=whiten, svd_solver="full").fit(rows)
    assert np.allclose(ours.components_, peer.components_)


def test_more_rows_than_a_block_and_a_direction_without_variance_are_as_in_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    rows = np.random.default_rng(4).standard_normal((1100, 3)).astype(np.float32) + 100
    rows = np.hstack([rows, rows[:, :1]])
    found = wb.pca(rows, n_components=4, whiten=True, svd_solver="full", **FEW)
    peer = PCA(4, whiten=True, svd_solver="full").fit(rows)
    assert np.allclose(np.abs(found.values[:, :3]), np.abs(peer.transform(rows)[:, :3]), atol=1e-3)
    assert np.isfinite(found.values).all()
    assert np.allclose(found.quality, 1)


@pytest.mark.slow
def test_calibrated_where_columns_share_nothing() -> None:
    def p(seed: int) -> float:
        rows = np.random.default_rng(seed).standard_normal((40, 6)) * [3, 2, 1, 1, 1, 0.5]
        return wb.pca.function(wb.PointCloud(rows).as_points(), n_null=19, n_boot=0).evidence[0].p_value

    assert_calibrated(p)


@pytest.mark.slow
def test_interval_covers_the_share_in_the_population() -> None:
    scale = np.sqrt(np.r_[6, 4, np.ones(10)])
    hits = 0
    for seed in range(100):
        rows = np.random.default_rng(seed).standard_normal((400, 12)) * scale
        low, high = wb.pca.function(wb.PointCloud(rows).as_points(), n_null=0).evidence[0].interval
        hits += low <= 0.5 <= high
    assert hits >= 87  # 95 expected; below this with probability 0.001


def test_more_rows_than_the_control_takes_are_said() -> None:
    rows = np.random.default_rng(2).standard_normal((1200, 4))
    rows[:, 1] += rows[:, 0]
    evidence = wb.pca(rows, n_components=1, **FEW).evidence[0]
    assert "1,000 of the rows" in evidence.null_details
    assert evidence.p_value == 0.05
    assert evidence.interval[0] < evidence.value < evidence.interval[1]


def test_what_has_no_variance_or_too_few_rows_is_refused() -> None:
    with pytest.raises(DataError, match="are equal"):
        wb.pca(np.ones((10, 3)))
    with pytest.raises(DataError, match="at most 2 components exist, n_components=3"):
        wb.pca(np.eye(2, 5), n_components=3)
    with pytest.raises(DataError, match="Multiply all columns"):
        wb.pca(np.random.default_rng(0).standard_normal((20, 3)) * 1e30)


def test_all_components_explain_everything_and_never_more_than_chance() -> None:
    rows = np.random.default_rng(3).standard_normal((30, 4)).astype(np.float32)
    evidence = wb.pca(np.hstack([rows, np.ones((30, 1), np.float32)]), n_components=4, **FEW).evidence[0]
    assert evidence.value == 1
    assert evidence.p_value == 1
