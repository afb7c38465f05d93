"""PageRank: a star's centre, a cycle's equality, networkx's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.calibrating.worlds.graphs import neighbours_in_a_square
from workbench.core.errors import DataError

FEW = {"n_null": 19}


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
    peer.add_weighted_edges_from(
        (a, b, w) for (a, b), w in zip(edges.tolist(), weights.tolist(), strict=True)
    )
    result = wb.pagerank(
        wb.GraphSubject(edges, 30, weights=weights, directed=True), alpha=0.7, tol=1e-9, **FEW
    )
    expected = nx.pagerank(peer, alpha=0.7, tol=1e-9)
    assert np.allclose(result.scores, [expected[i] for i in range(30)])


@pytest.mark.slow
@pytest.mark.parametrize("directed", [True, False])
def test_calibrated_on_graphs_that_are_wired_at_random(directed: bool) -> None:
    pairs = np.array([(i, j) for i in range(7) for j in range(7) if (i != j if directed else i < j)])

    def p(seed: int) -> float:
        edges = pairs[np.random.default_rng(seed).random(len(pairs)) < 0.5]
        graph = wb.GraphSubject(edges, 7, directed=directed)
        view = graph.view(wb.pagerank.inputs[0].takes)
        return wb.pagerank.function(view, n_null=19, random_state=seed).evidence[0].p_value

    assert_calibrated(p, runs=60, exact=False)


def test_a_star_is_as_central_as_its_degrees_make_it() -> None:
    star = wb.GraphSubject(np.array([(0, i) for i in range(1, 11)]), 11)
    (evidence,) = wb.pagerank(star, **FEW).evidence
    assert evidence.p_value == 1


def test_wiring_beyond_degrees_is_found() -> None:
    """A hub whose neighbours have nobody else keeps them; rewired, it shares them with a ring of 40."""
    star = [(0, i) for i in range(1, 11)]
    ring = [(11 + i, 11 + (i + k) % 40) for i in range(40) for k in (1, 7)]
    result = wb.pagerank(wb.GraphSubject(np.array(star + ring), 51), n_null=19)
    assert result.scores.argmax() == 0
    assert result.evidence[0].p_value == 0.05


def test_random_wiring_is_no_control_for_neighbours() -> None:
    (graph,) = neighbours_in_a_square(np.random.default_rng(0))
    (evidence,) = wb.pagerank(graph).evidence
    assert evidence.p_value is None
    assert "wired by place" in evidence.untested


def test_stopping_early_says_so_and_still_answers() -> None:
    star = wb.GraphSubject(np.array([(0, i) for i in range(1, 9)]), 9)
    stopped = wb.pagerank(star, max_iter=4, **FEW)
    assert stopped.outcome.status == "stopped"
    assert "raise max_iter" in stopped.outcome.advice
    assert stopped.scores.sum() == pytest.approx(1)
    assert stopped.scores.argmax() == 0
    assert wb.pagerank(star, max_iter=1000, **FEW).outcome.status == "converged"


def test_parallel_edges_count_as_one_of_their_sum() -> None:
    once = wb.GraphSubject(np.array([(0, 1), (1, 2), (0, 2)]), 3, weights=np.array([3.0, 1.0, 2.0]))
    often = wb.GraphSubject(
        np.array([(0, 1), (1, 0), (1, 2), (0, 2)]), 3, weights=np.array([1.0, 2.0, 1.0, 2.0])
    )
    assert np.allclose(wb.pagerank(once, **FEW).scores, wb.pagerank(often, **FEW).scores)


def test_what_no_walk_can_follow_is_refused() -> None:
    with pytest.raises(DataError, match="negative weight"):
        wb.pagerank(wb.GraphSubject(np.array([(0, 1)]), 2, weights=np.array([-1.0])))
    with pytest.raises(DataError, match="0 edges"):
        wb.pagerank(wb.GraphSubject(np.empty((0, 2)), 3))
