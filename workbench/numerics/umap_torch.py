"""UMAP in torch: the fuzzy graph, a spectral start and a layout that is the same on every run.

Meanings of parameters follow umap-learn. What differs: in each epoch every edge pulls with its weight,
where umap-learn draws edges in proportion to their weights; and all rows move at once, by sums gathered in
a fixed order, so that one seed gives the same bits at full parallel speed.

References
----------
McInnes, Healy & Melville 2018, UMAP: Uniform Manifold Approximation and Projection, arXiv:1802.03426.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from workbench.core.errors import DataError, ParameterError
from workbench.core.progress import track
from workbench.numerics import densmap as dens
from workbench.numerics import shared, umap_targets
from workbench.numerics.device import borrowed, current
from workbench.numerics.kernels import chunked, layout, prepare
from workbench.numerics.neighbours_torch import (
    FEW,
    SYMMETRIC_FROM,
    Neighbours,
    Search,
    k_nearest,
    plan,
)
from workbench.numerics.pieces_torch import piece_labels
from workbench.numerics.rows_torch import Metric, Rows, ready_rows, rows_at_once, slices
from workbench.numerics.spectral_torch import spectral_layout
from workbench.numerics.threads import one_thread

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

NEGATIVES = 64  # rows drawn per row and epoch; their pushes are scaled to negative_sample_rate
ON_ONE_THREAD = 4096  # rows
STEP = 0.25  # of umap-learn's: there a row moves after every edge, here once for all of them
Init = Literal["spectral", "pca", "random"]


@dataclass(frozen=True)
class Fitted:
    """A layout and what placing new rows in it needs.

    Attributes
    ----------
    embedding : (n, n_components) float32.
    graph : symmetric membership weights.
    neighbours : what the graph was made of.
    a, b : of the membership curve 1 / (1 + a d^2b).
    radii : with densmap, (2, n) the log of each row's local radius in the data and in the layout.
    devices : that shared the work; what is here is on the first.
    """

    embedding: Float[Tensor, "n c"]
    graph: chunked.Chunks
    neighbours: Neighbours
    x: Tensor | np.ndarray
    metric: Metric
    n_neighbors: int
    n_epochs: int
    a: float
    b: float
    negative_sample_rate: int
    learning_rate: float
    repulsion_strength: float
    random_state: int
    radii: Float[Tensor, "2 n"] | None = None
    devices: tuple[torch.device, ...] = ()

    @property
    def pieces(self) -> int:
        """How many connected pieces the graph has."""
        held = self.graph.weights > 0
        rows = self.graph.heads.long()[:, None].expand_as(held)[held]
        labels = piece_labels(rows, self.graph.tails.long()[held], len(self.embedding))
        return int((labels == torch.arange(len(labels), device=labels.device)).sum())


@lru_cache(maxsize=64)
def curve(spread: float, min_dist: float) -> tuple[float, float]:
    """Fit 1 / (1 + a d^2b) to a membership of 1 up to ``min_dist`` that then decays with ``spread``.

    By Levenberg-Marquardt, as umap-learn through scipy, whose import alone takes as long as a whole fit.
    """
    d = np.linspace(0, spread * 3, 300)
    wanted = np.where(d < min_dist, 1.0, np.exp(-(d - min_dist) / spread))
    x, log = np.ones(2), np.log(np.maximum(d, 1e-300))

    def residual(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + x[0] * d ** (2 * x[1])) - wanted

    damping, r = 1e-3, residual(x)
    for _ in range(200):
        power = np.where(d > 0, d ** (2 * x[1]), 0.0)
        common = -1 / (1 + x[0] * power) ** 2 * power
        slope = np.stack([common, 2 * x[0] * log * common], 1)
        normal = slope.T @ slope
        move = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -slope.T @ r)
        trial = np.maximum(x + move, 1e-8)
        new = residual(trial)
        if new @ new <= r @ r:
            x, r, damping = trial, new, damping / 5
            if np.abs(move).max() < 1e-12:
                break
        else:
            damping *= 5
    return float(x[0]), float(x[1])


def memberships(
    neighbours: Neighbours, n_neighbors: int
) -> tuple[Float[Tensor, "n k"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """The weights of the directed graph, and each row's rho and sigma."""
    d = neighbours.distances.float()
    rho, sigma = layout.bandwidths(d, n_neighbors, float(d.mean()))
    return torch.exp(-(d - rho[:, None]).clamp_min(0) / sigma[:, None]), rho, sigma


