"""Spectral modes and clusters of a neighbour graph, in torch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.device import Device, choose, memory_budget, refuse_beyond
from workbench.numerics.laplacian import eigengap
from workbench.numerics.linalg_torch import largest_eigenpairs
from workbench.numerics.pieces_torch import piece_labels

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int
    from torch import Tensor

MOST_PRODUCTS = 3000
N_GUARD = 12  # modes carried along beyond those asked for
RESTARTS = 4  # of k-means for either scaling of the modes, beside those from the pivoted factorization
LLOYD_STEPS = 30
REFINED, ROUNDS = 3, 20  # labellings whose rows are moved while the cut falls, and rounds of moves


@dataclass(frozen=True)
class Graph:
    """A symmetric weighted graph in rows: ``columns[starts[i]:starts[i + 1]]`` are the neighbours of node i."""

    starts: Int[Tensor, " m"]
    columns: Int[Tensor, " e"]
    weights: Float[Tensor, " e"]

    @property
    def n(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> Int[Tensor, " e"]:
        """The node that each entry belongs to."""
        return torch.arange(self.n, device=self.starts.device).repeat_interleave(self.starts.diff())

    @property
    def degrees(self) -> Float[Tensor, " n"]:
        total = torch.nn.functional.pad(self.weights.double().cumsum(0), (1, 0))
        return (total[self.starts[1:]] - total[self.starts[:-1]]).float()


@dataclass(frozen=True)
class Modes:
    """The slowest modes of the walk on a graph.

    Attributes
    ----------
    values : (k,) ascending eigenvalues of the normalized Laplacian, in [0, 2].
    vectors : (n, k) its unit eigenvectors; divided by the root of the degrees they are the walk's modes.
    pieces : connected pieces of the graph, each of which gives one eigenvalue 0.
    piece_of : (n,) the piece of every node, 0 the largest.
    residual : the largest residual norm. converged : whether it is below what was asked for.
    """

    values: Float[Tensor, " k"]
    vectors: Float[Tensor, "n k"]
    pieces: int
    piece_of: Int[Tensor, " n"]
    residual: float
    converged: bool


@dataclass(frozen=True)
class SpectralClusters:
    """Labels (n,) in 0 … n_clusters - 1, the modes they were read from, and the normalized cut."""

    labels: Int[Tensor, " n"]
    n_clusters: int
    normalized_cut: float
    modes: Modes


def neighbour_graph(indices: Int[Tensor, "n k"]) -> Graph:
    """Link every row with its neighbours: weight 1 where both name each other, a half where one does."""
    n, k = indices.shape
    own = torch.arange(n, device=indices.device).repeat_interleave(k)
    other = indices.reshape(-1).long()
    found = other >= 0
    own, other = own[found], other[found]
    key = torch.cat([own * n + other, other * n + own]).sort().values
    key, count = torch.unique_consecutive(key, return_counts=True)
    row = key // n
    starts = torch.nn.functional.pad(torch.bincount(row, minlength=n).cumsum(0), (1, 0))
    return Graph(starts, key - row * n, count.float() / 2)


def connected_pieces(graph: Graph) -> tuple[int, Int[Tensor, " n"]]:
    """Return how many connected pieces a graph has and the piece of every node, 0 the largest."""
    label = piece_labels(graph.rows, graph.columns, graph.n)
    _, piece, size = torch.unique(label, return_inverse=True, return_counts=True)
    place = torch.empty_like(size)
    place[size.argsort(descending=True, stable=True)] = torch.arange(len(size), device=size.device)
    return len(size), place[piece]


def spectral_modes(
    graph: Graph, k: int, *, tol: float = 1e-3, random_state: int = 0, memory: int | None = None
) -> Modes:
    """Return the ``k`` slowest modes of the walk on a graph.

    The pieces' own modes, of eigenvalue 0, are known beforehand and taken out; an iteration over the whole
    would mix them.

    Parameters
    ----------
    graph : every node needs an edge. k : at least 1, at most n.
    tol : residual norm at which a mode counts as found; the eigenvalue's error is of the order of its square.
    memory : bytes that it may take; what is free on a GPU if None.

    Raises
    ------
    ParameterError
        ``k`` is out of range.
    DataError
        A node without edges, or more nodes than the memory holds blocks of vectors for.
    """
    n = graph.n
    if not 1 <= k <= n:
        raise ParameterError(f"k={k} must be at least 1 and at most the number of rows, {n}")
    if memory is not None or graph.starts.device.type == "cuda":
        budget = memory_budget(graph.starts.device) if memory is None else memory
        # five blocks in the filter, an edge's weight, column and row
        refuse_beyond(20 * n * (k + N_GUARD) + 32 * len(graph.columns), budget, n, "a search for modes")
    degree = graph.degrees
    if not bool((degree > 0).all()):
        raise DataError("a node has no edge: drop it, or raise n_neighbors")
    root = degree.sqrt()
    pieces, piece_of = connected_pieces(graph)
    volume = _by_piece(degree[:, None], piece_of, pieces)[:, 0]
    zeros = min(pieces, k)
    at = torch.arange(zeros, device=root.device)
    vectors = torch.where(piece_of[:, None] == at, root[:, None] / volume.sqrt()[:zeros], 0.0)
    values, residual = torch.zeros(k, device=root.device), 0.0
    if k > zeros:
        walk = _sparse(graph, graph.weights / (root[graph.rows] * root[graph.columns]))

        def product(x: Tensor, add: Tensor | None, alpha: float, beta: float) -> Tensor:
            out = (walk @ x).mul_(alpha) if add is None else torch.addmm(add, walk, x, beta=beta, alpha=alpha)
            share = _by_piece(x * root[:, None], piece_of, pieces) / volume[:, None]
            # the pieces' own modes get the eigenvalue 0 instead of 1
            own = root[:, None] * share if pieces == 1 else root[:, None] * share[piece_of]
            return out.sub_(own, alpha=alpha)

        found = largest_eigenpairs(
            product,
            n,
            k - zeros,
            lowest=-1.0,
            highest=1.0,
            device=root.device,
            n_guard=N_GUARD,
            tol=tol / 2,
            max_products=MOST_PRODUCTS,
            random_state=random_state,
        )
        values[zeros:] = (1 - found.values).clamp(0, 2)
        vectors = torch.cat([vectors, found.vectors], 1)
        residual = float(found.residuals.max())
    return Modes(values, vectors, pieces, piece_of, residual, residual <= tol)


def _sparse(graph: Graph, values: Float[Tensor, " e"]) -> Tensor:
    with warnings.catch_warnings():
        # torch says so at the first of them in every process; the rows above are in order
        warnings.filterwarnings("ignore", "Sparse invariant checks are implicitly disabled", UserWarning)
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(graph.starts.int(), graph.columns.int(), values, (graph.n, graph.n))


def _by_piece(x: Float[Tensor, "n p"], piece_of: Int[Tensor, " n"], pieces: int) -> Float[Tensor, "c p"]:
    """Sums over each piece."""
    if pieces == 1:
        return x.sum(0, keepdim=True)
    return torch.zeros((pieces, x.shape[1]), device=x.device).index_add_(0, piece_of, x)


def normalized_cut(graph: Graph, labels: Int[Tensor, " n"], n_clusters: int) -> float:
    """Return the sum over clusters of the weight that leaves each, relative to all weight at its nodes."""
    return _cuts(graph, graph.rows, [labels], n_clusters)[0]


def _cuts(graph: Graph, rows: Tensor, labellings: list[Tensor], n_clusters: int) -> list[float]:
    out = []
    twice = (2 * graph.weights).round().long()  # whole numbers, so that the order of a sum doesn't matter
    for labels in labellings:
        own, other = labels[rows], labels[graph.columns]
        sums = torch.zeros((2, n_clusters), dtype=torch.int64, device=labels.device)
        sums[0].index_add_(0, own, twice)
        sums[1].index_add_(0, own, twice * (own != other))
        out.append((sums[1] / sums[0].clamp_min(1).double()).sum())
    return torch.stack(out).tolist()


def spectral_clustering(
    x: Float[Tensor | np.ndarray, "n d"] | Graph,
    n_clusters: int | None = None,
    *,
    n_neighbors: int = 15,
    metric: str = "euclidean",
    max_clusters: int = 30,
    device: Device | torch.device = "auto",
    random_state: int = 0,
) -> SpectralClusters:
    """Cut the neighbour graph of rows into clusters with few edges between them.

    Parameters
    ----------
    x : (n, d) rows, or a graph whose weights are multiples of a half.
    n_clusters : None takes at most ``max_clusters``, as many as `eigengap` says.
    n_neighbors, metric : as in `neighbours_torch.k_nearest`.

    Returns
    -------
    SpectralClusters
        The labelling with the lowest normalized cut of those that pivoted factorization and k-means of the
        modes give, after moves of single rows that lower it. Where the graph has more pieces than clusters, the last cluster holds several.

    References
    ----------
    Ng, Jordan and Weiss 2001, On spectral clustering; von Luxburg 2007, A tutorial on spectral clustering,
    Stat. Comput. 17; Damle, Minden and Ying 2019, Simple, direct and efficient multi-way spectral
    clustering, Inf. Inference 8.
    """
    graph = x if isinstance(x, Graph) else _graph_of(x, n_neighbors, metric, device, random_state)
    n_modes = n_clusters if n_clusters is not None else min(max_clusters + 2, graph.n)
    if not 1 <= n_modes <= graph.n:
        raise ParameterError(f"n_clusters={n_clusters} must be at least 1 and at most {graph.n}")
    modes = spectral_modes(graph, n_modes, random_state=random_state)
    count = n_clusters if n_clusters is not None else widest_gap(modes.values)
    if modes.pieces >= count:
        labels = modes.piece_of.clamp_max(count - 1)
        return SpectralClusters(labels, count, normalized_cut(graph, labels, count), modes)
    labels, cut = best_labels(graph, modes.vectors[:, :count], random_state)
    return SpectralClusters(labels, count, cut, modes)


def widest_gap(values: Float[Tensor, " k"]) -> int:
    """Return after how many eigenvalues, at least two where there are more, the spectrum bends; see `eigengap`."""
    if len(values) < 3:
        return len(values)
    return eigengap(values.cpu().numpy())


def _graph_of(x: Any, n_neighbors: int, metric: Any, device: Any, seed: int) -> Graph:
    from workbench.numerics.neighbours_torch import k_nearest

    near = k_nearest(x, n_neighbors, metric, recall_rows=0, device=choose(device), random_state=seed)
    return neighbour_graph(near.indices)


def best_labels(graph: Graph, vectors: Float[Tensor, "n k"], seed: int) -> tuple[Int[Tensor, " n"], float]:
    """Return the labelling from ``k`` modes that has the lowest normalized cut of those tried, and that cut."""
    k = vectors.shape[1]
    first = _pivoted_labels(vectors)
    unit = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-20)
    # small clusters lie far out in the walk's own modes; in unit rows they are lost among the large ones
    walk = vectors / graph.degrees.sqrt()[:, None]
    generator = torch.Generator().manual_seed(seed)
    tried = [first]
    for points in (unit, walk):
        tried.append(_lloyd(points, _means(points, first, k)))
        tried += [_lloyd(points, _spread_out(points, k, generator)) for _ in range(RESTARTS)]
    cuts = _penalized(graph, tried, k)
    best = sorted(range(len(cuts)), key=cuts.__getitem__)[:REFINED]
    moved = [_moved(graph, tried[i], cuts[i], k) for i in best]
    labels, _ = min(moved, key=lambda found: found[1])
    return labels, normalized_cut(graph, labels, k)


def _penalized(graph: Graph, labellings: list[Tensor], k: int) -> list[float]:
    """Normalized cuts, where a cluster without a row counts like one that is all edges to others."""
    empty = [float((torch.bincount(labels, minlength=k) == 0).sum()) for labels in labellings]
    return [cut + none for cut, none in zip(_cuts(graph, graph.rows, labellings, k), empty, strict=True)]


def _moved(graph: Graph, labels: Int[Tensor, " n"], cut: float, k: int) -> tuple[Int[Tensor, " n"], float]:
    """Move rows to the cluster where the cut falls most, all that gain at once or the best of them, while it falls.

    The moves of weighted kernel k-means on the graph (Dhillon, Guan and Kulis 2007, IEEE TPAMI 29).
    """
    links, degree = _sparse(graph, graph.weights), graph.degrees
    for _ in range(ROUNDS):
        own = torch.nn.functional.one_hot(labels, k).float()
        to = links @ own  # weight from each row to each cluster
        volume = torch.zeros(k, dtype=torch.float64, device=own.device).index_add_(0, labels, degree.double())
        inside = (own * to).sum(0, dtype=torch.float64)
        share = (inside / volume.clamp_min(1)).float()
        here = to.gather(1, labels[:, None])[:, 0]
        left = (inside.float()[labels] - 2 * here) / (volume.float()[labels] - degree).clamp_min(1e-9)
        gain = (inside.float() + 2 * to) / (volume.float() + degree[:, None]) - share
        gain.scatter_(1, labels[:, None], -torch.inf)
        gain, where = gain.max(1)
        gain += left - share[labels]
        order = gain.argsort(descending=True, stable=True)[: int((gain > 0).sum())]
        new, lower = labels, cut
        while len(order) and lower >= cut:
            new = labels.clone()
            new[order] = where[order]
            lower = _penalized(graph, [new], k)[0]
            order = order[: len(order) // 2]
        if lower >= cut:
            break
        labels, cut = new, lower
    return labels, cut


def _pivoted_labels(vectors: Float[Tensor, "n k"]) -> Int[Tensor, " n"]:
    """Labels by QR with column pivoting of the transpose: the pivots are one row of each cluster."""
    left, pivots = vectors.double(), []
    length = left.square().sum(1)
    for _ in range(vectors.shape[1]):
        pivot = length.argmax()
        pivots.append(pivot)
        direction = left[pivot] / left[pivot].norm().clamp_min(1e-30)
        along = left @ direction
        left = left - along[:, None] * direction
        length = left.square().sum(1)
    u, _, vt = torch.linalg.svd(vectors[torch.stack(pivots)].double().T.cpu())
    return (vectors @ (u @ vt).to(vectors)).abs().argmax(1)


def _means(points: Tensor, labels: Tensor, k: int) -> Float[Tensor, "k p"]:
    """Means by a product with indicators, which sums in the same order every time."""
    own = torch.nn.functional.one_hot(labels, k).to(points)
    return (own.T @ points) / own.sum(0).clamp_min(1)[:, None]


def _lloyd(points: Tensor, centres: Tensor) -> Int[Tensor, " n"]:
    labels = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    for step in range(LLOYD_STEPS):
        new = (centres.square().sum(1) - 2 * points @ centres.T).argmin(1)
        # looking costs a wait for the device, so not at every step
        if step % 5 == 4 and torch.equal(new, labels):
            break
        labels = new
        centres = _means(points, labels, len(centres))
    return labels


def _spread_out(points: Tensor, k: int, generator: torch.Generator) -> Float[Tensor, "k p"]:
    """Starting centres, each drawn with a chance that grows with the square of the distance to those before."""
    draws = torch.rand(k, generator=generator, dtype=torch.float64).to(points.device)
    chosen = [(draws[0] * len(points)).long()]
    far = torch.full((len(points),), torch.inf, dtype=torch.float64, device=points.device)
    for draw in draws[1:]:
        far = torch.minimum(far, (points - points[chosen[-1]]).square().sum(1).double())
        total = far.cumsum(0)
        chosen.append(torch.searchsorted(total, draw * total[-1]).clamp_max(len(points) - 1))
    return points[torch.stack(chosen)]
