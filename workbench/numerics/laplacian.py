"""Neighbour graphs and the slowest modes of a walk on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.sparse import csr_array

NO_EDGE = 1e-9  # of what two nodes have: rounding would decide what so weak an edge joins
TIED = 1e-5  # eigenvalues that differ by less are the same in single precision
FLOOR = 0.1  # of the last eigenvalue; modes slower than this are all slow
DENSE_UP_TO = 300  # nodes; below it all eigenvectors are cheaper than a few by iteration


def neighbour_graph(indices: Int[np.ndarray, "n k"]) -> csr_array:
    """Link every row with its neighbours: weight 1 where both name each other, a half where one does."""
    from scipy.sparse import csr_array

    n, k = indices.shape
    named = csr_array((np.full(n * k, 0.5), indices.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    return csr_array(named + named.T)


def affinity_graph(affinities: Float[np.ndarray, "n n"]) -> csr_array:
    """The graph whose weights are given, zero on the diagonal; a node without edges is a piece of its own."""
    from scipy.sparse import csr_array, diags_array

    root = np.sqrt(affinities.sum(axis=1))
    weights = affinities / (affinities.max() or 1)  # in the range of single precision, for a GPU
    graph = csr_array(np.where(affinities > NO_EDGE * root[:, None] * root, weights, 0))
    alone = np.asarray(graph.sum(axis=1)).ravel() == 0
    return csr_array(
        graph + diags_array(alone.astype(np.float64))
    )  # an edge to itself, since a walk has to go on


def slowest_modes(
    graph: csr_array, k: int, random_state: int = 0
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n k"], int]:
    """Return the ``k`` smallest eigenvalues of a graph's normalized Laplacian and its random walk's modes.

    Pieces of the graph are solved one by one, the largest first: each gives an eigenvalue 0, which an iteration
    over the whole would find only some of.

    Parameters
    ----------
    graph : (n, n) symmetric, not negative, every node with an edge.
    k : at most n.

    Returns
    -------
    values : ascending, in [0, 2].
    modes : right eigenvectors of the walk, D^(-1/2) u for the Laplacian's unit u.
    pieces : how many connected pieces the graph has.
    """
    pieces, piece_of = pieces_of(graph)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    values, vectors = [], []
    for piece in range(pieces):
        nodes = np.flatnonzero(piece_of == piece)
        own_values, own = _modes(graph[nodes][:, nodes], degree[nodes], min(k, len(nodes)), random_state)
        own_values[0], own[:, 0] = 0, 1 / np.sqrt(degree[nodes].sum())  # known, so that zeros tie
        for value, mode in zip(own_values, own.T, strict=True):
            values.append(value)
            vectors.append((nodes, mode))
    order = np.argsort(values, kind="stable")[:k]
    modes = np.zeros((len(degree), k))
    for column, i in enumerate(order):
        nodes, mode = vectors[i]
        modes[nodes, column] = mode
    return np.array(values)[order].clip(0), modes, pieces


def slowest_values(graph: csr_array, k: int) -> Float[np.ndarray, " k"]:
    """Return the eigenvalues that `slowest_modes` does, of a graph of a few hundred nodes in a third of the time."""
    scale = 1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel())
    walk = scale[:, None] * graph.toarray() * scale
    return (1 - np.linalg.eigvalsh(walk)[::-1][:k]).clip(0)


def pieces_of(graph: csr_array) -> tuple[int, Int[np.ndarray, " n"]]:
    """Return how many connected pieces a graph has and the piece of every node, 0 the largest."""
    from scipy.sparse.csgraph import connected_components

    pieces, label = connected_components(graph, directed=False)
    place = np.empty(pieces, np.int64)
    place[np.argsort(-np.bincount(label, minlength=pieces), kind="stable")] = np.arange(pieces)
    return pieces, place[label]


def eigengap(values: Float[np.ndarray, " m"]) -> int:
    """Number of clusters, at least 2, after whose eigenvalue the spectrum's logarithm bends most; of equal bends the first.

    The gaps of the eigenvalues themselves are widest where few clusters lie far apart and where one lump is cut in three
    alike, since a lump's own modes rise fast: where the rise stops says more. A tenth of the last eigenvalue is added to
    all, so that it doesn't matter by how much modes are slower than slow. On planted clusters this was right most often
    of the rules tried (gaps, ratios, and a lump's modes as the measure).

    One rule for every device: what differs by less than the rounding of single precision counts as equal.

    Parameters
    ----------
    values : ascending, with two more than the most clusters that may be chosen.
    """
    v = np.asarray(values, np.float64)
    if len(v) < 4:
        return 2
    floor = max(FLOOR * v[-1], TIED)
    rise = np.diff(np.log(v + floor))[1:]
    bend = rise[:-1] - rise[1:]
    return int(np.argmax(bend >= bend.max() - TIED / floor)) + 2


def _modes(graph: csr_array, degree: np.ndarray, k: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    n = len(degree)
    scale = diags_array(1 / np.sqrt(degree))
    walk = (
        scale @ graph @ scale
    ).tocsc()  # the Laplacian is 1 minus this; its largest eigenvalues are found fast
    if n <= DENSE_UP_TO or 2 * k >= n:
        # all of them: LAPACK's search for a few (syevr) fails on matrices of equal entries, as cliques give
        values, vectors = np.linalg.eigh(walk.toarray())
        values, vectors = values[-k:], vectors[:, -k:]
    else:
        start = np.random.default_rng([random_state, 0x6569]).standard_normal(n)
        try:
            values, vectors = eigsh(walk, k, which="LA", v0=start, ncv=min(n, max(4 * k, 20)))
        except ArpackNoConvergence:  # a long thin graph, whose factors stay sparse
            values, vectors = eigsh(walk, k, sigma=1 + 1e-5, which="LM", v0=start)
    order = np.argsort(-values, kind="stable")
    return 1 - values[order], vectors[:, order] / np.sqrt(degree)[:, None]
