"""Distances in place of rows: asked as such, and never taken for rows without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import workbench as wb
from workbench.core.errors import DataError, ParameterError
from workbench.numerics.distances import classical_scaling, require_distances
from workbench.numerics.landmarks import farthest_first
from workbench.numerics.neighbour_ranks import rank_blocks
from workbench.numerics.neighbours import k_nearest
from workbench.numerics.umap_estimator import UMAP

X = np.random.default_rng(0).standard_normal((50, 3))
D = cdist(X, X)
QUICK: dict[str, dict[str, Any]] = {"umap": {"n_epochs": 50}, "tsne": {"max_iter": 250}, "isomap": {}}


@pytest.mark.parametrize("name", QUICK)
def test_distances_are_laid_out_as_the_rows_are(name: str) -> None:
    method = getattr(wb, name)
    rows = method(X, n_null=0, **QUICK[name])
    given = method(D, metric="precomputed", n_null=3, **QUICK[name])
    assert given.evidence[0].value == pytest.approx(rows.evidence[0].value, abs=0.03)
    assert [e.id for e in given.evidence] == ["trustworthiness"]
    assert "no covariance to make a lump of" in given.caveat
    assert "looks like a matrix of distances" not in given.caveat
    if name == "isomap":
        np.testing.assert_allclose(np.abs(given.values), np.abs(rows.values), atol=1e-4)


def test_persistence_of_distances_is_that_of_the_rows() -> None:
    few: dict[str, Any] = {"n_boot": 4}
    rows, given = wb.persistence(X, n_null=0, **few), wb.persistence(D, metric="precomputed", n_null=3, **few)
    np.testing.assert_allclose(given.pairs, rows.pairs, rtol=1e-6)
    assert [e.value for e in given.evidence] == pytest.approx([e.value for e in rows.evidence])
    assert all(not e.null_values and "no lump" in e.untested for e in given.evidence)
    landmarks = wb.persistence(D, metric="precomputed", max_points=20, n_null=0, n_boot=0)
    assert "20 of 50 rows" in landmarks.caveat or "20 landmarks" in landmarks.caveat
    sparse = wb.persistence(
        D[:12, :12], metric="precomputed", homology_dimensions=(0,), sparse=0.5, n_null=0, n_boot=0
    )
    assert len(sparse.pairs)


@pytest.mark.parametrize("ask", [wb.landscape, wb.persistence_image])
def test_what_is_made_of_the_bars_of_distances_is_that_of_the_rows(ask: Any) -> None:
    rows, given = ask(X, n_null=0, n_boot=5), ask(D, metric="precomputed", n_null=3, n_boot=5)
    drawn = "y" if ask is wb.landscape else "values"
    np.testing.assert_allclose(getattr(given, drawn), getattr(rows, drawn), rtol=1e-4, atol=1e-6)
    assert given.evidence[0].value == pytest.approx(rows.evidence[0].value, rel=1e-4)
    assert given.evidence[0].interval == pytest.approx(rows.evidence[0].interval, rel=1e-4)
    assert not given.evidence[0].null_values and "no lump" in given.evidence[0].untested
    few = ask(D, metric="precomputed", max_points=20, n_null=0, n_boot=0)
    assert few.evidence[0].value > 0


@pytest.mark.parametrize("ask", [wb.persistence, wb.pca, wb.umap, wb.spectral_clustering])
def test_what_looks_like_distances_is_told_of_where_it_is_taken_for_rows(ask: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", D)
    small = {n: 0 for n in ("n_null", "n_boot") if n in ask.parameters}
    for _ in range(2):  # the second time from the cache
        said = ask(wb.open(tmp_path / "d.npy"), **small).caveat
        assert said.count("d looks like a matrix of distances") == 1 and "metric='precomputed'" in said
    assert "distances" not in ask(X, **small).caveat
    lopsided = D + np.triu(D)
    assert "looks like" not in ask(lopsided, **small).caveat


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (D[:30], r"has the shape \(30, 50\).*np.ix_"),
        (-D, "negative|is negative"),
        (D + 1, "row 0 at 1 from itself"),
        (D + np.triu(D), "isn't symmetric: rows"),
    ],
)
def test_what_are_no_distances_is_refused(wrong: np.ndarray, words: str) -> None:
    for name in ("umap", "isomap", "persistence"):
        with pytest.raises(DataError, match=words):
            getattr(wb, name)(wrong, metric="precomputed")


def test_a_start_from_columns_and_new_rows_are_refused() -> None:
    with pytest.raises(ParameterError, match="init='pca'"):
        wb.umap(D, metric="precomputed", init="pca")
    fitted = UMAP(metric="precomputed", n_epochs=10, random_state=0).fit(D)
    assert fitted.distortion_.shape == (50,)
    with pytest.raises(ParameterError, match="fit all rows together"):
        fitted.transform(D)


def test_oracle_neighbours_ranks_and_landmarks_of_distances() -> None:
    np.testing.assert_array_equal(k_nearest(D, 5, "precomputed")[0], k_nearest(X, 5)[0])
    ranks = [
        np.concatenate([r for _, r in rank_blocks(*asked)])
        for asked in ((D, "precomputed"), (X, "euclidean"))
    ]
    np.testing.assert_array_equal(*ranks)
    at, radius = farthest_first(D, 10, "precomputed")
    assert radius == D[:, at].min(axis=1).max()
    assert at[0] == D.mean(axis=0).argmax()
    places = classical_scaling(D, 3)
    np.testing.assert_allclose(cdist(places, places), D, atol=1e-9)
    rounded = require_distances(D.astype(np.float32) + np.triu(np.full_like(D, 1e-6), 1), "d")
    assert (rounded == rounded.T).all()
