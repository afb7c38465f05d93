"""Several small sets of rows laid out at once: what controls need, each as `umap_torch.fit` lays it out alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from workbench.numerics import umap_torch
from workbench.numerics.device import choose, current
from workbench.numerics.kernels import chunked, layout
from workbench.numerics.neighbours_torch import Neighbours, k_nearest
from workbench.numerics.rows_torch import Metric, ready_rows
from workbench.numerics.spectral_torch import coarse_modes, smoothed
from workbench.numerics.threads import one_thread

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

LARGEST = 256  # rows of a set, up to which every row is a landmark of its start
ROWS_ALONE = {"init": "spectral", "densmap": False, "y": None, "neighbours": None, "search": "auto"}
"""How the settings of `umap_torch.fit` that `together` doesn't read must stand for it to do the same."""
BESIDE = (
    *("dens_lambda", "dens_frac", "dens_var_shift"),
    *("target_metric", "target_weight", "target_n_neighbors"),
)  # settings that then count nowhere


class Steps(NamedTuple):
    """Settings of `umap_torch.fit` that say how rows move."""

    epochs: int
    a: float
    b: float
    rate: float
    repulsion: float
    seed: int


def fit_sets(
    xs: Sequence[Float[Tensor | np.ndarray, "m d"]], *, device: str | torch.device = "auto", **settings: Any
) -> list[Float[Tensor, "m c"]]:
    """Lay out several sets of rows, none of which knows of another.

    Sets of one small size are laid out together: on a CPU to the last bit as each alone, on a GPU in one kernel. What is
    larger or follows more than the rows is laid out one after the other.

    Parameters
    ----------
    xs : finite rows; settings : as `umap_torch.fit` takes them.

    Raises
    ------
    ParameterError, DataError
        As `umap_torch.fit`.
    """
    where = choose(device)
    read = _read(settings)
    alike = len({tuple(x.shape) for x in xs}) == 1 and len(xs[0]) <= LARGEST
    if read is None or not alike or (where.type != "cuda" and len(xs) == 1):
        return [umap_torch.fit(x, device=where, **settings).embedding for x in xs]
    if where.type != "cuda":
        return list(_begun_alone(xs, **read))
    with current(where):
        return list(together(torch.stack([torch.as_tensor(x) for x in xs]).to(where), **read))


def _read(settings: dict[str, Any]) -> dict[str, Any] | None:
    """What `together` takes of the settings; None where they ask for what it doesn't do."""
    for name, value in ROWS_ALONE.items():
        given = settings.get(name, value)
        if not isinstance(given, type(value)) or given != value:
            return None
    return {name: value for name, value in settings.items() if name not in (*ROWS_ALONE, *BESIDE)}


def together(
    x: Float[Tensor, "s m d"],
    *,
    n_neighbors: int = 15,
    n_components: int = 2,
    metric: Metric = "euclidean",
    min_dist: float = 0.1,
    spread: float = 1.0,
    n_epochs: int | None = None,
    negative_sample_rate: int = 5,
    learning_rate: float = 1.0,
    repulsion_strength: float = 1.0,
    random_state: int = 0,
) -> Float[Tensor, "s m c"]:
    """Lay out a stack of sets of one size; parameters as `umap_torch.fit` takes them, from spectral starts."""
    s, m, _ = x.shape
    umap_torch._check(m, n_neighbors, n_components, min_dist, spread, negative_sample_rate)
    n_neighbors, epochs = min(n_neighbors, m), 500 if n_epochs is None else n_epochs
    gaps = distances(x, metric)
    own = torch.eye(m, dtype=torch.bool, device=x.device)
    far, near = gaps.masked_fill(own, torch.inf).sort(dim=2, stable=True)
    k = n_neighbors - 1
    offsets = torch.arange(s, device=x.device)[:, None, None] * m
    indices = (near[:, :, :k] + offsets).view(s * m, k)
    found = Neighbours(indices.int(), far[:, :, :k].reshape(s * m, k).float(), 1.0, 0, "exact")
    weights, _, _ = umap_torch.memberships(found, n_neighbors)
    rows, cols, w = umap_torch.fuzzy_graph(found.indices, weights, 1.0 / max(epochs, 10))
    graph = chunked.chunk(rows, cols, w, s * m)
    dense = torch.zeros((s * m, m), dtype=torch.float64, device=x.device)
    dense[rows, cols % m] = w.double()
    modes = coarse_modes(dense.view(s, m, m), gaps, n_components).float()
    modes = modes / modes.abs().amax((1, 2), keepdim=True).clamp_min(1e-30)
    y = smoothed(graph, modes.reshape(s * m, -1), 10).view(s, m, -1)
    y = y - y.mean(1, keepdim=True)
    y = y * (10 / y.abs().amax((1, 2), keepdim=True).clamp_min(1e-30))
    noise = torch.randn((m, n_components), generator=torch.Generator().manual_seed(random_state))
    steps = Steps(
        epochs,
        *umap_torch.curve(spread, min_dist),
        learning_rate,
        negative_sample_rate * repulsion_strength,
        random_state,
    )
    return _moved(y + 1e-4 * noise.to(x.device), graph, steps)


