"""Spectral clustering: planted clusters, scikit-learn's labels, tests that keep their level, names by tokens."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import assert_calibrated
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

import workbench as wb
from workbench.analyses.clustering._clusters import (
    cut_per_cluster,
    largest_first,
    least_cut,
)
from workbench.analyses.clustering._naming import typical_tokens
from workbench.core.errors import DataError
from workbench.numerics import walks
from workbench.numerics.laplacian import eigengap
from workbench.subjects.points import Points

FEW = {"n_null": 19, "n_boot": 30}


def two_rings(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A ring inside another, which no straight cut parts."""
    angle = 2 * np.pi * np.arange(n) / n
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    return np.vstack([ring, 4 * ring]), np.repeat([0, 1], n)


@pytest.mark.parametrize("k", [3, 5])
def test_known_answer_of_planted_clusters(k: int) -> None:
    cloud = wb.planted_clusters(n=40 * k, n_clusters=k, separation=8, random_state=1)
    found = wb.spectral_clustering(cloud, **FEW)
    assert found.n_groups == k  # by the eigengap
    assert adjusted_rand_score(found.labels, cloud.table["cluster"]) > 0.95
    of = {e.id: e for e in found.evidence}
    assert of["least_cut"].p_value == 0.05
    assert of["least_cut"].value <= of["cut_per_cluster"].value
    assert of["least_cut"].n == 40 * k
    assert of["stability"].value > 0.9  # half of the rows give the same clusters
    assert of["silhouette"].value > 0.3
    for name in ("least_cut", "cut_per_cluster", "silhouette"):
        low, high = of[name].interval
        assert low <= of[name].value <= high
    told = wb.spectral_clustering(cloud, n_clusters=k, **FEW)
    assert np.array_equal(told.labels, found.labels)
    p = {e.id: e.p_value for e in told.evidence}
    assert p == {"least_cut": 0.05, "stability": None, "cut_per_cluster": 0.05, "silhouette": 0.05}


def test_known_answer_of_two_rings() -> None:
    rows, ring = two_rings(100)
    found = wb.spectral_clustering(rows, n_clusters=2, n_null=0)
    assert adjusted_rand_score(found.labels, ring) == 1
    assert {e.id: e.value for e in found.evidence}["cut_per_cluster"] == 0
    assert "fell into 2 pieces" in found.outcome.advice


@pytest.mark.parametrize("separation", [4, 5])
def test_peer_is_scikit_learn(separation: float) -> None:
    from sklearn.cluster import SpectralClustering

    cloud = wb.planted_clusters(n=240, n_clusters=4, dimensions=6, separation=separation, random_state=3)
    peer = SpectralClustering(4, affinity="nearest_neighbors", n_neighbors=12, random_state=0).fit_predict(
        cloud.values
    )
    found = wb.spectral_clustering(cloud, n_clusters=4, n_neighbors=12, n_null=0, n_boot=0)
    assert adjusted_rand_score(found.labels, peer) > 0.95
    ours = wb.spectral_clustering.make_estimator(n_clusters=4, n_neighbors=12).fit(cloud.values)
    assert adjusted_rand_score(ours.labels_, peer) == 1


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters", [None, 3])
def test_calibrated_on_one_gaussian_lump(n_clusters: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walks, "RESTARTS", 1)
    p = {}

    def asked(seed: int) -> list[float]:
        if seed not in p:
            rows = np.random.default_rng(seed).standard_normal((40, 4))
            found = wb.spectral_clustering.function(
                wb.PointCloud(rows).view(Points), n_clusters=n_clusters, max_clusters=6, n_null=19, n_boot=0
            )
            p[seed] = [e.p_value for e in found.evidence if e.p_value is not None]
        return p[seed]

    tests = len(asked(0))
    assert tests == (1 if n_clusters is None else 3)
    for i in range(tests):
        assert_calibrated(lambda seed, i=i: asked(seed)[i], runs=60, exact=False)


def test_one_lump_is_said_to_be_one() -> None:
    lump = wb.planted_clusters(n=200, separation=0)
    found = wb.spectral_clustering(lump, n_null=19, n_boot=0)
    (apart,) = found.evidence
    assert apart.id == "least_cut"
    assert apart.p_value > 0.05
    assert found.n_groups == 1
    assert "one cluster" in found.outcome.advice
    split = wb.spectral_clustering(lump, n_clusters=3, n_null=19, n_boot=10)
    assert split.n_groups == 3  # who asks for three gets three
    p = {e.id: e.p_value for e in split.evidence}
    assert min(p["cut_per_cluster"], p["silhouette"]) > 0.05


