"""Cluster pairs: found where clusters are, not where one lump was cut; on texts too."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core.errors import DataError
from workbench.results.partition import Partition

FEW = {"n_null": 19}


def found_in(rows: np.ndarray, k: int, table: pd.DataFrame | None = None) -> tuple[wb.PointCloud, Partition]:
    cloud = wb.PointCloud(rows.astype(np.float32), table=table)
    return cloud, wb.spectral_clustering(cloud, n_clusters=k, n_null=0, n_boot=0)


def test_known_answer_clusters_that_are_there_are_found_and_a_cut_lump_is_not() -> None:
    cloud = wb.planted_clusters(n=120, n_clusters=3, separation=12, random_state=1)
    there = wb.cluster_pairs(cloud, wb.spectral_clustering(cloud, n_clusters=3, n_null=0), **FEW)
    assert there.evidence and all(e.p_value == 0.05 and e.value > 0.3 for e in there.evidence)
    lump = np.random.default_rng(0).standard_normal((120, 4))
    cut = wb.cluster_pairs(*found_in(lump, 2), **FEW)
    assert len(cut.evidence) == 1 and cut.evidence[0].p_value > 0.2


def test_only_the_cluster_that_was_cut_is_not_found() -> None:
    """Two clusters far apart, one of which was cut in two."""
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((150, 3)) + np.repeat([[0.0], [12.0]], [100, 50], axis=0)
    labels = np.where(np.arange(150) >= 100, 2, (rows[:, 0] > np.median(rows[:100, 0])).astype(int))
    cloud = wb.PointCloud(rows.astype(np.float32))
    result = wb.cluster_pairs(
        cloud, Partition(labels=labels, ids=cloud.ids, names=("low", "high", "far")), **FEW
    )
    assert result.evidence_of("apart", "low and high").p_value > 0.2
    (other,) = (e for e in result.evidence if "far" in e.of)
    assert other.p_value == 0.05


def test_peer_the_number_is_the_silhouette_of_the_pair() -> None:
    from sklearn.metrics import silhouette_score

    cloud = wb.planted_clusters(n=60, n_clusters=2, separation=3, random_state=3)
    labels = (cloud.table["cluster"] == cloud.table["cluster"].iloc[0]).to_numpy().astype(int)
    labels[:5] = -1  # rows without a cluster take no part
    (asked,) = wb.cluster_pairs(cloud, Partition(labels=labels, ids=cloud.ids), n_null=0).evidence
    kept = labels >= 0
    assert asked.value == pytest.approx(silhouette_score(cloud.values[kept], labels[kept]))
    assert asked.n == 55 and asked.of == "0 and 1" and asked.p_value is None


def test_one_cluster_is_refused_and_a_pair_of_few_rows_is_not_tested() -> None:
    cloud = wb.PointCloud(np.random.default_rng(4).standard_normal((12, 2)).astype(np.float32))
    with pytest.raises(DataError, match="1 clusters; a pair takes two"):
        wb.cluster_pairs(cloud, Partition(labels=np.zeros(12, int), ids=cloud.ids))
    labels = np.repeat([0, 1, -1], [4, 4, 4])
    (asked,) = wb.cluster_pairs(cloud, Partition(labels=labels, ids=cloud.ids), **FEW).evidence
    assert "it takes at least 11" in asked.untested


@cache
def p_value(seed: int, kind: str) -> float | None:
    rng = np.random.default_rng([seed, 11])
    table = None
    if kind == "texts":
        table = pd.DataFrame({"text_id": np.repeat(np.arange(15), 4)})
        rows = rng.standard_normal((15, 3))[table["text_id"]] + rng.standard_normal((60, 3))
    else:
        rows = rng.standard_normal((60, 3)) * [1, 1, 3]
    return wb.cluster_pairs(*found_in(rows, 2, table), **FEW).evidence[0].p_value


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lump", "texts"])
def test_calibrated_for_one_lump_that_was_cut(kind: str) -> None:
    assert_calibrated(lambda seed: p_value(seed, kind), runs=60, exact=False)
