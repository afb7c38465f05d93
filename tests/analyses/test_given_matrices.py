"""Matrices of distances and affinities, given as such: the answers are those of the rows that they were made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import SpectralClustering
from sklearn.manifold import SpectralEmbedding, trustworthiness
from sklearn.metrics import adjusted_rand_score

import workbench as wb
from workbench.core.errors import DataError
from workbench.numerics.distances import as_distances, from_centre
from workbench.numerics.laplacian import affinity_graph
from workbench.numerics.walks import walk, walk_in_torch

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 3))
Y = X + 0.4 * RNG.standard_normal((120, 3))
D = cdist(X, X)
KERNEL = np.exp(-(D**2))
LAYERS = {"a": X, "b": Y, "c": np.tanh(2 * X) @ RNG.standard_normal((3, 20))}
NEIGHBOURS: Any = "precomputed_nearest_neighbors"


def layers(of: Any) -> wb.Activations:
    return wb.Activations({k: of(x) for k, x in LAYERS.items()}, pd.DataFrame(index=range(120)), name="given")


def distances(x: np.ndarray) -> np.ndarray:
    return cdist(x, x)


ROWS, GIVEN = layers(np.asarray), layers(distances)


def numbers(result: Any) -> list[float]:
    """Every value and end of an interval."""
    return [v for e in result.evidence for v in (e.value, *(e.interval or ()))]


def nodes(result: Any) -> tuple[list[tuple[int, ...]], set[frozenset[tuple[int, ...]]]]:
    """A graph's nodes and edges by their rows, in whatever order they come."""
    members = [tuple(sorted(result.members(i).tolist())) for i in range(len(result.positions))]
    return sorted(members), {frozenset((members[i], members[j])) for i, j in result.edges}


@pytest.mark.parametrize("kind", ["uniform", "balanced"])
@pytest.mark.parametrize("n_components", [1, 2])
def test_mapper_of_distances_is_that_of_the_rows(kind: Any, n_components: int) -> None:
    asked: dict[str, Any] = {
        "kind": kind,
        "n_components": n_components,
        "n_intervals": 6,
    }
    rows, given = (
        wb.mapper(X, n_null=0, **asked),
        wb.mapper(D, metric="precomputed", n_null=3, **asked),
    )
    assert nodes(given) == nodes(rows) and len(rows.edges)
    assert numbers(given) == pytest.approx(numbers(rows))
    assert np.allclose(np.abs(np.sort(np.abs(given.values))), np.sort(np.abs(rows.values)))
    assert all(not e.null_values and "no lump" in e.untested for e in given.evidence)
    assert given.caveat == rows.caveat  # the same eps and noise, and nothing of distances taken for rows


def test_mapper_of_many_distances_has_its_control_at_the_same_rows() -> None:
    x = wb.circle(n=450, dimensions=4, noise=0.05).values.astype(float)
    rows, given = wb.mapper(x, n_null=0), wb.mapper(distances(x), metric="precomputed")
    assert given.evidence[0].n == 400
    assert numbers(given) == pytest.approx(numbers(rows))
    with pytest.raises(DataError, match="differ in 1 direction"):
        wb.mapper(distances(np.arange(50.0)[:, None]), metric="precomputed")


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("max_points", [128, 50])
def test_barcode_distance_of_distances_is_that_of_the_rows(normalize: bool, max_points: int) -> None:
    asked: dict[str, Any] = {
        "normalize": normalize,
        "max_points": max_points,
        "n_null": 9,
    }
    rows, given = (
        wb.barcode_distance(ROWS, **asked),
        wb.barcode_distance(GIVEN, row_metric="precomputed", **asked),
    )
    for field in ("values", "low", "high"):
        np.testing.assert_allclose(getattr(given, field), getattr(rows, field), rtol=1e-4, atol=1e-5)
    assert rows.values[0, 1] > 0
    for a, b in zip(given.evidence, rows.evidence, strict=True):  # halves need no rows, so the null is there
        assert a.value == pytest.approx(b.value, rel=1e-4)
        assert a.null_values == pytest.approx(b.null_values, rel=1e-4) and len(a.null_values) == 9
    np.testing.assert_allclose(from_centre(D), np.linalg.norm(X - X.mean(axis=0), axis=1))


def test_neighbourhood_preservation_of_distances_is_that_of_the_rows() -> None:
    rows, given = (
        wb.neighbourhood_preservation(ROWS, n_null=9),
        wb.neighbourhood_preservation(GIVEN, metric="precomputed", n_null=9),
    )
    np.testing.assert_array_equal(given.per_row, rows.per_row)
    assert numbers(given) == pytest.approx(numbers(rows), abs=1e-12)
    assert [e.null_values for e in given.evidence] == [e.null_values for e in rows.evidence]
    assert 0.5 < rows.evidence[0].value < 1


