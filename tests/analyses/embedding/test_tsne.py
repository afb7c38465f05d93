"""t-SNE: planted clusters stay apart, scikit-learn's own layout."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import DataError

FAST = {"perplexity": 12.0, "max_iter": 300, "n_null": 2}


def test_known_answer_of_planted_clusters() -> None:
    from sklearn.metrics import silhouette_score

    cloud = wb.planted_clusters(n=90, n_clusters=3)
    found = wb.tsne(cloud, **FAST)
    assert silhouette_score(found.values, cloud.table["cluster"]) > 0.7
    assert found.evidence[0].value > 0.85
    assert [e.id for e in found.evidence] == ["trustworthiness", "beyond_one_lump"]


def test_a_closed_curve_is_laid_out_better_than_its_lump() -> None:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 90)
    curve = np.column_stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])
    beyond = wb.tsne(curve, **FAST).evidence[1]
    assert beyond.value > 0.02  # what a lump of four dimensions loses in a plane
    assert beyond.p_value is None
    assert "n_null=19" in beyond.untested


def test_peer_is_scikit_learn() -> None:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    rows = np.random.default_rng(0).standard_normal((60, 5))
    options = {
        "perplexity": 9.0,
        "early_exaggeration": 8.0,
        "max_iter": 260,
        "init": "random",
        "random_state": 4,
    }
    with threadpool_limits(1, user_api="openmp"):
        peer = TSNE(learning_rate=30.0, metric="cosine", **options).fit_transform(rows)
        ours = wb.tsne.make_estimator(learning_rate=30.0, metric="cosine", **options).fit_transform(rows)
    assert np.array_equal(ours, peer)
    assert np.array_equal(
        wb.tsne(rows, learning_rate=30.0, metric="cosine", n_null=0, **options).values, peer
    )
    assert wb.tsne.make_estimator().get_params()["learning_rate"] == "auto"


def test_stopping_at_the_limit_is_said_and_resting_is_not() -> None:
    rows = wb.planted_clusters(n=30, n_clusters=2, random_state=1).values
    stopped = wb.tsne(rows, perplexity=5.0, max_iter=250, n_null=0)
    assert stopped.outcome.status == "stopped"
    assert "max_iter=250" in stopped.outcome.advice
    rested = wb.tsne(rows, perplexity=5.0, max_iter=5000, n_null=0)
    assert rested.outcome.status == "converged"


def test_what_cant_be_laid_out_is_refused() -> None:
    rows = np.random.default_rng(0).standard_normal((20, 2))
    with pytest.raises(DataError, match=r"20 rows, and perplexity=30 takes at least 31"):
        wb.tsne(rows)
    with pytest.raises(DataError, match="at most 2 components"):
        wb.tsne(rows, perplexity=5.0, n_components=3)
    with pytest.raises(
        DataError, match=r"has 3 rows\. A picture of how rows lie among each other takes 4 or more"
    ):
        wb.tsne(rows[:3], perplexity=1.0)