def fuzzy_graph(
    indices: Int[Tensor, "n k"], weights: Float[Tensor, "n k"], least: float = 0.0
) -> tuple[Int[Tensor, " e"], Int[Tensor, " e"], Float[Tensor, " e"]]:
    """The fuzzy union of each row's memberships: entries sorted by row, then column.

    Parameters
    ----------
    least : entries below this share of the largest are left out.
    """
    n, k = indices.shape
    head = torch.arange(n, device=indices.device)[:, None].expand(n, k).flatten()
    tail = indices.long().flatten()
    key, order = torch.cat([head * n + tail, tail * n + head]).sort(stable=True)
    w = weights.flatten().repeat(2)[order]
    twin = torch.zeros_like(key, dtype=torch.bool)
    twin[1:] = key[1:] == key[:-1]
    other = torch.zeros_like(w)
    other[:-1] = torch.where(twin[1:], w[1:], 0.0)
    w = w + other - w * other
    kept = ~twin & (w >= least * w.max()) & (w > 0)
    key = key[kept]
    return key // n, key % n, w[kept]


def fit(
    x: Float[Tensor | np.ndarray, "n d"],
    *,
    n_neighbors: int = 15,
    n_components: int = 2,
    metric: Metric = "euclidean",
    min_dist: float = 0.1,
    spread: float = 1.0,
    n_epochs: int | None = None,
    init: Init | Float[Tensor | np.ndarray, "n c"] = "spectral",
    negative_sample_rate: int = 5,
    learning_rate: float = 1.0,
    repulsion_strength: float = 1.0,
    random_state: int = 0,
    y: Float[Tensor | np.ndarray, " n"] | None = None,
    target_metric: Literal["categorical", "euclidean"] = "categorical",
    target_weight: float = 0.5,
    target_n_neighbors: int = -1,
    densmap: bool = False,
    dens_lambda: float = 2.0,
    dens_frac: float = 0.3,
    dens_var_shift: float = 0.1,
    neighbours: Neighbours | None = None,
    search: Search = "auto",
    device: shared.Places = "auto",
) -> Fitted:
    """Embed rows by UMAP; the same ``random_state`` gives the same bits on the same device.

    Several devices share the search and the layout, "auto" and "cuda" being all GPUs that there are for more than four
    million rows. A layout from given neighbours, and one of so many rows whose neighbours are found by clusters, has the
    same bits on any number of devices of one kind. With ``densmap`` the layout is made on the first.

    Parameters
    ----------
    x : (n, d) finite, n at least 3.
    n_neighbors : neighbours of a row, itself counted; cut to n where there are fewer.
    n_components, metric, min_dist, spread, negative_sample_rate, learning_rate, repulsion_strength : as in
        umap-learn.
    n_epochs : None takes 500 up to 10,000 rows and 200 beyond, as umap-learn does.
    init : "spectral", "pca", "random", or positions to start from.
    y, target_metric, target_weight, target_n_neighbors : a label (-1: not known) or a number for every row, which
        the layout follows too; as in umap-learn.
    densmap, dens_lambda, dens_frac, dens_var_shift : keep local densities too; as in umap-learn.
    neighbours : from `k_nearest` with ``n_neighbors - 1`` neighbours; None looks them up.
    search, device : as `k_nearest` takes them, but for "auto" and "cuda" (above).

    Raises
    ------
    ParameterError
        A parameter is out of its range.
    DataError
        There are fewer than three rows, or they are not finite.
    """
    devices = shared.among(device, x)
    where, n = devices[0], len(x)
    _check(n, n_neighbors, n_components, min_dist, spread, negative_sample_rate)
    n_neighbors = min(n_neighbors, n)
    epochs = (500 if n <= 10_000 else 200) if n_epochs is None else n_epochs
    with current(where):
        _compile(n, x.shape[1], n_neighbors, n_components, metric, neighbours is None, where)
        if neighbours is None:
            neighbours = k_nearest(
                x,
                n_neighbors - 1,
                metric,
                search=search,
                recall_rows=0,
                device=devices,
                random_state=random_state,
            )
        weights, _, _ = memberships(neighbours, n_neighbors)
        least = 1.0 / max(epochs, 10)
        entries = fuzzy_graph(neighbours.indices, weights, least if y is None else 0.0)
        if y is not None:
            k = n_neighbors if target_n_neighbors == -1 else min(target_n_neighbors, n)
            entries = _steered(entries, y, target_metric, target_weight, k, n, where, random_state)
            kept = entries[2] >= least * entries[2].max()
            entries = (entries[0][kept], entries[1][kept], entries[2][kept])
        graph = chunked.chunk(*entries, n)
        a, b = curve(spread, min_dist)
        density = None
        if densmap:
            lengths = dens.edge_lengths(neighbours.indices, neighbours.distances, entries[0], entries[1])
            wanted = dens.local_radii(entries[0], entries[2], lengths, n)
            density = dens.Density(wanted, dens_lambda, dens_frac, dens_var_shift)
        start = _start(x, init, graph, metric, n_components, where, random_state)
        placed = _optimize(
            start,
            None,
            graph,
            a,
            b,
            epochs,
            learning_rate,
            negative_sample_rate * repulsion_strength,
            random_state,
            density,
            devices,
        )
        radii = (
            None if density is None else torch.stack([density.radii, dens.layout_radii(placed, graph, a, b)])
        )
        return Fitted(
            placed,
            graph,
            neighbours,
            x,
            metric,
            n_neighbors,
            epochs,
            a,
            b,
            negative_sample_rate,
            learning_rate,
            repulsion_strength,
            random_state,
            radii,
            devices,
        )