@pytest.mark.parametrize("n_clusters", [None, 3])
def test_spectral_clustering_of_distances_is_that_of_the_rows(n_clusters: int | None) -> None:
    asked: dict[str, Any] = {"n_clusters": n_clusters, "n_boot": 6}
    rows = wb.spectral_clustering(X, n_null=0, **asked)
    given = wb.spectral_clustering(D, affinity=NEIGHBOURS, n_null=3, **asked)
    np.testing.assert_array_equal(given.labels, rows.labels)
    np.testing.assert_allclose(given.spectrum, rows.spectrum, atol=1e-12)
    assert numbers(given) == pytest.approx(numbers(rows))
    assert all(not e.null for e in given.evidence)
    assert all("distances without rows" in e.untested for e in given.evidence if e.id != "stability")
    assert not given.caveat


@pytest.mark.parametrize("n_clusters", [None, 3])
def test_spectral_clustering_of_the_rows_own_graph_is_that_of_the_rows(n_clusters: int | None) -> None:
    rows = wb.spectral_clustering(X, n_clusters=n_clusters, n_null=0, n_boot=0)
    graph = walk(X, 2, 9).graph.toarray()
    given = wb.spectral_clustering(graph, n_clusters=n_clusters, affinity="precomputed", n_null=3, n_boot=6)
    np.testing.assert_array_equal(given.labels, rows.labels)
    cut, _stability, leaving = given.evidence  # affinities have no silhouette
    assert [cut.value, leaving.value] == pytest.approx([e.value for e in rows.evidence[:2]])
    assert cut.interval is not None and leaving.interval is not None
    assert "affinities without rows" in cut.untested == leaving.untested
    assert "silhouettes were not asked" in given.caveat and "looks like" not in given.caveat


@pytest.mark.parametrize(("affinity", "matrix"), [("precomputed", KERNEL), (NEIGHBOURS, D)])
def test_peer_scikit_learn_by_the_same_affinity(affinity: Any, matrix: np.ndarray) -> None:
    blobs = wb.planted_clusters(n=150, n_clusters=3, separation=6, random_state=1)
    apart = distances(blobs.values.astype(float))
    given = apart if affinity == NEIGHBOURS else np.exp(-(apart**2) / 20)
    ours = wb.spectral_clustering(given, n_clusters=3, affinity=affinity, n_boot=0)
    peer = SpectralClustering(3, affinity=affinity, random_state=0).fit_predict(given)
    assert adjusted_rand_score(ours.labels, peer) == 1
    assert adjusted_rand_score(peer, blobs.table["cluster"]) > 0.8
    made = wb.spectral_clustering.make_estimator(n_clusters=3, affinity=affinity).fit(given)
    assert adjusted_rand_score(made.labels_, peer) == 1

    layout = wb.spectral_embedding(matrix, affinity=affinity, n_null=3)
    estimator = wb.spectral_embedding.make_estimator(affinity=affinity)
    theirs = estimator.fit_transform(matrix)
    assert isinstance(estimator, SpectralEmbedding)
    for i in range(2):
        assert abs(np.corrcoef(theirs[:, i], layout.values[:, i])[0, 1]) > 1 - 1e-6
    # the greater an affinity the nearer: of a kernel the neighbours are those of the rows
    assert layout.evidence[0].value == pytest.approx(trustworthiness(X, layout.values, n_neighbors=10))
    assert len(layout.evidence) == 1 and "no covariance to make a lump of" in layout.caveat


def test_spectral_embedding_of_distances_is_that_of_the_rows() -> None:
    rows, given = (
        wb.spectral_embedding(X, n_null=0),
        wb.spectral_embedding(D, affinity=NEIGHBOURS, n_null=0),
    )
    np.testing.assert_allclose(given.values, rows.values, atol=1e-6)
    assert numbers(given) == pytest.approx(numbers(rows))
    tied = wb.spectral_embedding(walk(X, 2, 5).graph.toarray(), affinity="precomputed", n_null=0)
    assert "120 of 120 rows have equal affinities" in tied.caveat


