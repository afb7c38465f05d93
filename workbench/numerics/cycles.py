"""Representatives of homology classes: loops of rows, and components at the moment they merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def loop_through(
    distances: Float[np.ndarray, "n n"], edge: tuple[int, int], length: float
) -> Int[np.ndarray, " c"]:
    """Return a closed loop that exists from ``length`` on and not before: ``edge`` and a way back.

    The way back is the shortest in the graph of all edges below ``length``; where ties leave none (several
    edges of exactly this length), edges of that length are allowed too.

    Parameters
    ----------
    distances : (n, n) symmetric.
    edge : the two rows whose edge closes the loop. length : its length, as ``distances`` has it.

    Returns
    -------
    array : rows in order along the loop, the last joined to the first by ``edge``; empty if there is no way.
    """
    a, b = edge
    for allowed in (distances < length, distances <= length):
        path = _shortest_path(distances, allowed, a, b)
        if len(path):
            return path
    return np.empty(0, np.int64)


def _shortest_path(distances: np.ndarray, allowed: np.ndarray, a: int, b: int) -> np.ndarray:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    allowed = allowed.copy()
    np.fill_diagonal(allowed, False)
    allowed[a, b] = allowed[b, a] = False
    i, j = np.nonzero(allowed)
    # an edge of no length (equal rows) must not read as no edge
    weights = np.maximum(distances[i, j], np.finfo(np.float64).tiny)
    _, before = dijkstra(
        csr_array((weights, (i, j)), shape=distances.shape), indices=a, return_predecessors=True
    )
    path = [b]
    while path[-1] != a:
        if before[path[-1]] < 0:
            return np.empty(0, np.int64)
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def dying_components(
    n: int, edges: Int[np.ndarray, "m 2"], equal: Int[np.ndarray, "e 2"]
) -> tuple[list[Int[np.ndarray, " c"]], list[Int[np.ndarray, " c"]]]:
    """Return what each merging edge swallows: the rows of the smaller of the two components it joins.

    Parameters
    ----------
    n : number of rows. edges : the merging edges (a minimum spanning forest's), shortest first.
    equal : pairs of rows that are one from the start.

    Returns
    -------
    swallowed : sorted rows, one array an edge. left : the components that never merge, the largest first.
    """
    members = {i: [i] for i in range(n)}
    root = list(range(n))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    def join(a: int, b: int) -> np.ndarray:
        small, large = sorted((find(a), find(b)), key=lambda r: len(members[r]))
        if small == large:
            return np.empty(0, np.int64)
        rows = members.pop(small)
        root[small] = large
        members[large] += rows
        return np.sort(rows)

    for a, b in equal.tolist():
        join(a, b)
    swallowed = [join(a, b) for a, b in edges.tolist()]
    return swallowed, [np.sort(m) for m in sorted(members.values(), key=len, reverse=True)]
