"""All restarts at once find what scikit-learn's k-means finds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from workbench.numerics.small_k_means import k_means


def inertia(x: np.ndarray, labels: np.ndarray) -> float:
    return float(sum(np.square(x[labels == c] - x[labels == c].mean(axis=0)).sum() for c in set(labels)))


@pytest.mark.parametrize(("n", "p", "k"), [(300, 8, 8), (150, 8, 8), (300, 3, 3), (40, 2, 15)])
def test_inertia_is_as_low_as_the_librarys(n: int, p: int, k: int) -> None:
    ours, theirs = 0.0, 0.0
    for seed in range(40):
        x = np.random.default_rng(seed).standard_normal((n, p))
        ours += inertia(x, k_means(x, k, 10, seed))
        theirs += inertia(x, KMeans(k, n_init=10, random_state=seed).fit_predict(x))
    assert ours <= 1.01 * theirs


def test_known_answer_of_blobs_far_from_the_origin() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 6, 300)
    x = 1e4 + 10 * rng.standard_normal((6, 4))[truth] + rng.standard_normal((300, 4))
    assert adjusted_rand_score(truth, k_means(x, 6, 10, 0)) == 1


def test_no_centre_stays_empty() -> None:
    x = np.repeat(np.random.default_rng(0).standard_normal((5, 2)), [60, 1, 1, 1, 1], axis=0)
    for seed in range(40):
        labels = k_means(x, 5, 3, seed)
        assert len(set(labels)) == 5 and inertia(x, labels) == pytest.approx(0, abs=1e-9)


def test_same_seed_same_labels() -> None:
    x = np.random.default_rng(0).standard_normal((200, 5))
    np.testing.assert_array_equal(k_means(x, 7, 10, 3), k_means(x, 7, 10, 3))