def test_the_number_of_clusters_that_half_of_the_rows_dont_give_is_unstable() -> None:
    cloud = wb.planted_clusters(n=200, n_clusters=3, separation=8, random_state=1)
    right, wrong = (
        {e.id: e.value for e in wb.spectral_clustering(cloud, n_clusters=k, n_null=0, n_boot=20).evidence}
        for k in (3, 7)
    )
    assert right["stability"] > 0.9 > 0.75 > wrong["stability"]


def test_unstable_clusters_whose_rows_lie_nearer_to_others_are_left_as_one() -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [rng.standard_normal((150, 8)), 8 * rng.standard_normal((60, 8))]
    )  # a core and its halo
    found = wb.spectral_clustering(rows, n_null=0, n_boot=20)
    assert found.n_groups == 1
    assert "nearer to another cluster than to their own" in found.outcome.advice
    drawn = wb.spectral_clustering(rows, n_clusters=7, n_null=0, n_boot=20)
    of = {e.id: e.value for e in drawn.evidence}
    assert of["silhouette"] < 0
    assert of["stability"] < 0.75


@pytest.mark.parametrize(("k", "d"), [(2, 2), (3, 2), (4, 5), (6, 5), (3, 20)])
def test_blobs_five_deviations_apart_are_counted(k: int, d: int) -> None:
    from workbench.calibrating.worlds.clusters import blobs
    from workbench.numerics.walks import walk

    counted = [
        eigengap(walk(blobs(np.random.default_rng([s, k, d]), k, 5.0, 240, d), 17, 9).values)
        for s in range(10)
    ]
    assert counted.count(k) >= 8


