"""igraph, where it is installed: communities, shortest paths and layouts of graphs, without Python's loops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import MissingError

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def igraph() -> Any:
    """Return the library.

    Raises
    ------
    MissingError
        It isn't installed; with the command that installs it.
    """
    try:
        import igraph as library
    except ImportError as e:
        raise MissingError(
            "This takes igraph, which isn't installed: pip install 'workbench[graphs]' (or pip install igraph)."
        ) from e
    return library


def graph_of(edges: Int[np.ndarray, "m 2"], n: int, *, directed: bool) -> Any:
    """Return the library's own graph."""
    return igraph().Graph(n=n, edges=edges.tolist(), directed=directed)


def leiden(
    edges: Int[np.ndarray, "m 2"],
    weights: Float[np.ndarray, " m"],
    n: int,
    resolution: float,
    random_state: int,
) -> tuple[Int[np.ndarray, " n"], float]:
    """Return the communities of an undirected graph, the largest first, and their modularity.

    References
    ----------
    Traag, Waltman and van Eck 2019, From Louvain to Leiden: guaranteeing well-connected communities, Sci. Rep. 9:5233.
    """
    graph = graph_of(edges, n, directed=False)
    with _seeded(random_state):
        found = graph.community_leiden(
            objective_function="modularity", weights=weights, resolution=resolution, n_iterations=5
        )
    labels = np.asarray(found.membership)
    order = np.argsort(-np.bincount(labels), kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    modularity = graph.modularity(labels.tolist(), weights=weights, resolution=resolution)
    return rank[labels], float(modularity)


@contextmanager
def _seeded(random_state: int) -> Iterator[None]:
    """The library draws from Python's own generator, unless it is given another."""
    import random

    library = igraph()
    library.set_random_number_generator(random.Random(random_state))
    try:
        yield
    finally:
        library.set_random_number_generator(random)
