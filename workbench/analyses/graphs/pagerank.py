"""PageRank: where a random walk on a graph spends its time."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence, Outcome
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_degrees import NULL, rewire, wired_by_place
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.rewiring import simple_edges
from workbench.results.ranking import Ranking
from workbench.subjects.graph import Graph


@analysis(title="PageRank")
def pagerank(
    graph: Graph,
    *,
    alpha: Annotated[
        float,
        Interval(ge=0, lt=1),
        Doc("Chance that the walk follows an edge and doesn't start anew anywhere."),
    ] = 0.85,
    max_iter: Annotated[int, Interval(ge=1, le=100_000), Doc("Most steps of the power iteration.")] = 200,
    tol: Annotated[float, Interval(gt=0, le=0.01), Doc("Change a node at which the iteration ends.")] = 1e-6,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Ranking:
    """Rank nodes by how often a random walk that starts anew with chance 1 - alpha visits them.

    The statistic is the largest score. Its null exchanges the ends of edges at random, which keeps every
    node's number of edges (in and out), so that it asks whether random wiring would make a node as central. That is no
    question for a graph that is wired by place or by groups, such as one of nearest neighbours: where neighbours of a node
    are neighbours far more often than random wiring has it, nothing is tested. Parallel edges count as one with the sum of
    their weights. A graph is one of its kind, and its scores have no intervals.

    Returns
    -------
    Ranking
        ``scores`` (n,) that sum to 1, in node order. ``outcome`` says if they didn't settle.

    Raises
    ------
    DataError
        No nodes or edges, or negative weights.

    References
    ----------
    Page, Brin, Motwani and Winograd 1999, The PageRank citation ranking, Stanford InfoLab; Fosdick, Larremore,
    Nishimura and Ugander 2018, Configuring random graph models with fixed degree sequences, SIAM Review 60.
    """
    if graph.n == 0 or len(graph.edges) == 0:
        raise DataError(
            f"{graph.name} has {graph.n} nodes and {len(graph.edges)} edges; a walk needs at least one of each."
        )
    if (graph.weights < 0).any():
        raise DataError(
            f"{graph.name} has {int((graph.weights < 0).sum()):,} edges of negative weight, along which no walk can go. "
            f"Take their absolute value, or leave them out."
        )
    directed = graph.directed
    edges, weights = simple_edges(graph.edges, graph.weights, graph.n, directed=directed)

    def score(edges: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        return _scores(*simple_edges(edges, weights, graph.n, directed=directed), graph, alpha, max_iter, tol)

    draw = rewire(edges, graph.n, directed=directed)
    scores, reached = score(edges, weights)
    top = int(scores.argmax())
    result = Ranking(
        names=tuple(_names(graph)),
        scores=scores,
        ids=graph.ids,
        quantity="visits",
        outcome=Outcome()
        if reached <= tol
        else Outcome(
            "stopped",
            f"Stopped at max_iter={max_iter}, where scores still changed by up to {reached:.0e} a node "
            f"(tol={tol:g}): raise max_iter, or lower alpha.",
        ),
        caveat=f"The most central node is {graph.ids[top]}.",
    )
    show_early(result)
    why = wired_by_place(edges, graph.n, directed=directed, random_state=random_state) if n_null else ""
    (drawn,) = draw_until_clear(
        lambda rng: np.array([score(draw(rng), weights)[0].max()]),
        scores[[top]],
        ("greater",),
        0 if why else n_null,
        random_state,
        "pagerank: null",
    )
    return replace(
        result,
        evidence=(
            Evidence(
                question="Is the most central node more so than random wiring with these degrees would make one?",
                id="largest_score",
                label="largest score",
                value=scores[top],
                n=graph.n,
                unit="nodes",
                **(NULL.refused(why) if why else NULL.said(drawn.tolist())),
            ),
        ),
    )


def _scores(
    edges: np.ndarray, weights: np.ndarray, graph: Graph, alpha: float, max_iter: int, tol: float
) -> tuple[np.ndarray, float]:
    """The scores, and the tolerance that ``max_iter`` steps were enough for."""
    import networkx as nx

    walk: nx.Graph = nx.DiGraph() if graph.directed else nx.Graph()
    walk.add_nodes_from(range(graph.n))
    ends = zip(*edges.T.tolist(), weights.tolist(), strict=True)
    walk.add_weighted_edges_from(ends)
    while True:
        try:
            found = nx.pagerank(walk, alpha=alpha, max_iter=max_iter, tol=tol)
        except nx.PowerIterationFailedConvergence:
            tol *= 10  # networkx keeps what it had reached to itself; a single step satisfies the largest
        else:
            return np.array([found[i] for i in range(graph.n)]), tol


def _names(graph: Graph) -> list[str]:
    column = next((c for c in ("name", "token", "label") if c in graph.table.columns), None)
    return [str(v) for v in (graph.ids if column is None else graph.table[column])]