def test_few_groups_are_an_answer_with_its_reason() -> None:
    rows = np.random.default_rng(0).standard_normal((90, 4))
    for texts in (np.arange(90) // 30, np.zeros(90, int)):
        cloud = wb.PointCloud(rows, table=pd.DataFrame({"text_id": texts}))
        found = wb.spectral_clustering(cloud, **FEW)
        assert found.evidence[0].p_value is None
        assert found.evidence[0].untested
    alike = rows[np.arange(90) % 8] + 0.05 * rows[::-1]
    again = wb.PointCloud(alike, table=pd.DataFrame({"token": (np.arange(90) % 8).astype(str)}))
    assert "8 tokens" in wb.spectral_clustering(again, **FEW).evidence[0].untested


def test_clusters_are_numbered_from_the_largest() -> None:
    assert largest_first(np.array([5, 2, 2, 9, 9, 7])).tolist() == [2, 0, 0, 1, 1, 3]
    sizes = np.bincount(wb.spectral_clustering(wb.planted_clusters(n=100), n_null=0).labels)
    assert (np.diff(sizes) <= 0).all()


def test_cut_spectrum_and_gap_are_what_they_are_called() -> None:
    path = csr_array(np.diag([1.0, 1, 1], 1) + np.diag([1.0, 1, 1], -1))
    assert cut_per_cluster(path, np.array([0, 0, 1, 1])) == pytest.approx(1 / 3)  # 1 of 3 on either side
    assert eigengap(np.array([0, 0.01, 0.02, 0.5, 0.55])) == 3
    assert eigengap(np.array([0, 0.9, 0.95, 0.97])) == 2  # one cluster is no clustering
    rows = wb.planted_clusters(n=120, n_clusters=4, separation=6).values
    found = wb.spectral_clustering(rows, n_clusters=4, n_null=0, n_boot=0)
    assert (
        least_cut(found.spectrum, 4) <= {e.id: e.value for e in found.evidence}["cut_per_cluster"]
    )  # Ky Fan
    assert found.spectrum[0] == pytest.approx(0, abs=1e-9)
    assert (np.diff(found.spectrum) >= 0).all()


def test_clusters_are_named_by_what_they_have_more_of() -> None:
    rng = np.random.default_rng(4)
    cloud = wb.planted_clusters(n=300, n_clusters=3, separation=15)
    own = np.array([["river", "lake", "sea"], ["tax", "bank", "loan"], ["oak", "elm", "fir"]])
    group = cloud.table["cluster"].to_numpy()
    tokens = np.where(rng.random(300) < 0.5, "the", own[group, rng.integers(0, 3, 300)])
    named = wb.PointCloud(cloud.values, table=pd.DataFrame({"token": tokens}))
    found = wb.spectral_clustering(named, n_clusters=3, n_null=0, n_boot=0)
    for g in range(3):
        said, share = found.name_of(g).rstrip(")").split(" (")
        words = set(said.split(", "))
        inside = np.isin(tokens[found.labels == g], list(words)).mean()
        assert share == f"{inside:.0%}".replace("%", " %")
        assert words == set(own[group[found.labels == g][0]])
    assert wb.spectral_clustering(cloud, n_null=0).names == ()


def test_names_are_short_and_there_is_one_for_every_cluster() -> None:
    names = typical_tokens(["same"] * 6, np.array([0, 0, 0, 1, 1, 1]))
    assert names == ("mixed", "mixed")
    long, other = typical_tokens(["x" * 500] * 20 + [None] * 20, np.repeat([0, 1], 20))
    assert len(long) == 24 + len(" (100 %)")
    assert other == "None (100 %)"


def test_a_token_that_few_rows_of_a_cluster_are_does_not_name_it() -> None:
    rare = ["fish"] * 4 + [f"word {i}" for i in range(96)]
    assert typical_tokens(rare + ["the"] * 100, np.repeat([0, 1], 100)) == ("mixed", "the (100 %)")


def test_more_pieces_than_clusters_are_said() -> None:
    cloud = wb.planted_clusters(n=120, n_clusters=6, separation=40)
    many = wb.spectral_clustering(cloud, n_neighbors=4, max_clusters=3, n_null=0, n_boot=0)
    assert many.outcome.status == "stopped"
    assert "max_clusters=3" in many.outcome.advice


def test_what_cant_be_clustered_is_refused() -> None:
    rows = np.random.default_rng(5).standard_normal((10, 3))
    with pytest.raises(DataError, match="10 rows, and n_neighbors=10 takes more than 10"):
        wb.spectral_clustering(rows)
    with pytest.raises(DataError, match="n_clusters=12"):
        wb.spectral_clustering(rows, n_clusters=12, n_neighbors=3)
    with pytest.raises(DataError, match="are equal"):
        wb.spectral_clustering(np.ones((30, 2)))
    with pytest.raises(DataError, match="3 different rows"):
        wb.spectral_clustering(np.repeat(np.eye(3), 20, axis=0), n_clusters=8)


@pytest.fixture
def through_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of the GPU is computed by the same torch code on the CPU."""
    on_gpu = walks.walk_in_torch
    monkeypatch.setattr("workbench.core.device._usable", lambda: True)
    monkeypatch.setattr(walks, "walk_in_torch", lambda x, k, n, _, *rest: on_gpu(x, k, n, "cpu", *rest))


@pytest.mark.parametrize(("separation", "n_clusters"), [(8.0, None), (5.0, 4), (40.0, None), (40.0, 2)])
@pytest.mark.usefixtures("through_torch")
def test_devices_agree(separation: float, n_clusters: int | None) -> None:
    cloud = wb.planted_clusters(n=600, n_clusters=4, separation=separation, random_state=2).view(Points)
    ask = {"n_clusters": n_clusters, "n_null": 5, "n_boot": 20}
    here, there = (wb.spectral_clustering.function(cloud, device=d, **ask) for d in ("cpu", "cuda"))
    assert here.n_groups == there.n_groups
    # where clusters touch, torch moves rows of their borders on as long as the cut falls
    assert adjusted_rand_score(here.labels, there.labels) > (0.95 if separation == 5.0 else 0.98)
    np.testing.assert_allclose(here.spectrum, there.spectrum, atol=1e-6)
    assert here.outcome == there.outcome
    for a, b in zip(here.evidence, there.evidence, strict=True):
        assert a.value == pytest.approx(b.value, abs=0.01)
        assert a.question == b.question
        assert len(a.null_values) == len(b.null_values)


@pytest.mark.usefixtures("through_torch")
def test_few_rows_are_compared_with_draws_made_alike() -> None:
    cloud = wb.planted_clusters(n=120, n_clusters=3, separation=3).view(Points)
    ask = {"n_clusters": 3, "n_null": 19, "n_boot": 0}
    here, there = (wb.spectral_clustering.function(cloud, device=d, **ask) for d in ("cpu", "cuda"))
    assert [e.p_value for e in here.evidence] == [e.p_value for e in there.evidence]


def test_the_same_gap_is_widest_in_single_precision() -> None:
    values = np.array([0, 0, 0.3, 0.6, 0.9, 0.95])  # gaps tied but for rounding
    assert eigengap(values) == eigengap(values.astype(np.float32)) == 2
    rng = np.random.default_rng(0)
    for _ in range(50):
        tied = np.sort(rng.integers(0, 5, 8)) / 7
        assert eigengap(tied) == eigengap((tied + rng.uniform(-1, 1, 8) * 1e-6).astype(np.float32))
