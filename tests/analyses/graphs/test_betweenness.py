"""Betweenness: a bridge carries all, a cycle's nodes share alike, networkx's numbers."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.calibrating.worlds.graphs import neighbours_in_a_square, random_edges
from workbench.core.errors import DataError

pytest.importorskip("igraph", reason="igraph isn't installed: pip install 'workbench[graphs]'")


def test_known_answer_of_a_star_and_a_cycle() -> None:
    star = wb.GraphSubject(np.array([(0, i) for i in range(1, 8)]), 8)
    scores = wb.betweenness(star, n_null=19).scores
    assert np.isclose(scores[0], 1) and np.allclose(scores[1:], 0)
    cycle = wb.GraphSubject(np.array([(i, (i + 1) % 7) for i in range(7)]), 7)
    # each of the two paths of a pair runs the short way round: 3 pairs of 15 have a given node between them
    assert np.allclose(wb.betweenness(cycle, n_null=19).scores, 3 / 15)


@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("length", ["inverse", "one"])
def test_peer_is_networkx(directed: bool, length: str) -> None:
    import networkx as nx

    rng = np.random.default_rng(0)
    pairs = np.array([(i, j) for i in range(30) for j in range(30) if (i != j if directed else i < j)])
    edges = pairs[rng.random(len(pairs)) < 0.12]
    weights = rng.uniform(0.1, 2, len(edges))
    peer: nx.Graph = nx.DiGraph() if directed else nx.Graph()
    peer.add_nodes_from(range(30))
    for (a, b), w in zip(edges.tolist(), weights.tolist(), strict=True):
        peer.add_edge(a, b, length=1 / w)
    expected = nx.betweenness_centrality(peer, weight="length" if length == "inverse" else None)
    result = wb.betweenness(
        wb.GraphSubject(edges, 30, weights=weights, directed=directed), length=length, n_null=0
    )
    assert np.allclose(result.scores, [expected[i] for i in range(30)])


def test_a_bridge_between_two_halves_is_found() -> None:
    """Two random halves that meet in one node; rewired, they meet everywhere."""
    rng = np.random.default_rng(0)
    pairs = np.array([(i, j) for i in range(40) for j in range(i)])
    half = pairs[rng.random(len(pairs)) < 0.1]
    bridge = np.array([(80, 0), (80, 1), (80, 40), (80, 41)])
    graph = wb.GraphSubject(np.vstack([half, half + 40, bridge]), 81)
    result = wb.betweenness(graph, n_null=39)
    assert result.scores.argmax() == 80 and result.evidence[0].p_value == 1 / 40
    twin = wb.betweenness(wb.GraphSubject(random_edges(np.random.default_rng(2)), 240), n_null=39)
    assert twin.evidence[0].p_value > 0.05


def test_random_wiring_is_no_control_for_neighbours() -> None:
    (graph,) = neighbours_in_a_square(np.random.default_rng(0))
    (evidence,) = wb.betweenness(graph).evidence
    assert evidence.p_value is None and "wired by place" in evidence.untested


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="at most 20,000"):
        wb.betweenness(wb.GraphSubject(np.array([[0, 1]]), 20_001))
    long = wb.GraphSubject(np.array([(i, i + 1) for i in range(4999)]), 5000)
    (evidence,) = wb.betweenness(long, n_null=99).evidence
    assert "too long" in evidence.untested