def _steered(
    graph: umap_targets.Entries,
    y: Any,
    metric: str,
    weight: float,
    k: int,
    n: int,
    where: torch.device,
    seed: int,
) -> umap_targets.Entries:
    """The graph intersected with that of the targets."""
    if len(y) != n:
        raise DataError(f"there are {n:,} rows and {len(y):,} targets; give one for every row")
    if not 0 <= weight <= 1:
        raise ParameterError(f"target_weight={weight} must be between 0 and 1")
    if metric == "categorical":
        return umap_targets.by_label(graph, torch.as_tensor(y).to(where, torch.int64), weight)
    if metric != "euclidean":
        raise ParameterError(f"target_metric={metric!r} must be 'categorical' or 'euclidean'")
    if k < 2:
        raise ParameterError(f"target_n_neighbors={k} must be at least 2, or -1 for as many as n_neighbors")
    numbers = torch.as_tensor(y).to(where, torch.float32).view(n, -1)
    near = k_nearest(numbers, k - 1, recall_rows=0, device=where, random_state=seed)
    column, order = near.indices.long().sort(1)  # directed, as umap-learn leaves it
    head = torch.arange(n, device=where)[:, None].expand_as(column).flatten()
    targets = (head, column.flatten(), memberships(near, k)[0].gather(1, order).flatten())
    return umap_targets.by_number(graph, targets, n, weight)


