"""Mapper graphs of shapes whose loops and pieces are known, agreement with giotto-tda, and the control."""

from __future__ import annotations

import sys
from functools import cache

import networkx as nx
import numpy as np
import pytest
from scipy.stats import binom
from sklearn.cluster import DBSCAN
from sklearn.decomposition import PCA

import workbench as wb
from workbench.analyses.topology.mapper import components
from workbench.core.errors import DataError, MissingError
from workbench.results.graph import GraphResult

NO_CONTROL = {"n_null": 0}


def as_networkx(result: GraphResult) -> nx.Graph:
    graph = nx.Graph(result.edges.tolist())
    graph.add_nodes_from(range(len(result.positions)))
    return graph


def test_known_answer_circle_has_one_loop() -> None:
    result = wb.mapper(wb.circle(n=400), n_components=1, n_null=19)
    graph = as_networkx(result)
    assert nx.number_connected_components(graph) == 1
    assert len(nx.cycle_basis(graph)) == 1
    assert len(nx.cycle_basis(graph)[0]) == 18  # both ends' slices, and two clusters in each of eight
    outside, loops, width = result.evidence
    assert (outside.value, loops.value, width.value) == (0, 1, 6)
    assert outside.p_value > 0.2
    assert width.p_value == pytest.approx(1 / 20)


def test_known_answer_circle_has_one_wide_loop_in_two_components() -> None:
    _, loops, width = wb.mapper(wb.circle(n=400, dimensions=8, noise=0.03), n_null=19).evidence
    assert loops.value == 1
    assert width.p_value == pytest.approx(1 / 20)
    assert width.value > 2 * max(width.null_values)


def test_known_answer_far_groups_are_pieces() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(150) % 3
    result = wb.mapper(rng.standard_normal((150, 5)) + 40 * np.eye(5)[group], n_null=19)
    pieces = [
        np.unique([g for node in piece for g in group[result.members(node)]])
        for piece in nx.connected_components(as_networkx(result))
    ]
    assert all(len(p) == 1 for p in pieces)
    assert {int(p[0]) for p in pieces} == {0, 1, 2}
    outside = result.evidence[0]
    assert outside.value == pytest.approx(2 / 3, abs=0.05)
    assert outside.p_value == pytest.approx(1 / 20)
    assert outside.interval is None


def test_every_solver_finds_the_same_components() -> None:
    rows = np.random.default_rng(4).standard_normal((120, 70)) * np.linspace(3, 1, 70)
    for x in (rows, rows[:, :20], rows[:40]):
        exact = PCA(2, svd_solver="full").fit_transform(x)
        assert np.allclose(components(x), exact, atol=1e-6)


def test_the_picture_lies_as_the_cloud_does() -> None:
    cloud = wb.circle(n=400)
    result = wb.mapper(cloud, **NO_CONTROL)
    scores = PCA(2, svd_solver="covariance_eigh").fit_transform(cloud.values.astype(float))
    centres = np.array([scores[result.members(i)].mean(axis=0) for i in range(len(result.positions))])
    assert np.allclose(result.values, centres[:, 0])
    for axis in (0, 1):
        assert np.corrcoef(result.positions[:, axis], centres[:, axis])[0, 1] > 0.95


