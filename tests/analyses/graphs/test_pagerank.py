"""PageRank: a star's centre, a cycle's equality, networkx's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.core.errors import DataError

FEW = {"n_null": 19, "n_boot": 10}


def random_edges(rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    return rng.integers(0, n, (m, 2))


def test_known_answer_of_a_star_and_a_cycle() -> None:
    star = wb.GraphSubject(np.array([(0, i) for i in range(1, 11)]), 11)
    a = 0.85  # the centre's score c solves c = (1 - a) / 11 + a (1 - c)
    centre = ((1 - a) / 11 + a) / (1 + a)
    assert np.isclose(wb.pagerank(star, tol=1e-10, **FEW).scores[0], centre)
    cycle = wb.GraphSubject(np.array([(i, (i + 1) % 8) for i in range(8)]), 8, directed=True)
    assert np.allclose(wb.pagerank(cycle, **FEW).scores, 1 / 8)


def test_peer_is_networkx() -> None:
    import networkx as nx

    rng = np.random.default_rng(0)
    edges = np.unique(random_edges(rng, 30, 120), axis=0)
    weights = rng.uniform(0.1, 2, len(edges))
    peer = nx.DiGraph()
    peer.add_nodes_from(range(30))
    peer.add_weighted_edges_from((a, b, w) for (a, b), w in zip(edges.tolist(), weights.tolist(), strict=True))
    result = wb.pagerank(wb.GraphSubject(edges, 30, weights=weights, directed=True), alpha=0.7, tol=1e-9, **FEW)
    expected = nx.pagerank(peer, alpha=0.7, tol=1e-9)
    assert np.allclose(result.scores, [expected[i] for i in range(30)])


def test_calibrated_on_graphs_that_are_wired_at_random() -> None:
    def p(seed: int) -> float:
        graph = wb.GraphSubject(random_edges(np.random.default_rng(seed), 6, 12), 6, directed=True)
        return wb.pagerank.function(graph.view(wb.pagerank.needs), n_null=19, n_boot=0, random_state=seed).evidence[0].p_value

    assert_calibrated(p)


def test_what_no_walk_can_follow_is_refused() -> None:
    with pytest.raises(DataError, match="negative weight"):
        wb.pagerank(wb.GraphSubject(np.array([(0, 1)]), 2, weights=np.array([-1.0])))
    with pytest.raises(DataError, match="0 edges"):
        wb.pagerank(wb.GraphSubject(np.empty((0, 2)), 3))
    with pytest.raises(DataError, match="Raise max_iter"):
        wb.pagerank(wb.GraphSubject(np.array([(0, i) for i in range(1, 9)]), 9), max_iter=1)
