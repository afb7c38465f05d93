"""Isomap: it unrolls the Swiss roll."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import procrustes_distance

import workbench as wb
from workbench.analyses.embedding import isomap as module
from workbench.core.errors import DataError


def test_known_answer_of_the_swiss_roll() -> None:
    roll = wb.swiss_roll(n=700, dimensions=6)
    found = wb.isomap(roll, n_neighbors=8, n_null=19)
    flat = roll.table[["along", "across"]].to_numpy()
    assert procrustes_distance(found.values, flat) < 0.1
    assert procrustes_distance(wb.pca(roll, n_null=0).values, flat) > 0.5  # what it takes to unroll
    assert found.evidence[0].value > 0.98
    assert found.evidence[1].p_value == 0.05
    assert found.evidence[1].value > 0
    assert found.outcome.advice == ""


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_peer_is_scikit_learn(metric: str) -> None:
    from sklearn.manifold import Isomap

    rows = wb.swiss_roll(n=150).values.astype(float)
    peer = Isomap(n_neighbors=9, n_components=3, metric=metric).fit(rows)
    found = wb.isomap(rows, n_neighbors=9, n_components=3, metric=metric, n_null=0)
    assert np.allclose(
        np.abs(found.values), np.abs(peer.embedding_), atol=1e-3 * np.abs(peer.embedding_).max()
    )
    ours = wb.isomap.make_estimator(n_neighbors=9, metric=metric).fit(rows)
    assert ours.transform(rows[:4]).shape == (4, 2)


def test_pieces_are_said() -> None:
    rows = wb.planted_clusters(n=60, n_clusters=3, separation=40).values
    assert "fell into pieces" in wb.isomap(rows, n_neighbors=4, n_null=0).outcome.advice


def test_what_cant_be_laid_out_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((40, 3))
    with pytest.raises(DataError, match=r"40 rows, and n_neighbors=40 takes at least 41"):
        wb.isomap(rows, n_neighbors=40)
    with pytest.raises(DataError, match="lower n_components"):
        wb.isomap(rows, n_neighbors=5, n_components=35)
    monkeypatch.setattr(module, "MAX_ROWS", 30)
    with pytest.raises(DataError, match=r"subject.sample\(30\)"):
        wb.isomap(rows)