def test_edges_that_rounding_would_decide_are_none_and_rows_alone_are_pieces() -> None:
    far = np.repeat([0.0, 9.0], 20)[:, None] + 0.1 * X[:40]  # whose kernel is about 1e-35 between the two
    kernel = np.exp(-(distances(far) ** 2))
    assert 0 < kernel[0, 20] < 1e-20
    two = wb.spectral_clustering(kernel, affinity="precomputed", n_boot=4)
    assert np.array_equal(two.labels, np.repeat([0, 1], 20)) and "2 pieces" in two.outcome.advice
    kernel[:, 0] = kernel[0] = 0
    three = wb.spectral_clustering(kernel, n_clusters=3, affinity="precomputed", n_boot=4)
    assert three.labels[0] == 2
    assert {e.id: e.value for e in three.evidence}["cut_per_cluster"] == 0
    assert affinity_graph(np.zeros((2, 2))).toarray().tolist() == [[1, 0], [0, 1]]
    weights = np.array([[0.0, 3, 1], [3, 0, 0], [1, 0, 0]])
    assert as_distances(weights).tolist() == [[0, 3, 5], [3, 0, 6], [5, 6, 0]]


@pytest.mark.parametrize("affinity", ["precomputed", NEIGHBOURS])
def test_given_matrices_have_the_same_modes_in_torch(affinity: Any) -> None:
    blobs = wb.planted_clusters(n=150, n_clusters=3, separation=6, random_state=1)
    apart = distances(blobs.values.astype(float))
    given = apart if affinity == NEIGHBOURS else np.exp(-(apart**2) / 20) * (1 - np.eye(150))
    plain, in_torch = walk(given, 5, 9, affinity=affinity), walk_in_torch(given, 5, 9, "cpu", 0, affinity)
    np.testing.assert_allclose(in_torch.values, plain.values, atol=1e-5)
    np.testing.assert_allclose(in_torch.graph.toarray(), plain.graph.toarray(), atol=1e-6)
    assert adjusted_rand_score(in_torch.cluster(3), plain.cluster(3)) > 0.95


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (D[:, :70], r"has the shape \(120, 70\).*np.ix_"),
        (-D, "no (distance|affinity) is negative"),
        (D + np.triu(D), "isn't symmetric: rows"),
    ],
)
def test_what_are_no_such_matrices_is_refused(wrong: np.ndarray, words: str) -> None:
    pair = wb.Activations({"a": D, "b": wrong}, pd.DataFrame(index=range(120)))
    for ask, parameter in (
        (lambda **how: wb.mapper(wrong, **how), {"metric": "precomputed"}),
        (lambda **how: wb.barcode_distance(pair, **how), {"row_metric": "precomputed"}),
        (lambda **how: wb.neighbourhood_preservation(pair, **how), {"metric": "precomputed"}),
        (lambda **how: wb.spectral_clustering(wrong, **how), {"affinity": "precomputed"}),
        (lambda **how: wb.spectral_clustering(wrong, **how), {"affinity": NEIGHBOURS}),
        (lambda **how: wb.spectral_embedding(wrong, **how), {"affinity": "precomputed"}),
        (lambda **how: wb.spectral_embedding(wrong, **how), {"affinity": NEIGHBOURS}),
    ):
        with pytest.raises(DataError, match=words) as refusal:
            ask(**parameter)
        (name, value), *_ = parameter.items()
        assert f"{name}={value!r}" in str(refusal.value)


def test_a_matrix_without_any_affinity_is_refused() -> None:
    for ask in (wb.spectral_clustering, wb.spectral_embedding):
        with pytest.raises(DataError, match="no affinity above 0"):
            ask(np.eye(30), affinity="precomputed")


def test_what_looks_like_distances_is_told_of() -> None:
    for ask in (wb.mapper, wb.spectral_clustering):
        assert "was taken for 120 rows" in ask(D, n_null=0).caveat
    taken = wb.barcode_distance(GIVEN, n_null=0).caveat
    assert taken.count("looks like a matrix of distances") == 3 and "given at b" in taken
    assert "looks like" not in wb.barcode_distance(GIVEN, row_metric="precomputed", n_null=0).caveat
    assert "given at a looks like" in wb.neighbourhood_preservation(GIVEN, n_null=0).caveat
    assert not wb.neighbourhood_preservation(ROWS, n_null=0).caveat
    for result in (
        wb.spectral_clustering(D, affinity="precomputed", n_boot=0),
        wb.spectral_embedding(D, affinity="precomputed", n_null=0),
    ):
        assert "taken for affinities" in result.caveat and NEIGHBOURS in result.caveat


def test_the_command_line_takes_distances(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", D)
    command = [sys.executable, "-m", "workbench.cli", "run", "spectral-clustering", "d.npy"]
    flags = ["--affinity", NEIGHBOURS, "--n-clusters", "3", "--n-boot", "0", "--json"]
    done = subprocess.run([*command, *flags], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "distances without rows" in done.stdout
