"""Communities: planted groups come out, and random graphs have none, however modular their best partition is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.calibrating.worlds.graphs import N, in_groups, random_edges
from workbench.core.errors import DataError

pytest.importorskip("igraph", reason="igraph isn't installed: pip install 'workbench[graphs]'")


def cliques(k: int, many: int) -> np.ndarray:
    """So many groups of ``k`` nodes, all joined inside, each by one edge with the next."""
    inside = [(g * k + i, g * k + j) for g in range(many) for i in range(k) for j in range(i)]
    return np.array(inside + [(g * k, ((g + 1) % many) * k + 1) for g in range(many)])


def test_known_answer_of_cliques() -> None:
    """Groups are found to the last node; modularity is that of the definition."""
    edges = cliques(6, 4)
    result = wb.communities(wb.GraphSubject(edges, 24), n_null=39)
    assert result.n_groups == 4
    assert all(len(set(result.labels[g * 6 : g * 6 + 6])) == 1 for g in range(4))
    m, inside = len(edges), 15
    expected = 4 * (inside / m - ((2 * inside + 2) / (2 * m)) ** 2)
    (evidence,) = result.evidence
    assert np.isclose(evidence.value, expected) and evidence.p_value == 1 / 40


def test_peer_is_networkx() -> None:
    """The modularity is that of the partition by networkx, and no less than its Louvain algorithm reaches."""
    import networkx as nx

    rng = np.random.default_rng(0)
    edges, weights = in_groups(rng), None
    weights = rng.exponential(size=len(edges))
    result = wb.communities(wb.GraphSubject(edges, N, weights=weights), n_null=0)
    peer = nx.Graph()
    peer.add_nodes_from(range(N))
    peer.add_weighted_edges_from(
        (a, b, w) for (a, b), w in zip(edges.tolist(), weights.tolist(), strict=True)
    )
    groups = [set(np.flatnonzero(result.labels == g).tolist()) for g in range(result.n_groups)]
    assert np.isclose(result.evidence[0].value, nx.community.modularity(peer, groups))
    louvain = nx.community.modularity(peer, nx.community.louvain_communities(peer, seed=0))
    assert result.evidence[0].value > louvain - 0.01


def test_random_wiring_is_modular_and_no_finding() -> None:
    edges = random_edges(np.random.default_rng(1))
    (evidence,) = wb.communities(wb.GraphSubject(edges, N), n_null=39).evidence
    assert evidence.value > 0.3 and evidence.p_value > 0.05
    (planted,) = wb.communities(wb.GraphSubject(in_groups(np.random.default_rng(1)), N), n_null=39).evidence
    assert planted.p_value == 1 / 40


def test_layers_alone_are_no_communities() -> None:
    """A narrow, layered graph beside one that is wired without layers would seem to have communities: its stretches."""
    rng = np.random.default_rng(0)
    size, levels = 12, 12
    edges = np.array(
        [
            (level * size + b, (level + 1) * size + u)
            for level in range(levels - 1)
            for u in range(size)
            for b in rng.choice(size, 6, replace=False)
        ]
    )
    table = pd.DataFrame({"level": np.repeat(np.arange(levels), size)})
    with_levels = wb.communities(wb.GraphSubject(edges, size * levels, table=table), n_null=39).evidence[0]
    without = wb.communities(wb.GraphSubject(edges, size * levels), n_null=39).evidence[0]
    assert without.p_value == 1 / 40, "the control that forgets the layers is fooled"
    assert with_levels.p_value > 0.05 and "levels" in with_levels.null_details


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="no edge with a weight"):
        wb.communities(wb.GraphSubject(np.array([[1, 1]]), 3))
    with pytest.raises(DataError, match="negative"):
        wb.communities(wb.GraphSubject(np.array([[0, 1]]), 3, weights=np.array([-1.0])))
    with pytest.raises(DataError, match="0 edges"):
        wb.communities(wb.GraphSubject(np.empty((0, 2)), 3))
