"""What methods of graphs share: edges that may be asked about, nodes' names, and the same graph wired at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.core.errors import DataError
from workbench.numerics.rewiring import rewired, simple_edges
from workbench.subjects.graph import Graph

LEVEL = "level"  # the column that says at which level of a layered graph a node is
WITHIN = "edges stay between the levels that they join"


def checked(graph: Graph, method: str, most_nodes: int, most_edges: int) -> None:
    """Refuse what a method can't be asked of.

    Raises
    ------
    DataError
        No nodes or edges, negative weights, or more than fit.
    """
    if graph.n == 0 or len(graph.edges) == 0:
        raise DataError(
            f"{graph.name} has {graph.n} nodes and {len(graph.edges)} edges; {method} needs both."
        )
    if (graph.weights < 0).any():
        raise DataError(
            f"{graph.name} has {int((graph.weights < 0).sum()):,} edges of negative weight; {method} takes a weight for a "
            "strength. Take their absolute value, or leave them out."
        )
    if graph.n > most_nodes or len(graph.edges) > most_edges:
        raise DataError(
            f"{graph.name} has {graph.n:,} nodes and {len(graph.edges):,} edges; {method} takes at most {most_nodes:,} and "
            f"{most_edges:,}. Select fewer nodes, or keep fewer edges a node."
        )


def names(graph: Graph) -> list[str]:
    """What nodes are called: by their column ``name``, ``token`` or ``label``, or by their ids."""
    column = next((c for c in ("name", "token", "label") if c in graph.table.columns), None)
    return [str(v) for v in (graph.ids if column is None else graph.table[column])]


def simple(graph: Graph, *, directed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Edges without parallel ones and without loops, in a layered graph from the lower level to the higher; and weights."""
    edges, weights = simple_edges(graph.edges, graph.weights, graph.n, directed=directed)
    kept = (edges[:, 0] != edges[:, 1]) & (weights > 0)
    edges, weights = edges[kept], weights[kept]
    if not directed and (levels := _levels(graph)) is not None:
        down = levels[edges[:, 0]] > levels[edges[:, 1]]
        edges[down] = edges[down, ::-1]
    return edges, weights


def rewire(
    graph: Graph, edges: np.ndarray, *, directed: bool
) -> tuple[Callable[[np.random.Generator], np.ndarray], str]:
    """Return what draws graphs of the same degrees, and what else is kept, in words.

    In a layered graph edges are exchanged only with those that join the same levels: wired otherwise it would have no layers,
    and any that has would look unlike it.
    """
    levels = _levels(graph)
    if levels is None:
        return lambda rng: rewired(edges, graph.n, rng, directed=directed), ""
    _, pair = np.unique(levels[edges], axis=0, return_inverse=True)
    pair = pair.reshape(-1)
    groups = [np.flatnonzero(pair == p) for p in range(pair.max() + 1)]

    def draw(rng: np.random.Generator) -> np.ndarray:
        out = edges.copy()
        for some in groups:
            between = bool(levels[edges[some[0], 0]] != levels[edges[some[0], 1]])
            out[some] = rewired(edges[some], graph.n, rng, directed=directed or between)
        return out

    return draw, WITHIN


def _levels(graph: Graph) -> np.ndarray | None:
    if LEVEL not in graph.table.columns or graph.table[LEVEL].dtype.kind not in "iu":
        return None
    return graph.table[LEVEL].to_numpy(np.int64)
