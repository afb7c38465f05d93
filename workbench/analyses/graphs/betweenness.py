"""Betweenness: which nodes the shortest paths between others run through."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from typing_extensions import Doc

from workbench.analyses.graphs._wiring import checked, names, rewire, simple
from workbench.core.early import show_early
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_degrees import NULL, wired_by_place
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.graph_library import graph_of
from workbench.results.ranking import Ranking
from workbench.subjects.graph import Graph

MOST_NODES, MOST_EDGES = 20_000, 200_000  # a path from every node takes nodes x edges steps
MOST_DRAWN = 2e9  # of these steps, of all draws together: a minute or two


@analysis
def betweenness(
    graph: Graph,
    *,
    length: Annotated[
        Literal["inverse", "one"],
        Doc("Of an edge: one over its weight, so that strong edges are short, or 1 whatever its weight."),
    ] = "inverse",
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Ranking:
    """Rank nodes by the share of the pairs of others whose shortest path runs through them.

    Where several paths are equally short, each counts for its part. The statistic is the largest share. Its null exchanges the
    ends of edges at random, every node keeping its number of edges (in and out); in a layered graph (nodes with a column
    ``level``) edges stay between the levels that they join. Where neighbours of a node are neighbours far more often than
    random wiring has it, nothing is tested. A graph is one of its kind, and its shares have no intervals.

    Returns
    -------
    Ranking
        ``scores`` (n,) from 0 to 1, in node order.

    Raises
    ------
    DataError
        No nodes or edges, negative weights, or more than 20,000 nodes or 200,000 edges.
    MissingError
        igraph isn't installed.

    References
    ----------
    Freeman 1977, A set of measures of centrality based on betweenness, Sociometry 40; Brandes 2001, A faster algorithm for
    betweenness centrality, J. Math. Sociol. 25.
    """
    checked(graph, "betweenness", MOST_NODES, MOST_EDGES)
    directed = graph.directed
    edges, weights = simple(graph, directed=directed)
    pairs = (graph.n - 1) * (graph.n - 2) / (1 if directed else 2)
    lengths = weights.max(initial=0) / weights if length == "inverse" else None

    def shares(edges: np.ndarray) -> np.ndarray:
        own = None if lengths is None else lengths.tolist()
        found = graph_of(edges, graph.n, directed=directed).betweenness(directed=directed, weights=own)
        return np.asarray(found) / max(pairs, 1)

    scores = shares(edges)
    top = int(scores.argmax())
    called = names(graph)
    result = Ranking(
        names=tuple(called),
        scores=scores,
        ids=graph.ids,
        quantity="share of shortest paths",
        caveat=f"Most shortest paths run through {called[top]}.",
    )
    show_early(result)
    why = "" if n_null else "no null was drawn"
    if graph.n * len(edges) * n_null > MOST_DRAWN:
        why = f"{n_null} draws of paths between {graph.n:,} nodes along {len(edges):,} edges take too long: select fewer nodes"
    why = why or wired_by_place(edges, graph.n, directed=directed, random_state=random_state)
    draw, kept = rewire(graph, edges, directed=directed)
    (drawn,) = draw_until_clear(
        lambda rng: np.array([shares(draw(rng)).max()]),
        scores[[top]],
        ["greater"],
        0 if why else n_null,
        random_state,
        "betweenness: null",
    )
    return replace(
        result,
        evidence=(
            Evidence(
                id="largest_score",
                question="Do more paths run through one node than random wiring with these degrees would have?",
                label="largest share of shortest paths",
                value=scores[top],
                n=graph.n,
                unit="nodes",
                **(NULL.refused(why) if why else NULL.said(drawn.tolist(), details=kept)),
            ),
        ),
    )
