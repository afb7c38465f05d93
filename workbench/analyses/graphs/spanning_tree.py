"""Spanning tree: the strongest edges that hold a graph together."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.graphs._wiring import checked, names, rewire, simple
from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_degrees import NULL
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.graph_library import graph_of
from workbench.results.graph import GraphResult
from workbench.subjects.graph import Graph

MOST_NODES, MOST_EDGES = 200_000, 2_000_000


@analysis
def spanning_tree(
    graph: Graph,
    *,
    most_drawn: Annotated[
        int,
        Interval(ge=2, le=5000),
        Doc("Nodes that are drawn, from the one of most weight along the strongest edges; all count."),
    ] = 200,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> GraphResult:
    """Keep the edges of largest weight that join everything that is joined, without a circle.

    The statistic is the share of all weight that the tree holds (a forest, where the graph is in pieces). Where strong edges
    lie together they close circles, and the tree holds less; where they reach far it holds more. The null exchanges the ends of edges at
    random, every node keeping its number of edges and every edge its weight, with one of its ends; in a layered graph (nodes
    with a column ``level``) edges stay between the levels that they join. Directions don't count. Where all weights are equal
    it asks in how many pieces the graph is. A graph is one of its kind, and the share has no interval.

    Returns
    -------
    GraphResult
        The tree, each node a row; laid out by its distances in the tree.

    Raises
    ------
    DataError
        No nodes, no edges but loops, negative weights, or more than 200,000 nodes or 2,000,000 edges.
    MissingError
        igraph isn't installed, which lays the tree out.

    References
    ----------
    Kruskal 1956, On the shortest spanning subtree of a graph and the traveling salesman problem, Proc. AMS 7.
    """
    checked(graph, "spanning_tree", MOST_NODES, MOST_EDGES)
    edges, weights = simple(graph, directed=False)
    if not len(edges):
        raise DataError(f"{graph.name} has no edge with a weight between two nodes: it has no spanning tree.")
    kept = strongest_forest(edges, weights, graph.n)
    share = float(weights[kept].sum() / weights.sum())
    result = _drawn(graph, edges[kept], weights[kept], most_drawn, random_state)
    show_early(result)
    draw, said = rewire(graph, edges, directed=False)

    def share_of(rng: np.random.Generator) -> np.ndarray:
        return np.array([weights[strongest_forest(draw(rng), weights, graph.n)].sum() / weights.sum()])

    null = draw_until_clear(
        share_of, np.array([share]), ["two-sided"], n_null, random_state, "spanning tree: null"
    )[0]
    return replace(
        result,
        evidence=(
            Evidence(
                id="weight_of_tree",
                question="Does the tree hold more or less of the weight than with random wiring of these degrees?",
                label="share of the weight that the spanning tree holds",
                value=share,
                n=len(edges),
                unit="edges",
                **(
                    NULL.said(null.tolist(), "two-sided", details=said)
                    if n_null
                    else NULL.refused("no null was drawn", "two-sided")
                ),
            ),
        ),
    )


def strongest_forest(edges: np.ndarray, weights: np.ndarray, n: int) -> np.ndarray:
    """Which edges make the spanning forest of largest weight; ``edges`` are simple."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    rank = np.empty(len(edges))
    rank[np.argsort(-weights, kind="stable")] = np.arange(
        1, len(edges) + 1
    )  # no edge of length 0: that is none
    ends = np.sort(edges, axis=1)
    tree = minimum_spanning_tree(coo_array((rank, (ends[:, 0], ends[:, 1])), shape=(n, n)).tocsr())
    return np.flatnonzero(np.isin(rank, tree.data))


def _drawn(graph: Graph, edges: np.ndarray, weights: np.ndarray, most: int, random_state: int) -> GraphResult:
    """The part of the tree whose nodes have most of its weight, and each node's weight in it."""
    strength = np.bincount(edges.ravel(), np.repeat(weights, 2), graph.n)
    shown = np.sort(_grown(edges, weights, strength, most))
    place = np.full(graph.n, -1)
    place[shown] = np.arange(len(shown))
    some = place[edges]
    some = some[(some >= 0).all(axis=1)]
    start = np.random.default_rng(random_state).standard_normal((len(shown), 2))
    layout = graph_of(some, len(shown), directed=False).layout_kamada_kawai(seed=start.tolist(), maxiter=2000)
    top = names(graph)[int(strength.argmax())]
    left = (
        f" Drawn are {len(shown):,} nodes, from the one of most weight along the strongest edges."
        if len(shown) < graph.n
        else ""
    )
    return GraphResult(
        positions=np.asarray(layout.coords),
        edges=some,
        member_ids=graph.ids[shown],
        member_starts=np.arange(len(shown) + 1),
        values=strength[shown],
        values_name="weight in the tree",
        caveat=f"{len(edges):,} edges; {top} has most of their weight.{left}",
    )


def _grown(edges: np.ndarray, weights: np.ndarray, strength: np.ndarray, most: int) -> np.ndarray:
    """Nodes reached from the one of most weight, always along the strongest edge that leads on; then from the next piece."""
    from heapq import heappop, heappush

    n = len(strength)
    ends = np.concatenate([edges, edges[:, ::-1]])
    order = np.argsort(ends[:, 0], kind="stable")
    ends, sizes = ends[order], np.concatenate([weights, weights])[order]
    starts = np.searchsorted(ends[:, 0], np.arange(n + 1))
    seen = np.zeros(n, bool)
    found: list[int] = []
    for root in np.argsort(-strength, kind="stable"):
        waiting = [(0.0, int(root))]
        while waiting and len(found) < most:
            _, node = heappop(waiting)
            if seen[node]:
                continue
            seen[node] = True
            found.append(node)
            for at in range(starts[node], starts[node + 1]):
                heappush(waiting, (-float(sizes[at]), int(ends[at, 1])))
        if len(found) >= most:
            break
    return np.array(found)
