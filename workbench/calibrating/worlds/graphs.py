"""Graphs that are wired at random, by place, or about a hub."""

from __future__ import annotations

import numpy as np

from workbench.calibrating.world import World
from workbench.numerics.rewiring import rewired, simple_edges
from workbench.subjects.graph import GraphSubject

N = 240
DEGREE = 6
LEAVES = 5


def graph(edges: np.ndarray, n: int = N, weights: np.ndarray | None = None) -> tuple[GraphSubject, ...]:
    """A graph as a world gives it."""
    return (GraphSubject(edges, n, weights=weights, name="world"),)


def neighbours_in_a_square(rng: np.random.Generator) -> tuple[GraphSubject, ...]:
    """Each of so many places, spread evenly in a square, joined to the nearest."""
    from scipy.spatial import KDTree

    places = rng.random((N, 2))
    _, near = KDTree(places).query(places, DEGREE + 1)
    pairs = np.column_stack([np.repeat(np.arange(N), DEGREE), near[:, 1:].ravel()])
    return graph(simple_edges(pairs, np.ones(len(pairs)), N, directed=False)[0])


def random_edges(rng: np.random.Generator) -> np.ndarray:
    """Every pair of nodes joined with the same chance (Erdős and Rényi)."""
    first, second = np.triu_indices(N, 1)
    taken = rng.random(len(first)) < DEGREE / (N - 1)
    return np.column_stack([first[taken], second[taken]])


def scale_free(rng: np.random.Generator) -> np.ndarray:
    """Degrees that fall off as a power, and edges at random given them."""
    import networkx as nx

    grown = np.array(nx.barabasi_albert_graph(N, DEGREE // 2, seed=int(rng.integers(2**31))).edges)
    return rewired(grown, N, rng, directed=False)


def _weighted(rng: np.random.Generator) -> tuple[GraphSubject, ...]:
    edges = random_edges(rng)
    return graph(edges, weights=rng.exponential(size=len(edges)))


def _hub(rng: np.random.Generator) -> tuple[GraphSubject, ...]:
    """A random graph, one node of which has neighbours that have no other."""
    leaves = np.column_stack([np.zeros(LEAVES, np.int64), N + np.arange(LEAVES)])
    return graph(np.vstack([random_edges(rng), leaves]), N + LEAVES)


GRAPH = ("Graph",)
WORLDS = (
    World(
        "random graph",
        "every pair of nodes joined with the same chance",
        GRAPH,
        lambda rng: graph(random_edges(rng)),
    ),
    World("weighted random graph", "the same, with weights", GRAPH, _weighted),
    World(
        "scale-free graph",
        "degrees that fall off as a power, edges at random",
        GRAPH,
        lambda rng: graph(scale_free(rng)),
    ),
    World(
        "neighbours in a square", "nearest neighbours of places spread evenly", GRAPH, neighbours_in_a_square
    ),
    World(
        "hub",
        "a node whose neighbours have no other, in a random graph",
        GRAPH,
        _hub,
        holds={"pagerank": ("largest_score",)},
    ),
)
