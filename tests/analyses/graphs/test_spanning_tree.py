"""Spanning tree: Kruskal's by hand, networkx's weight, and strong edges that lie together."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.analyses.graphs.spanning_tree import strongest_forest
from workbench.calibrating.worlds.graphs import knot, random_edges
from workbench.core.errors import DataError

pytest.importorskip("igraph", reason="igraph isn't installed: pip install 'workbench[graphs]'")


def test_known_answer_of_a_square_with_a_diagonal() -> None:
    edges = np.array([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)])
    result = wb.spanning_tree(wb.GraphSubject(edges, 4, weights=np.array([5.0, 4, 1, 2, 3])), n_null=19)
    assert sorted(map(tuple, np.sort(result.edges, axis=1).tolist())) == [(0, 1), (0, 3), (1, 2)]
    assert np.isclose(result.evidence[0].value, 11 / 15)


@pytest.mark.parametrize("chance", [0.02, 0.2])
def test_peer_is_networkx(chance: float) -> None:
    """Also of a graph in pieces."""
    import networkx as nx

    rng = np.random.default_rng(0)
    pairs = np.array([(i, j) for i in range(60) for j in range(i)])
    edges = pairs[rng.random(len(pairs)) < chance]
    weights = rng.exponential(size=len(edges))
    peer = nx.Graph()
    peer.add_weighted_edges_from(
        (a, b, w) for (a, b), w in zip(edges.tolist(), weights.tolist(), strict=True)
    )
    kept = strongest_forest(edges, weights, 60)
    expected = nx.maximum_spanning_tree(peer)
    assert len(kept) == expected.number_of_edges()
    assert np.isclose(weights[kept].sum(), expected.size(weight="weight"))


def test_strong_edges_that_lie_together_hold_less_in_the_tree() -> None:
    rng = np.random.default_rng(0)
    edges, weights = knot(rng)
    (evidence,) = wb.spanning_tree(wb.GraphSubject(edges, 240, weights=weights), n_null=99).evidence
    assert evidence.p_value == 0.02 and evidence.value < np.median(evidence.null_values)
    twin = wb.GraphSubject(random_edges(rng), 240)
    twin = wb.GraphSubject(twin.edges, 240, weights=rng.exponential(size=len(twin.edges)))
    assert wb.spanning_tree(twin, n_null=99).evidence[0].p_value > 0.05


def test_a_large_tree_is_drawn_in_part_and_counted_whole() -> None:
    graph = wb.GraphSubject(random_edges(np.random.default_rng(3)), 240)
    some, whole = wb.spanning_tree(graph, most_drawn=30, n_null=0), wb.spanning_tree(graph, n_null=0)
    assert len(some.positions) == 30 and "Drawn are 30 nodes" in some.caveat
    assert len(some.edges) == 29, "the part that is drawn hangs together"
    assert some.evidence[0].value == whole.evidence[0].value


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="no edge with a weight"):
        wb.spanning_tree(wb.GraphSubject(np.array([[1, 1]]), 3))
    with pytest.raises(DataError, match="negative"):
        wb.spanning_tree(wb.GraphSubject(np.array([[0, 1]]), 3, weights=np.array([-1.0])))
