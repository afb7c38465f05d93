"""Graphs that are made by repeating a rule, whose box dimension is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Grown:
    """A graph and what is known of it.

    Attributes
    ----------
    edges : (m, 2). born : (n,), the generation in which each node came.
    dimension : its box dimension, or None where it isn't fractal: boxes then fall exponentially with their length.
    scale : by how much each generation is longer than the one before.
    ends : (n, 2), between which two nodes each came; a node that was there comes between itself. None where copies were laid.
    share, side : (n,), how far along from the first of these, and on which side, so that a drawing can bend there.
    """

    edges: Int[np.ndarray, "m 2"]
    born: Int[np.ndarray, " n"]
    dimension: float | None
    scale: int
    ends: Int[np.ndarray, "n 2"] | None = None
    share: Float[np.ndarray, " n"] | None = None
    side: Float[np.ndarray, " n"] | None = None

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.born)


def nodes_of_flower(u: int, v: int, generations: int) -> int:
    """How many nodes a flower has: (w - 2) / (w - 1) wᵍ + w / (w - 1) of w = u + v."""
    w = u + v
    return ((w - 2) * w**generations + w) // (w - 1)


EDGE = np.array([[0, 1]])


def flower(u: int, v: int, generations: int, edges: Int[np.ndarray, "m 2"] = EDGE) -> Grown:
    """Grow a (u, v)-flower: every edge becomes two paths between its ends, of u and v edges.

    Its dimension is ln(u + v) / ln u for u ≤ v and u > 1; for u = 1 distances don't grow and it is no fractal.

    Parameters
    ----------
    edges : that it grows from, each by the same rule; nodes are numbered without gaps.

    References
    ----------
    Rozenfeld, Havlin and ben-Avraham 2007, Fractal and transfractal recursive scale-free nets, New J. Phys. 9, section 2.
    """
    u, v = min(u, v), max(u, v)
    along = [*(np.arange(1, u) / u), *(np.arange(1, v) / v)]
    aside = [1.0] * (u - 1) + [-1.0] * (v - 1)
    born, placed = _start(edges)
    for generation in range(1, generations + 1):
        n, m, made = len(born), len(edges), []
        new = n + np.arange(m * (u + v - 2)).reshape(m, -1)
        placed.append(_between(edges, along, aside))
        for inner in (new[:, : u - 1], new[:, u - 1 :]):
            path = np.column_stack([edges[:, :1], inner, edges[:, 1:]])
            made.append(np.stack([path[:, :-1], path[:, 1:]], axis=2).reshape(-1, 2))
        edges = np.concatenate(made)
        born = np.concatenate([born, np.full(new.size, generation)])
    dimension = float(np.log(u + v) / np.log(u)) if u > 1 else None
    return Grown(edges, born, dimension, u, *(np.concatenate(p) for p in zip(*placed, strict=True)))


def hierarchical(offspring: int, generations: int, edges: Int[np.ndarray, "m 2"] = EDGE) -> Grown:
    """Grow a hierarchical tree in which hubs keep away from each other: each end of an edge bears ``offspring`` leaves.

    Each edge is then taken away, and joins one leaf of either end instead, so that lengths grow threefold.

    Parameters
    ----------
    edges : see `flower`.

    References
    ----------
    Song, Havlin and Makse 2006, Origins of fractality in the growth of complex networks, Nature Physics 2, mode II.
    """
    along = [1 / 3] * offspring
    aside = [0.0, *(0.5 * (k // 2 + 1) * (-1) ** k for k in range(offspring - 1))]
    born, placed = _start(edges)
    for generation in range(1, generations + 1):
        n, m = len(born), len(edges)
        both_ways = np.stack([edges, edges[:, ::-1]], axis=1).reshape(-1, 2)
        placed.append(_between(both_ways, along, aside))
        leaves = n + np.arange(2 * m * offspring).reshape(m, 2, offspring)
        hung = np.stack([np.broadcast_to(edges[:, :, None], leaves.shape), leaves], axis=3).reshape(-1, 2)
        edges = np.concatenate([hung, leaves[:, :, 0]])
        born = np.concatenate([born, np.full(leaves.size, generation)])
    dimension = float(np.log(2 * offspring + 1) / np.log(3))
    return Grown(edges, born, dimension, 3, *(np.concatenate(p) for p in zip(*placed, strict=True)))


Placed = tuple[np.ndarray, np.ndarray, np.ndarray]


def _start(edges: np.ndarray) -> tuple[np.ndarray, list[Placed]]:
    """When nodes that are there were born, and where they stand: at themselves."""
    n = int(edges.max()) + 1
    return np.zeros(n, dtype=np.int64), [(np.repeat(np.arange(n), 2).reshape(n, 2), np.zeros(n), np.zeros(n))]


def _between(edges: np.ndarray, along: list[float], aside: list[float]) -> Placed:
    """Ends, shares and sides of the nodes that come in each edge, edge by edge."""
    return np.repeat(edges, len(along), axis=0), np.tile(along, len(edges)), np.tile(aside, len(edges))


def gasket(generations: int) -> Grown:
    """Grow Sierpiński's gasket: three maps that halve a triangle towards its corners; dimension ln 3 / ln 2.

    References
    ----------
    Hutchinson 1981, Fractals and self similarity, Indiana Univ. Math. J. 30, for the maps.
    """
    triangle = np.array([[0, 0], [1, 0], [0, 1]])
    return _by_maps(triangle, np.array([[0, 1], [1, 2], [2, 0]]), triangle, 2, generations)


def cross(generations: int) -> Grown:
    """Grow Vicsek's cross: five maps that shrink it to a third, to its middle and its four arms; dimension ln 5 / ln 3.

    References
    ----------
    Vicsek 1983, Fractal models for diffusion controlled aggregation, J. Phys. A 16.
    """
    corners = np.array([[1, 1], [0, 1], [2, 1], [1, 0], [1, 2]])
    return _by_maps(corners, np.array([[0, i] for i in range(1, 5)]), corners, 3, generations, across=2)


def _by_maps(
    points: np.ndarray, edges: np.ndarray, moves: np.ndarray, scale: int, generations: int, across: int = 1
) -> Grown:
    """Put copies of a graph beside each other by the maps of an iterated function system; points that meet become one."""
    born = np.zeros(len(points), dtype=np.int64)
    for generation in range(generations):
        shift = across * scale**generation * moves
        n = len(points)
        edges = np.concatenate([edges + i * n for i in range(len(moves))])
        placed = (points[None] + shift[:, None]).reshape(-1, 2)
        came = np.concatenate([born, *[np.full(n, generation + 1)] * (len(moves) - 1)])
        points, first, which = np.unique(placed, axis=0, return_index=True, return_inverse=True)
        edges = which.reshape(-1)[edges]
        born = came[first]
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    return Grown(edges, born, float(np.log(len(moves)) / np.log(scale)), scale)