def transform(fitted: Fitted, x: Float[Tensor | np.ndarray, "m d"]) -> Float[Tensor, "m c"]:
    """Place new rows among the fitted ones, which stay where they are.

    A new row starts at the weighted mean of its neighbours' positions and is pulled and pushed for a third
    of the epochs that fitting took, as in umap-learn. Its place doesn't depend on the rows it comes with,
    and a row that equals a fitted one gets its place.
    """
    y = fitted.embedding
    k = min(fitted.n_neighbors, len(y))
    near = k_nearest(
        fitted.x,
        k,
        fitted.metric,
        queries=x,
        recall_rows=0,
        device=y.device,
        random_state=fitted.random_state,
    )
    weights, _, _ = memberships(near, fitted.n_neighbors)
    weights = torch.where(weights > 0, weights, 1e-12)
    head = torch.arange(len(x), device=y.device)[:, None].expand_as(near.indices).flatten()
    share = (weights / weights.sum(1, keepdim=True)).flatten()
    there = _widened(y)
    if not y.is_cuda:
        # a sum in another order must not show: the layout would amplify its last bits
        there = there.double()
    start = chunked.apply(chunked.chunk(head, near.indices.flatten(), share, len(x)), there)
    graph = chunked.chunk(head, near.indices.flatten(), weights.flatten(), len(x))
    placed = _optimize(
        start[:, : y.shape[1]],
        there,
        graph,
        fitted.a,
        fitted.b,
        fitted.n_epochs // 3,
        fitted.learning_rate / 4,
        fitted.negative_sample_rate * fitted.repulsion_strength,
        fitted.random_state + 1,
    ).to(y.dtype)
    first = near.indices[:, 0].long()
    if fitted.metric == "euclidean":
        known = near.distances[:, 0] == 0
    else:  # an angle of 0 may be rounded to a little more
        own = Rows(fitted.x, fitted.metric, y.device).at(first)
        known = (own == ready_rows(x, fitted.metric, y.device)).all(1)
    return torch.where(known[:, None], y[first], placed)


