"""Spectral embedding: a circle's first two modes are its cosine and sine."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import procrustes_distance

import workbench as wb
from workbench.core.errors import DataError
from workbench.numerics import neighbour_ranks, walks
from workbench.subjects.points import Points


def test_known_answer_of_a_circle() -> None:
    n = 240
    angle = 2 * np.pi * np.arange(n) / n
    circle = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(n)])
    bent = np.column_stack([circle[:, 0], circle[:, 1], np.sin(3 * angle)])  # a closed curve in space
    for rows in (circle, bent):
        found = wb.spectral_embedding(rows, n_neighbors=7, n_null=19)
        assert procrustes_distance(found.values, circle[:, :2]) < 0.15
        assert found.evidence[0].value > 0.98
        assert found.evidence[1].value > -0.01
    assert (
        found.evidence[1].p_value == 0.05
    )  # a closed curve in space; a circle's lump lies in a plane as it does


def test_peer_is_scikit_learn() -> None:
    from sklearn.manifold import SpectralEmbedding

    rows = wb.swiss_roll(n=150).values.astype(float)
    peer = SpectralEmbedding(3, affinity="nearest_neighbors", n_neighbors=10, random_state=0).fit_transform(
        rows
    )
    found = wb.spectral_embedding(rows, n_components=3, n_neighbors=10, n_null=0)
    assert np.allclose(found.values, peer, atol=1e-6)
    ours = wb.spectral_embedding.make_estimator(n_components=3, n_neighbors=10)
    assert np.allclose(ours.fit_transform(rows), peer)


def test_pieces_are_said() -> None:
    rows = wb.planted_clusters(n=60, n_clusters=2, separation=40).values
    assert "fell into 2 pieces" in wb.spectral_embedding(rows, n_neighbors=5, n_null=0).outcome.advice


def test_what_cant_be_laid_out_is_refused() -> None:
    rows = np.random.default_rng(0).standard_normal((12, 3))
    with pytest.raises(DataError, match=r"12 rows, and n_neighbors=15 takes at least 16"):
        wb.spectral_embedding(rows)
    with pytest.raises(DataError, match="are equal"):
        wb.spectral_embedding(np.zeros((30, 3)))


@pytest.mark.parametrize("pieces", [1, 2])
def test_devices_agree(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = walks.walk_in_torch
    monkeypatch.setattr("workbench.core.device._usable", lambda: True)
    monkeypatch.setattr(walks, "walk_in_torch", lambda x, k, n, _, *rest: on_gpu(x, k, n, "cpu", *rest))
    monkeypatch.setattr("workbench.analyses.embedding._layouts._held", lambda x, metric, device: x)
    on_device = neighbour_ranks.TorchSpace
    monkeypatch.setattr(neighbour_ranks, "TorchSpace", lambda x, metric, _: on_device(x, metric, "cpu"))
    rows = wb.swiss_roll(n=400).values
    rows = np.vstack([rows + 500 * i for i in range(pieces)])
    here, there = (
        wb.spectral_embedding.function(wb.PointCloud(rows).view(Points), n_components=3, n_null=0, device=d)
        for d in ("cpu", "cuda")
    )
    assert here.outcome == there.outcome
    a, b = (np.linalg.qr(found.values.astype(float))[0] for found in (here, there))
    cosines = np.linalg.svd(a.T @ b, compute_uv=False)
    assert cosines.min() > 1 - 1e-4  # the same subspace
    assert here.evidence[0].value == pytest.approx(there.evidence[0].value, abs=1e-3)
