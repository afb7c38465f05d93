"""Graphs that are wired at random, by place, in groups, in layers, or about a hub."""

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


def in_groups(rng: np.random.Generator) -> np.ndarray:
    """Four groups, two thirds of whose edges are inside."""
    of = rng.permutation(N) % 4
    first, second = np.triu_indices(N, 1)
    chance = np.where(of[first] == of[second], 8 / 3, 4 / 9) * DEGREE / (N - 1)
    taken = rng.random(len(first)) < chance
    return np.column_stack([first[taken], second[taken]])


def knot(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random graph in which 16 nodes have strong edges among themselves; edges and weights."""
    first, second = np.triu_indices(16, 1)
    taken = rng.random(len(first)) < 0.6
    strong = np.column_stack([first[taken], second[taken]])
    edges = np.vstack([random_edges(rng), strong])
    weights = np.repeat([1.0, 10.0], [len(edges) - len(strong), len(strong)])
    return simple_edges(edges, weights * rng.exponential(size=len(edges)), N, directed=False)


def _knot(rng: np.random.Generator) -> tuple[GraphSubject, ...]:
    edges, weights = knot(rng)
    return graph(edges, weights=weights)


def _layered(rng: np.random.Generator) -> tuple[GraphSubject, ...]:
    """Four levels of 60 units; each unit takes three edges from the level below, at random, with weights."""
    import pandas as pd

    size = N // 4
    edges = [
        (level * size + below, (level + 1) * size + unit)
        for level in range(3)
        for unit in range(size)
        for below in rng.choice(size, DEGREE // 2, replace=False)
    ]
    table = pd.DataFrame({"level": np.repeat(np.arange(4), size)})
    return (
        GraphSubject(
            np.array(edges),
            N,
            weights=rng.exponential(size=len(edges)),
            directed=True,
            name="world",
            table=table,
        ),
    )


GRAPH = ("Graph",)
OF_PATHS = ("pagerank", "betweenness")
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
        "neighbours in a square",
        "nearest neighbours of places spread evenly",
        GRAPH,
        neighbours_in_a_square,
        only=OF_PATHS,
    ),
    World(
        "layers of units",
        "each unit has edges from some of the level below, at random",
        GRAPH,
        _layered,
        only=("communities", "betweenness", "spanning_tree"),
    ),
    World(
        "groups of nodes",
        "two thirds of the edges are inside one of four groups",
        GRAPH,
        lambda rng: graph(in_groups(rng)),
        holds={"communities": ("modularity",)},
    ),
    World(
        "knot of strong edges",
        "a few nodes have strong edges among themselves, in a random graph",
        GRAPH,
        _knot,
        holds={"communities": ("modularity",), "spanning_tree": ("weight_of_tree",)},
    ),
    World(
        "hub",
        "a node whose neighbours have no other, in a random graph",
        GRAPH,
        _hub,
        holds=dict.fromkeys(OF_PATHS, ("largest_score",)),
    ),
)
