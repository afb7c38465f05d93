"""Density clusters of slices: those of scikit-learn, slice by slice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import DBSCAN

from workbench.numerics.sliced_clusters import sliced_clusters


def expected(x: np.ndarray, slices: np.ndarray, eps: float, min_samples: int) -> list[list[int]]:
    found = []
    for inside in slices.T:
        at = np.flatnonzero(inside)
        labels = DBSCAN(eps=eps, min_samples=min_samples).fit_predict(x[at]) if len(at) else at
        found += [at[labels == k].tolist() for k in range(labels.max(initial=-1) + 1)]
    return sorted(found)


@pytest.mark.parametrize("min_samples", [1, 3, 8])
@pytest.mark.parametrize("eps", [0.3, 1.0, 2.5])
def test_peer_is_scikit_learns_dbscan_of_each_slice(eps: float, min_samples: int) -> None:
    rng = np.random.default_rng(0)
    for kind in range(6):
        x = rng.standard_normal((150, 2)) * (1 + kind % 3)
        x = np.round(x) if kind == 5 else x  # repeats, and rows as near to several clusters
        slices = rng.random((150, 9)) < 0.4
        slices[:, 4] = False
        rows, clusters = sliced_clusters(cdist(x, x) <= eps, slices, min_samples)
        own = sorted(sorted(rows[clusters == c].tolist()) for c in np.unique(clusters))
        assert own == expected(x, slices, eps, min_samples)


def test_all_noise_is_in_no_cluster() -> None:
    rows, clusters = sliced_clusters(np.eye(5, dtype=bool), np.ones((5, 2), bool), 2)
    assert len(rows) == len(clusters) == 0