def inverse_transform(fitted: Fitted, y: Float[Tensor | np.ndarray, "m c"]) -> Float[Tensor, "m d"]:
    """Rows that places in the layout stand for: the mean of the rows laid out near by, weighted by membership.

    Under "cosine" and "correlation" the rows have unit length.
    """
    embedding = fitted.embedding
    k = min(fitted.n_neighbors, len(embedding))
    near = k_nearest(embedding, k, queries=y, recall_rows=0, device=embedding.device)
    weights = 1 / (1 + fitted.a * near.distances.square() ** fitted.b)
    rows = Rows(fitted.x, fitted.metric, embedding.device)
    share = weights / weights.sum(1, keepdim=True)
    out = torch.empty((len(share), rows.d), device=embedding.device)
    for part in torch.arange(len(share)).split(max(1, (1 << 26) // (k * rows.d))):
        held = rows.at(near.indices[part].long().flatten()).view(len(part), k, rows.d)
        out[part] = (share[part][:, :, None] * held).sum(1)
    return out


def _check(n: int, n_neighbors: int, n_components: int, min_dist: float, spread: float, rate: int) -> None:
    if n < 3:
        raise DataError(f"a layout needs at least 3 rows, and there are {n}")
    if n_neighbors < 2:
        raise ParameterError(f"n_neighbors={n_neighbors} must be at least 2")
    if not 1 <= n_components <= 64:
        raise ParameterError(f"n_components={n_components} must be between 1 and 64")
    if not 0 <= min_dist <= spread or spread <= 0:
        raise ParameterError(
            f"min_dist={min_dist} must be between 0 and spread={spread}, which must be above 0"
        )
    if rate < 0:
        raise ParameterError(f"negative_sample_rate={rate} must be at least 0")


def _compile(
    n: int, d: int, n_neighbors: int, dim: int, metric: Metric, search: bool, where: torch.device
) -> None:
    if where.type != "cuda":
        return
    calls = plan(n, d, n_neighbors - 1, metric, where) if search and n > FEW else []
    calls += prepare.embedding(n_neighbors, 1 << (dim - 1).bit_length(), NEGATIVES, where)
    calls.append(lambda: _rehearse(d, n_neighbors - 1, dim, where))
    prepare.together((n >= SYMMETRIC_FROM, n > FEW, d, n_neighbors, dim, metric, where), where, calls)


def _rehearse(d: int, k: int, dim: int, where: torch.device, n: int = 20_000) -> None:
    """Go through the steps between search and layout, whose parts of torch and solvers load at their first use."""
    indices = torch.arange(n * k, device=where).view(n, k) % n
    graph = chunked.chunk(*fuzzy_graph(indices, torch.ones((n, k), device=where)), n)
    spectral_layout(graph, Rows(torch.ones((n, d), device=where).cumsum(0), "euclidean", where), dim, 0)


def _widened(y: Tensor) -> Tensor:
    """Add coordinates that stay 0 up to a power of two, which is what the kernels take."""
    return torch.nn.functional.pad(y, (0, (1 << (y.shape[1] - 1).bit_length()) - y.shape[1])).contiguous()


def _start(
    x: Any, init: Any, graph: chunked.Chunks, metric: Metric, dim: int, where: torch.device, seed: int
) -> Tensor:
    n = len(x)
    g = torch.Generator().manual_seed(seed)
    if not isinstance(init, str):
        given = borrowed(init) if isinstance(init, np.ndarray) else torch.as_tensor(init)
        y = given.to(where, torch.float32)
        if y.shape != (n, dim) or not torch.isfinite(y).all():
            raise ParameterError(f"init must be finite and of shape ({n}, {dim}), not {tuple(y.shape)}")
        return y
    if init == "random":
        return (torch.rand((n, dim), generator=g) * 20 - 10).to(where)
    if init not in ("spectral", "pca"):
        raise ParameterError(f"init={init!r} must be 'spectral', 'pca', 'random' or an array of positions")
    rows = Rows(x, metric, where)
    y = _principal(rows, dim) if init == "pca" else spectral_layout(graph, rows, dim, seed)
    y = y - y.mean(0)
    y = y * (10 / y.abs().amax().clamp_min(1e-30))
    return y + 1e-4 * torch.randn((n, dim), generator=g).to(where)


def _principal(rows: Rows, dim: int) -> Tensor:
    """The leading principal components, of a few rows at a time."""
    parts = slices(rows.n, max(1, rows_at_once(rows.d) // 2))
    mean = sum(rows.rows(p.start, p.stop).sum(0) for p in parts) / rows.n
    square = torch.zeros((rows.d, rows.d), dtype=torch.float64, device=rows.device)
    for p in parts:
        centred = rows.rows(p.start, p.stop) - mean
        square += (centred.T @ centred).double()
    axes = torch.linalg.eigh(square)[1].flip(1)[:, :dim].float()
    axes = axes * torch.sign(axes.gather(0, axes.abs().argmax(0, keepdim=True)))
    y = torch.cat([(rows.rows(p.start, p.stop) - mean) @ axes for p in parts])
    return torch.nn.functional.pad(y, (0, dim - axes.shape[1]))


def _optimize(
    start: Tensor,
    there: Tensor | None,
    graph: chunked.Chunks,
    a: float,
    b: float,
    epochs: int,
    learning_rate: float,
    repulsion: float,
    seed: int,
    density: dens.Density | None = None,
    devices: tuple[torch.device, ...] = (),
) -> Tensor:
    """Move rows for ``epochs`` steps, among themselves, or among fixed ones if given; ``devices`` share it."""
    dim = start.shape[1]
    y = _widened(start)
    if there is not None:
        there = there.to(y.dtype)
    paced, share = layout.shortened(graph, y.shape[1])
    repel = chunked.row_sums(paced, y.shape[1]) * (repulsion / NEGATIVES)
    room = torch.empty((len(graph.heads), y.shape[1]), device=y.device)
    # hundreds of steps of operations of a tenth of a millisecond: a second thread halves that on an idle machine, and
    # where somebody else computes too, threads that wait for each other take ten times as long
    small = start.device.type == "cpu" and len(start) <= ON_ONE_THREAD
    alphas = [STEP * learning_rate * (1 - epoch / epochs) for epoch in range(epochs)]
    with one_thread() if small else nullcontext():
        if len(devices) > 1 and density is None:
            y = shared.steps(y, paced, repel, a, b, alphas, NEGATIVES, seed, devices)
            return y[:, :dim].contiguous()
        for epoch, alpha in enumerate(track(alphas, "layout")):
            moved = layout.step(
                y, y if there is None else there, paced, repel, a, b, alpha, NEGATIVES, epoch, seed, room
            )
            if density is not None and density.acts(epoch, epochs):
                moved = moved + alpha * share[:, None] * dens.force(y, graph, a, b, density)
            y = moved
    return y[:, :dim].contiguous()