@pytest.mark.parametrize("kind", ["uniform", "balanced"])
@pytest.mark.parametrize("min_intersection", [1, 2])
def test_peer_giotto_tda_s_pipeline(
    kind: str, min_intersection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gtda.mapper import CubicalCover, make_mapper_pipeline
    from gtda.mapper.utils._list_feature_union import ListFeatureUnion

    # the one step of the pipeline that doesn't run on today's scikit-learn
    monkeypatch.setattr(
        ListFeatureUnion,
        "fit_transform",
        lambda self, x, y=None: [t.fit_transform(x) for _, t in self.transformer_list],
    )
    rows = wb.circle(n=200, dimensions=5).values.astype(float)
    ours = wb.mapper(rows, kind=kind, eps=0.2, min_samples=1, min_intersection=min_intersection, **NO_CONTROL)
    theirs = make_mapper_pipeline(
        filter_func=PCA(2, svd_solver="covariance_eigh"),
        cover=CubicalCover(kind, 10, 0.3),
        clusterer=DBSCAN(eps=0.2, min_samples=1),
        min_intersection=min_intersection,
    ).fit_transform(rows)
    assert [ours.members(i).tolist() for i in range(len(ours.positions))] == [
        m.tolist() for m in theirs.vs["node_elements"]
    ]
    assert ours.edges.tolist() == [list(e) for e in theirs.get_edgelist()]


def test_statistics_are_those_of_the_graph() -> None:
    """The control counts on a matrix what the graph shows."""
    rng = np.random.default_rng(1)
    for x in (wb.circle(n=150).values, rng.standard_normal((150, 2)), rng.uniform(size=(150, 4))):
        result = wb.mapper(x, n_null=0)
        graph = as_networkx(result)
        pieces = [set(np.concatenate([result.members(n) for n in p])) for p in nx.connected_components(graph)]
        everyone = set().union(*pieces)
        assert result.evidence[0].value == pytest.approx(1 - max(map(len, pieces)) / len(everyone))
        triangles = [c for c in nx.enumerate_all_cliques(graph) if len(c) == 3]
        edges = {frozenset(e): i for i, e in enumerate(graph.edges)}
        boundary = np.zeros((len(edges), len(triangles)), np.int64)
        for j, (a, b, c) in enumerate(triangles):
            for e in ((a, b), (b, c), (a, c)):
                boundary[edges[frozenset(e)], j] = 1
        betti = len(edges) - len(graph) + len(pieces) - rank_modulo_two(boundary)
        assert result.evidence[1].value == betti


def rank_modulo_two(matrix: np.ndarray) -> int:
    columns = [sum(1 << int(i) for i in np.flatnonzero(c)) for c in matrix.T]
    pivots: dict[int, int] = {}
    for column in columns:
        while column and (top := column.bit_length()) in pivots:
            column ^= pivots[top]
        if column:
            pivots[column.bit_length()] = column
    return len(pivots)


def test_nodes_are_row_ids_and_noise_is_in_none() -> None:
    rows = np.vstack([wb.circle(n=100).values, [[30.0, 0.0], [0.0, 30.0]]])
    cloud = wb.PointCloud(rows)
    kept = cloud.select(cloud.ids[1:])
    result = wb.mapper(kept, eps=0.3, min_samples=3, **NO_CONTROL)
    assert set(result.member_ids.tolist()) <= set(kept.ids.tolist())
    assert not {100, 101} & set(result.member_ids.tolist())
    assert "in no node: 2 of 101" in result.caveat
    assert len(np.unique(result.positions.round(9), axis=0)) == len(result.positions)


@cache
def p_values(seed: int) -> tuple[float, ...]:
    rows = np.random.default_rng([seed, 3]).standard_normal((40, 3)) * [3, 2, 1]
    result = wb.mapper(rows, n_components=1, n_intervals=4, n_null=19, random_state=seed)
    return tuple(e.p_value for e in result.evidence)


@pytest.mark.slow
@pytest.mark.parametrize("question", [0, 1])
def test_claims_no_shape_in_gaussian_rows(question: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    assert sum(p_values(seed)[question] <= 0.05 for seed in range(50)) <= binom.ppf(0.9995, 50, 0.05)


def test_few_and_repeated_rows_answer_or_say_why() -> None:
    with pytest.raises(DataError, match="need at least 3"):
        wb.mapper(np.eye(2))
    with pytest.raises(DataError, match="0 directions"):
        wb.mapper(np.ones((20, 3)))
    line = np.outer(np.arange(20.0), np.ones(3))
    with pytest.raises(DataError, match="n_components=2"):
        wb.mapper(line)
    with pytest.raises(DataError, match="noise"):
        wb.mapper(wb.circle(n=50), eps=1e-9)
    path = wb.mapper(line, n_components=1, n_intervals=5, n_null=3)
    assert len(path.edges) == len(path.positions) - 1
    corners = wb.mapper(np.repeat([[0.0, 0], [0, 1], [1, 0], [1, 1]], 10, axis=0), n_null=3)
    assert len(corners.member_ids) == 40


def test_without_giotto_tda_the_refusal_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gtda.mapper", None)
    with pytest.raises(MissingError, match=r"pip install --no-deps \"giotto-tda==0.6.2\""):
        wb.mapper(wb.circle(n=50))
