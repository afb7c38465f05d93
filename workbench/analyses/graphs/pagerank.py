"""PageRank: where a random walk on a graph spends its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence, Outcome
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.resampling import null_draws
from workbench.numerics.rewiring import rewired, simple_edges
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
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 30,
    random_state: Seed = 0,
) -> Ranking:
    """Rank nodes by how often a random walk that starts anew with chance 1 - alpha visits them.

    The statistic is the largest score. Its null exchanges the ends of edges at random, which keeps every
    node's number of edges (in and out), so that it asks whether the wiring makes a node central beyond its
    degree. Intervals draw edges with replacement. Parallel edges count as one with the sum of their weights.

    Returns
    -------
    Ranking
        ``scores`` (n,) that sum to 1, in node order, with intervals. ``outcome`` says if they didn't settle.

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

    def draw(rng: np.random.Generator) -> float:
        return score(rewired(edges, graph.n, rng, directed=directed), weights)[0].max()

    scores, reached = score(edges, weights)
    top = int(scores.argmax())
    low, high = _intervals(
        lambda at: score(edges[at], weights[at])[0], scores, len(edges), n_boot, random_state
    )
    return Ranking(
        names=tuple(_names(graph)),
        scores=scores,
        low=low,
        high=high,
        ids=graph.ids,
        quantity="visits",
        evidence=(
            Evidence(
                question="Is the most central node more so than its number of edges makes it?",
                id="largest_score",
                label="largest score",
                value=scores[top],
                n=graph.n,
                unit="nodes",
                interval=(float(low[top]), float(high[top])) if n_boot else None,
                interval_method="edges drawn with replacement",
                null="edges rewired, degrees kept" if n_null else "",
                hypothesis="a node is as central as its number of edges makes it",
                null_values=tuple(null_draws(draw, n_null, random_state, "pagerank: null")),
            ),
        ),
        outcome=Outcome()
        if reached <= tol
        else Outcome(
            "stopped",
            f"Stopped at max_iter={max_iter}, where scores still changed by up to {reached:.0e} a node "
            f"(tol={tol:g}): raise max_iter, or lower alpha.",
        ),
        caveat=f"The most central node is {graph.ids[top]}.",
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


def _intervals(
    score: Callable[[np.ndarray], np.ndarray], scores: np.ndarray, m: int, n_boot: int, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """95 % of each node's scores on resampled edges, widened to the score itself where it lies outside."""
    if n_boot == 0:
        return np.empty(0), np.empty(0)
    rng = np.random.default_rng([random_state, 0x706167])
    drawn = np.array([score(rng.integers(0, m, m)) for _ in range(n_boot)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return np.minimum(low, scores), np.maximum(high, scores)


def _names(graph: Graph) -> list[str]:
    column = next((c for c in ("name", "token", "label") if c in graph.table.columns), None)
    return [str(v) for v in (graph.ids if column is None else graph.table[column])]