def _begun_alone(
    xs: Sequence[Float[Tensor | np.ndarray, "m d"]],
    *,
    n_neighbors: int = 15,
    n_components: int = 2,
    metric: Metric = "euclidean",
    min_dist: float = 0.1,
    spread: float = 1.0,
    n_epochs: int | None = None,
    negative_sample_rate: int = 5,
    learning_rate: float = 1.0,
    repulsion_strength: float = 1.0,
    random_state: int = 0,
) -> Float[Tensor, "s m c"]:
    """Lay out sets of one size on a CPU, whose graphs and starts are found as `umap_torch.fit` finds them."""
    m, here = len(xs[0]), torch.device("cpu")
    umap_torch._check(m, n_neighbors, n_components, min_dist, spread, negative_sample_rate)
    n_neighbors, epochs = min(n_neighbors, m), 500 if n_epochs is None else n_epochs
    graphs, starts = [], []
    for x in xs:
        found = k_nearest(x, n_neighbors - 1, metric, recall_rows=0, device=here, random_state=random_state)
        weights, _, _ = umap_torch.memberships(found, n_neighbors)
        graph = chunked.chunk(*umap_torch.fuzzy_graph(found.indices, weights, 1.0 / max(epochs, 10)), m)
        graphs.append(graph)
        starts.append(umap_torch._start(x, "spectral", graph, metric, n_components, here, random_state))
    chunks = np.cumsum([0, *(len(g.heads) for g in graphs)])
    joined = chunked.Chunks(
        torch.cat(
            [
                torch.zeros(1, dtype=torch.int32),
                *(g.first[1:] + int(c) for g, c in zip(graphs, chunks, strict=False)),
            ]
        ),
        torch.cat([g.heads + i * m for i, g in enumerate(graphs)]),
        torch.cat([g.tails + i * m for i, g in enumerate(graphs)]),
        torch.cat([g.weights for g in graphs]),
    )
    steps = Steps(
        epochs,
        *umap_torch.curve(spread, min_dist),
        learning_rate,
        negative_sample_rate * repulsion_strength,
        random_state,
    )
    with one_thread():
        return _moved(torch.stack(starts), joined, steps)


def _moved(start: Float[Tensor, "s m c"], graph: chunked.Chunks, steps: Steps) -> Float[Tensor, "s m c"]:
    """The layouts after all steps."""
    s, m, dim = start.shape
    y = umap_torch._widened(start.view(s * m, dim))
    paced, _ = layout.shortened(graph, y.shape[1])
    repel = chunked.row_sums(paced, y.shape[1]) * (steps.repulsion / umap_torch.NEGATIVES)
    length = umap_torch.STEP * steps.rate
    y = layout.sets(
        y, paced, m, repel, steps.a, steps.b, steps.epochs, length, umap_torch.NEGATIVES, steps.seed
    )
    return y[:, :dim].reshape(s, m, dim)


def trusts(
    xs: Sequence[np.ndarray],
    ys: Sequence[np.ndarray],
    k: int,
    metric: Metric,
    *,
    device: str | torch.device = "auto",
) -> list[float]:
    """The trustworthiness of each set's layout, as `preservation.trust_of_rows` measures it; sets of one size together."""
    where = choose(device)
    if len({x.shape for x in xs}) > 1:
        return [
            value for x, y in zip(xs, ys, strict=True) for value in trusts([x], [y], k, metric, device=where)
        ]
    before, after = (torch.stack([torch.as_tensor(x) for x in some]).to(where) for some in (xs, ys))
    m = before.shape[1]
    own = torch.eye(m, dtype=torch.bool, device=where)
    order = distances(before, metric).masked_fill(own, torch.inf).argsort(dim=2, stable=True)
    ranks = order.argsort(2) + 1
    near = distances(after, "euclidean").masked_fill(own, torch.inf).topk(k, 2, largest=False).indices
    beyond = (ranks.gather(2, near) - k).clamp_min(0).sum(2).double()
    return (1 - beyond.mean(1) / (k * (2 * m - 3 * k - 1) / 2)).tolist()


def distances(x: Float[Tensor, "s m d"], metric: Metric) -> Float[Tensor, "s m m"]:
    """All distances within each set, from differences where they are lengths; float64."""
    if metric == "euclidean":
        wide = x.double()
        return torch.cdist(wide, wide, compute_mode="donot_use_mm_for_euclid_dist")
    rows = ready_rows(x.flatten(0, 1), metric, x.device).view(x.shape).double()
    return (1 - rows @ rows.mT).clamp_min(0)  # ordered as the chords, which the start asks for
