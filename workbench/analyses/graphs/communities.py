"""Communities: nodes that are joined among themselves more than to others."""

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
from workbench.numerics.graph_library import leiden
from workbench.results.partition import Partition
from workbench.subjects.graph import Graph

MOST_NODES, MOST_EDGES = 200_000, 2_000_000


@analysis
def communities(
    graph: Graph,
    *,
    resolution: Annotated[
        float, Interval(gt=0, le=100), Doc("Above 1 more and smaller communities, below it fewer.")
    ] = 1.0,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Partition:
    """Put nodes into communities by the modularity that the Leiden algorithm reaches.

    Directions don't count, loops are left out, and parallel edges are one. Since the best of very many partitions is taken,
    random wiring has a modularity too, and often a large one: the null exchanges the ends of edges at random, every node keeping
    its number of edges, and takes the best partition of each such graph. In a layered graph (nodes with a column ``level``)
    edges stay between the levels that they join. Which community a node near a border is in depends on the seed, which is what
    isn't tested. A graph is one of its kind, and its modularity has no interval.

    Returns
    -------
    Partition
        ``labels`` (n,), the largest community first; each is named by its node of most weight.

    Raises
    ------
    DataError
        No nodes, no edges but loops, negative weights, or more than 200,000 nodes or 2,000,000 edges.
    MissingError
        igraph isn't installed.

    References
    ----------
    Traag, Waltman and van Eck 2019, From Louvain to Leiden, Sci. Rep. 9:5233; Newman and Girvan 2004, Finding and evaluating
    community structure in networks, Phys. Rev. E 69; Guimerà, Sales-Pardo and Amaral 2004, Modularity from fluctuations in random
    graphs and complex networks, Phys. Rev. E 70.
    """
    checked(graph, "communities", MOST_NODES, MOST_EDGES)
    edges, weights = simple(graph, directed=False)
    if not len(edges):
        raise DataError(
            f"{graph.name} has no edge with a weight between two nodes: there is nothing to be a community of."
        )
    labels, modularity = leiden(edges, weights, graph.n, resolution, random_state)
    strength = np.bincount(edges.ravel(), np.repeat(weights, 2), graph.n)
    called = names(graph)
    leaders = [np.flatnonzero(labels == g)[strength[labels == g].argmax()] for g in range(labels.max() + 1)]
    result = Partition(
        labels=labels,
        ids=graph.ids,
        names=tuple(f"around {called[i]}" for i in leaders),
        caveat=f"{len(leaders)} communities; the largest has {int((labels == 0).sum()):,} of {graph.n:,} nodes.",
    )
    show_early(result)
    draw, kept = rewire(graph, edges, directed=False)

    def reached(rng: np.random.Generator) -> np.ndarray:
        return np.array([leiden(draw(rng), weights, graph.n, resolution, int(rng.integers(2**31)))[1]])

    null = draw_until_clear(
        reached, np.array([modularity]), ["greater"], n_null, random_state, "communities: null"
    )[0]
    return replace(
        result,
        evidence=(
            Evidence(
                id="modularity",
                question="Are there communities beyond those that random wiring with these degrees has?",
                label="modularity",
                value=modularity,
                n=graph.n,
                unit="nodes",
                **(NULL.said(null.tolist(), details=kept) if n_null else NULL.refused("no null was drawn")),
            ),
        ),
    )
