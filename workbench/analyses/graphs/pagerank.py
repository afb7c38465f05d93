"""PageRank: where a random walk on a graph spends its time."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.core.results import Ranking
from workbench.core.views import Graph
from workbench.numerics.resampling import null_draws


@analysis
def pagerank(
    graph: Graph, *,
    alpha: Annotated[float, Interval(ge=0, lt=1), Doc("Chance that the walk follows an edge and doesn't start anew anywhere.")] = 0.85,
    max_iter: Annotated[int, Interval(ge=1, le=100_000), Doc("Most steps of the power iteration.")] = 200,
    tol: Annotated[float, Interval(gt=0, le=0.01), Doc("Change a node at which the iteration ends.")] = 1e-6,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 30,
    random_state: Seed = 0,
) -> Ranking:  # fmt: skip
    """Rank nodes by how often a random walk that starts anew with chance 1 - alpha visits them.

    The statistic is the largest score. Its null joins the same ends of edges at random (the configuration
    model, which keeps every node's number of edges), so that it asks whether the wiring makes a node
    central beyond its degree. Intervals draw edges with replacement.

    Returns
    -------
    Ranking
        ``scores`` (n,) that sum to 1, in node order, with intervals.

    Raises
    ------
    DataError
        No nodes or edges, negative weights, or no convergence within ``max_iter``.

    References
    ----------
    Page, Brin, Motwani and Winograd 1999, The PageRank citation ranking, Stanford InfoLab; Fosdick, Larremore,
    Nishimura and Ugander 2018, Configuring random graph models with fixed degree sequences, SIAM Review 60.
    """
    if graph.n == 0 or len(graph.edges) == 0:
        raise DataError(f"{graph.name} has {graph.n} nodes and {len(graph.edges)} edges; a walk needs at least one of each.")
    if (graph.weights < 0).any():
        raise DataError(
            f"{graph.name} has {int((graph.weights < 0).sum()):,} edges of negative weight, along which no walk can go. "
            f"Take their absolute value, or leave them out."
        )

    def score(edges: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return _scores(edges, weights, graph, alpha, max_iter, tol)

    scores = score(graph.edges, graph.weights)
    rng = np.random.default_rng([random_state, 0x706167])
    draws = [rng.integers(0, len(graph.edges), len(graph.edges)) for _ in range(n_boot)]
    resampled = np.array([score(graph.edges[i], graph.weights[i]) for i in draws])
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0) if n_boot else (np.empty(0), np.empty(0))
    top = int(scores.argmax())
    null = null_draws(
        lambda r: score(_rewired(graph.edges, graph.directed, r), graph.weights).max(), n_null, random_state, "pagerank: null"
    )
    tops = resampled.max(axis=1) if n_boot else np.empty(0)
    return Ranking(
        names=tuple(_names(graph)), scores=scores, low=np.minimum(low, scores) if n_boot else low,
        high=np.maximum(high, scores) if n_boot else high, ids=graph.ids, quantity="visits",
        evidence=(
            Evidence(
                question=f"Is node {graph.ids[top]} more central than its number of edges makes it?",
                statistic="largest score", value=scores[top], n=graph.n, unit="nodes",
                interval=(float(np.quantile(tops, 0.025)), float(np.quantile(tops, 0.975))) if n_boot else None,
                interval_method="edges drawn with replacement", null="edges rewired, degrees kept" if n_null else "",
                null_values=tuple(null),
            ),
        ),
    )  # fmt: skip


def _scores(edges: np.ndarray, weights: np.ndarray, graph: Graph, alpha: float, max_iter: int, tol: float) -> np.ndarray:
    import networkx as nx

    walk: nx.Graph = nx.DiGraph() if graph.directed else nx.Graph()
    walk.add_nodes_from(range(graph.n))
    totals: dict[tuple[int, int], float] = {}
    for (a, b), w in zip(edges.tolist(), weights.tolist(), strict=True):
        key = (a, b) if graph.directed or a <= b else (b, a)
        totals[key] = totals.get(key, 0.0) + w
    walk.add_weighted_edges_from((a, b, w) for (a, b), w in totals.items())
    try:
        found = nx.pagerank(walk, alpha=alpha, max_iter=max_iter, tol=tol)
    except nx.PowerIterationFailedConvergence:
        raise DataError(
            f"pagerank of {graph.name} did not settle within max_iter={max_iter} steps to tol={tol:g}. Raise max_iter or tol."
        ) from None
    return np.array([found[i] for i in range(graph.n)])


def _rewired(edges: np.ndarray, directed: bool, rng: np.random.Generator) -> np.ndarray:
    """Join the ends of all edges anew; targets among themselves where edges have a direction."""
    if directed:
        return np.column_stack([edges[:, 0], rng.permutation(edges[:, 1])])
    return rng.permutation(edges.ravel()).reshape(-1, 2)


def _names(graph: Graph) -> list[str]:
    column = next((c for c in ("name", "token", "label") if c in graph.table.columns), None)
    return [str(v) for v in (graph.ids if column is None else graph.table[column])]
