"""Aligned UMAP: one layout for each of a sequence of row sets, in which related rows stay near each other.

Each layout is UMAP's (see `umap_torch`); all are moved at once, and a row is also pulled towards the rows that
it is related to in the layouts before and after, the more so the more neighbours they share. Names and
meanings follow umap-learn's ``AlignedUMAP``. What differs: the pull reaches as far forwards as backwards, it is
solved for rather than followed (no strength overshoots), and one seed gives the same bits.

References
----------
Dadu et al. 2023, Application of Aligned-UMAP to longitudinal biomedical studies, Patterns 4.
McInnes, Healy & Melville 2018, UMAP: Uniform Manifold Approximation and Projection, arXiv:1802.03426.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import exp
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from workbench.core.errors import DataError, ParameterError
from workbench.core.progress import track
from workbench.numerics import umap_torch
from workbench.numerics.device import choose
from workbench.numerics.kernels import aligned, chunked, layout
from workbench.numerics.neighbours_torch import k_nearest
from workbench.numerics.rows_torch import Metric

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

EPOCHS = 200
SPREADING = 10  # rounds in which a new layout's rows without a related row start among their neighbours
Relation = Mapping[int, int] | tuple[Any, Any] | None
"""Rows of one set and theirs of the next: ``{row: row}``, two equally long arrays, or None for the same rows."""


class Entries(NamedTuple):
    """A neighbour graph's entries, sorted by row, then column."""

    rows: Int[Tensor, " e"]
    cols: Int[Tensor, " e"]
    weights: Float[Tensor, " e"]


@dataclass(frozen=True)
class FittedAligned:
    """Layouts that can be read side by side, and what more rows or one more layout needs.

    Attributes
    ----------
    layouts : each set's layout, with its graph and neighbours.
    matches : (n_t,) for each set but the last: the related row of the next set, -1 for none.
    """

    layouts: tuple[umap_torch.Fitted, ...]
    matches: tuple[Int[Tensor, " n"], ...]
    entries: tuple[Entries, ...]
    alignment_regularisation: float
    alignment_window_size: int

    @property
    def embeddings(self) -> tuple[Float[Tensor, "n c"], ...]:
        """One (n_t, n_components) layout a set."""
        return tuple(fitted.embedding for fitted in self.layouts)


def fit_aligned(
    xs: Sequence[Float[Tensor | np.ndarray, "n d"]],
    relations: Sequence[Relation] | None = None,
    *,
    n_neighbors: int = 15,
    n_components: int = 2,
    metric: Metric = "euclidean",
    min_dist: float = 0.1,
    spread: float = 1.0,
    n_epochs: int | None = None,
    init: umap_torch.Init = "spectral",
    negative_sample_rate: int = 5,
    learning_rate: float = 1.0,
    repulsion_strength: float = 1.0,
    alignment_regularisation: float = 1e-2,
    alignment_window_size: int = 3,
    random_state: int = 0,
    device: str | torch.device = "auto",
) -> FittedAligned:
    """Lay out a sequence of row sets so that related rows can be followed from one layout to the next.

    Parameters
    ----------
    xs : two or more (n_t, d_t), finite, n_t at least 3; the columns may be other ones in every set.
    relations : for each set and the next, which rows are related (see `Relation`); any row may have none,
        and none has two. None: the same rows in the same order throughout.
    n_epochs : None takes 200.
    alignment_regularisation : how strongly related rows pull at each other; 0 only turns the layouts alike.
    alignment_window_size : how many sets before and after pull at one, each a factor e less than the one
        before it.
    n_neighbors, n_components, metric, min_dist, spread, init, negative_sample_rate, learning_rate,
        repulsion_strength, random_state, device : as `umap_torch.fit` takes them.

    Raises
    ------
    ParameterError
        A parameter is out of its range.
    DataError
        There are fewer than two sets, or too few rows in one, or the relations don't fit them.
    """
    if len(xs) < 2:
        raise DataError(
            f"Aligned layouts take at least two sets of rows, and there {'is one' if xs else 'are none'}. Give one set a "
            f"layer or checkpoint, as [x0, x1, ...]; one set alone is laid out by umap."
        )
    epochs = EPOCHS if n_epochs is None else n_epochs
    _check(
        xs,
        n_neighbors,
        n_components,
        min_dist,
        spread,
        negative_sample_rate,
        alignment_regularisation,
        alignment_window_size,
        epochs,
    )
    first = xs[0]
    where = first.device if isinstance(first, torch.Tensor) and device == "auto" else choose(device)
    matches = tuple(m.to(where) for m in read_relations([len(x) for x in xs], relations))
    settings: dict[str, Any] = {
        "n_neighbors": n_neighbors,
        "metric": metric,
        "n_epochs": epochs,
        "negative_sample_rate": negative_sample_rate,
        "learning_rate": learning_rate,
        "repulsion_strength": repulsion_strength,
        "random_state": random_state,
    }
    a, b = umap_torch.curve(spread, min_dist)
    layouts, entries = [], []
    for x in track(xs, "neighbours and starts"):
        graph, found, near = _graph(x, n_neighbors, metric, epochs, random_state, where)
        start = umap_torch._start(x, init, graph, metric, n_components, where, random_state)
        layouts.append(
            umap_torch.Fitted(
                embedding=start,
                graph=graph,
                neighbours=near,
                x=x,
                a=a,
                b=b,
                **{**settings, "n_neighbors": min(n_neighbors, len(x))},
            )
        )
        entries.append(found)
    starts = [layouts[0].embedding]
    for fitted, match in zip(layouts[1:], matches, strict=True):
        starts.append(turned(fitted.embedding, starts[-1], match))
    graphs = aligned.stack([layout.shortened(fitted.graph)[0] for fitted in layouts])
    strength = _strength(graphs, layouts[0], alignment_regularisation)
    ties = _ties(entries, matches, strength, graphs.starts, alignment_window_size)
    y = _optimize(torch.cat(starts), None, graphs, ties, layouts[0])
    done = zip(layouts, y.split([len(x) for x in xs]), strict=True)
    return FittedAligned(
        tuple(replace(fitted, embedding=part.contiguous()) for fitted, part in done),
        matches,
        tuple(entries),
        alignment_regularisation,
        alignment_window_size,
    )


def transform(
    fitted: FittedAligned, x: Float[Tensor | np.ndarray, "m d"], at: int = -1
) -> Float[Tensor, "m c"]:
    """Place new rows of set ``at`` in its layout, which stays where it is.

    Raises
    ------
    ParameterError
        There is no such set.
    DataError
        The rows have another number of columns than the set.
    """
    total = len(fitted.layouts)
    if not -total <= at < total:
        raise ParameterError(
            f"at={at} names no layout: there are {total}, 0 to {total - 1}, or -1 for the last."
        )
    own = fitted.layouts[at]
    if x.ndim != 2 or x.shape[1] != own.x.shape[1]:
        raise DataError(
            f"Rows of shape {tuple(x.shape)} can't be placed in layout {at}, which was made of rows with "
            f"{own.x.shape[1]} columns: name the layout they belong to with at=."
        )
    return umap_torch.transform(own, x)


def update(
    fitted: FittedAligned, x: Float[Tensor | np.ndarray, "n d"], relation: Relation = None
) -> FittedAligned:
    """Add a layout of one more set, aligned to the last ones, which stay where they are.

    Related rows start where theirs are, the others among their neighbours.

    Parameters
    ----------
    relation : rows of the last set and theirs of ``x``; None for the same rows.

    Raises
    ------
    DataError
        There are too few rows, or the relation doesn't fit them.
    """
    last = fitted.layouts[-1]
    n = len(x)
    _few(n, len(fitted.layouts))
    sizes = [*(len(f.embedding) for f in fitted.layouts), n]
    match = read_relations(sizes[-2:], [relation], len(fitted.layouts) - 1)[0].to(last.embedding.device)
    graph, found, near = _graph(
        x, last.n_neighbors, last.metric, last.n_epochs, last.random_state, last.embedding.device
    )
    new = replace(
        last,
        graph=graph,
        neighbours=near,
        x=x,
        n_neighbors=min(last.n_neighbors, n),
        embedding=_carried(last.embedding, match, graph, last.random_state + 2),
    )
    matches, entries = (*fitted.matches, match), (*fitted.entries, found)
    window = min(fitted.alignment_window_size, len(fitted.layouts))
    starts = [0, *np.cumsum(sizes[-window - 1 :]).tolist()]
    graphs = aligned.stack([layout.shortened(graph)[0]])
    strength = _strength(graphs, new, fitted.alignment_regularisation)
    reach = [torch.zeros(sum(sizes[-window - 1 : -1]), device=match.device), strength]
    kept = matches[len(matches) - window :]
    ties = _ties(entries[-window - 1 :], kept, torch.cat(reach), starts, fitted.alignment_window_size)
    ties = aligned.Ties(*(part[-n:].contiguous() for part in ties))
    anchors = torch.cat([*(f.embedding for f in fitted.layouts[-window:]), new.embedding]) if window else None
    y = _optimize(new.embedding, anchors, graphs, ties, new)
    return replace(
        fitted, layouts=(*fitted.layouts, replace(new, embedding=y)), matches=matches, entries=entries
    )


def read_relations(
    sizes: Sequence[int], relations: Sequence[Relation] | None, first: int = 0
) -> list[Int[Tensor, " n"]]:
    """For each set but the last: the related row of the next one, -1 for none.

    Parameters
    ----------
    sizes : rows of each set. first : number of the first set, for messages.

    Raises
    ------
    DataError
        With the pair, what is wrong, and what a relation may be.
    """
    if relations is None:
        relations = [None] * (len(sizes) - 1)
    if len(relations) != len(sizes) - 1:
        raise DataError(
            f"{len(sizes)} sets of rows have {len(sizes) - 1} pairs of neighbouring sets, and {len(relations)} relations "
            f"were given: one a pair, each {{row: row of the next set}}, two arrays of rows, or None for the same rows."
        )
    pairs = enumerate(zip(pairwise(sizes), relations, strict=True), first)
    return [_read(relation, *shape, f"sets {t} and {t + 1}") for t, (shape, relation) in pairs]


def _read(relation: Relation, n: int, m: int, pair: str) -> Tensor:
    if relation is None:
        if n != m:
            raise DataError(
                f"{pair} have {n:,} and {m:,} rows, so which of them belong together has to be said: give a relation, "
                f"{{row: row of the next set}} or two equally long arrays of rows. Rows may be left out of it."
            )
        return torch.arange(n)
    if isinstance(relation, Mapping):
        relation = (list(relation.keys()), list(relation.values()))
    try:
        left, right = (np.asarray(side) for side in relation)
    except (TypeError, ValueError):
        left = right = np.empty((0, 0))
    if (
        left.ndim != 1
        or left.shape != right.shape
        or any(s.dtype.kind not in "iu" for s in (left, right) if s.size)
    ):
        raise DataError(
            f"The relation of {pair} must be {{row: row of the next set}}, or two equally long arrays of row numbers, one "
            f"for either set; it is {type(relation).__name__} of shapes {left.shape} and {right.shape}."
        )
    if not len(left):
        raise DataError(
            f"The relation of {pair} relates no rows, so their layouts can't be aligned. Relate at least one row, or lay "
            f"the sets out apart with umap."
        )
    for side, size, which in ((left, n, "first"), (right, m, "second")):
        if side.min() < 0 or side.max() >= size:
            raise DataError(
                f"The relation of {pair} names rows {side.min()} to {side.max()} of the {which}, which has {size:,} rows (0 "
                f"to {size - 1}). Relations hold row numbers, not row ids."
            )
        if len(np.unique(side)) < len(side):
            raise DataError(
                f"The relation of {pair} names a row of the {which} more than once. A row is related to one row or none: "
                f"keep one match a row."
            )
    out = torch.full((n,), -1)
    out[torch.from_numpy(left.astype(np.int64))] = torch.from_numpy(right.astype(np.int64))
    return out


def turned(
    y: Float[Tensor, "m c"], onto: Float[Tensor, "n c"], match: Int[Tensor, " n"]
) -> Float[Tensor, "m c"]:
    """``y`` turned, reflected and shifted so that related rows lie nearest to theirs in ``onto``."""
    here = match >= 0
    fixed, moving = onto[here].double(), y[match[here]].double()
    to, centre = fixed.mean(0), moving.mean(0)
    u, _, v = torch.linalg.svd((moving - centre).T @ (fixed - to))
    return ((y.double() - centre) @ (u @ v) + to).float()


def _check(
    xs: Sequence[Any],
    n_neighbors: int,
    n_components: int,
    min_dist: float,
    spread: float,
    rate: int,
    regularisation: float,
    window: int,
    epochs: int,
) -> None:
    for t, x in enumerate(xs):
        if x.ndim != 2:
            raise DataError(f"Set {t} must be a table of rows (n, d), not of shape {tuple(x.shape)}.")
        _few(len(x), t)
        umap_torch._check(len(x), n_neighbors, n_components, min_dist, spread, rate)
    if not 0 <= regularisation < float("inf"):
        raise ParameterError(f"alignment_regularisation={regularisation} must be a number of at least 0.")
    if window < 0:
        raise ParameterError(f"alignment_window_size={window} must be at least 0.")
    if epochs < 1:
        raise ParameterError(f"n_epochs={epochs} must be at least 1.")


def _few(n: int, t: int) -> None:
    if n < 3:
        raise DataError(f"Set {t} has {n} {'row' if n == 1 else 'rows'}, and a layout needs at least 3 rows.")


def _graph(
    x: Any, n_neighbors: int, metric: Metric, epochs: int, seed: int, where: torch.device
) -> tuple[chunked.Chunks, Entries, Any]:
    n, k = len(x), min(n_neighbors, len(x))
    near = k_nearest(x, k - 1, metric, recall_rows=0, device=where, random_state=seed)
    weights, _, _ = umap_torch.memberships(near, k)
    entries = Entries(*umap_torch.fuzzy_graph(near.indices, weights, 1.0 / max(epochs, 10)))
    return chunked.chunk(*entries, n), entries, near


def _strength(graphs: aligned.Stack, like: umap_torch.Fitted, regularisation: float) -> Float[Tensor, " n"]:
    """How strongly each row is tied: umap-learn pulls at every update of it, which its edges and their pushes are."""
    updates = 2 + like.negative_sample_rate
    return torch.cat([chunked.row_sums(piece) for piece in graphs.pieces]) * (regularisation * updates)


def _ties(
    entries: Sequence[Entries],
    matches: Sequence[Tensor],
    strength: Tensor,
    starts: Sequence[int],
    window: int,
) -> aligned.Ties:
    """Tie every row to its related rows up to ``window`` sets away, by the neighbours that they share."""
    count = len(entries)
    window = min(window, count - 1)
    if window == 0 or not bool((strength > 0).any()):
        return aligned.Ties(
            torch.zeros((starts[-1], 0), dtype=torch.int32, device=strength.device),
            torch.zeros((starts[-1], 0), device=strength.device),
        )
    wide = 1 << (2 * window - 1).bit_length()
    rows = torch.zeros((starts[-1], wide), dtype=torch.int32, device=strength.device)
    weights = torch.zeros((starts[-1], wide), device=strength.device)
    for t in range(count - 1):
        match = torch.arange(starts[t + 1] - starts[t], device=strength.device)
        # match[i] is the row of set t + offset - 1 that row i of set t has come to by the relations between (-1: none)
        for offset in range(1, min(window, count - 1 - t) + 1):
            step = matches[t + offset - 1]
            match = torch.where(match >= 0, step[match.clamp_min(0)], -1)
            left = torch.nonzero(match >= 0).flatten()
            right = match[left]
            share = _shared(
                entries[t], entries[t + offset], match, starts[t + offset + 1] - starts[t + offset]
            )
            share = share[right] * exp(1 - offset)
            left, right = left + starts[t], right + starts[t + offset]
            rows[left, offset - 1], weights[left, offset - 1] = right.int(), share
            rows[right, window + offset - 1], weights[right, window + offset - 1] = left.int(), share
    return aligned.Ties(rows, weights * strength[:, None])


def _shared(left: Entries, right: Entries, match: Tensor, n: int) -> Float[Tensor, " n"]:
    """For each row of the right graph: the share of related neighbours that it has in both graphs (Jaccard)."""
    head, tail = match[left.rows], match[left.cols]
    kept = (head >= 0) & (tail >= 0)
    head, tail = head[kept], tail[kept]
    reached = torch.zeros(n, dtype=torch.bool, device=match.device)
    reached[match[match >= 0]] = True
    both = reached[right.rows] & reached[right.cols]
    known = right.rows[both] * n + right.cols[both]
    pairs = head * n + tail
    if not len(known) or not len(pairs):
        return torch.where(_count(head, n) + _count(right.rows[both], n) > 0, 0.0, 1.0)
    in_both = known[torch.searchsorted(known, pairs).clamp_max(len(known) - 1)] == pairs
    shared = _count(head[in_both], n)
    union = _count(head, n) + _count(right.rows[both], n) - shared
    return torch.where(union > 0, shared / union.clamp_min(1), 1.0)


def _count(rows: Tensor, n: int) -> Tensor:
    return torch.bincount(rows, minlength=n)


def _carried(y: Tensor, match: Tensor, graph: chunked.Chunks, seed: int) -> Tensor:
    """Where a new set's rows start: at the related rows' places, or at the mean of the neighbours that have one."""
    n, dim = len(graph.first) - 1, y.shape[1]
    here = match >= 0
    out = torch.zeros((n, dim), device=y.device)
    known = torch.zeros((n, 1), device=y.device)
    out[match[here]] = y[here]
    known[match[here]] = 1
    wide = 1 << dim.bit_length()
    # ``known`` is 1 where a row has its place in ``out``: those with a related row, and those that are reached from them
    # by at most as many edges as there were rounds. A round places all neighbours of these at once and moves none again.
    for _ in range(SPREADING):
        if bool((known > 0).all()):
            break
        both = torch.nn.functional.pad(torch.cat([out * known, known], 1), (0, wide - dim - 1))
        mean = chunked.apply(graph, both)
        reached = (known == 0) & (mean[:, dim : dim + 1] > 0)
        out = torch.where(reached, mean[:, :dim] / mean[:, dim : dim + 1].clamp_min(1e-30), out)
        known = torch.where(reached, 1.0, known)
    anywhere = torch.rand((n, dim), generator=torch.Generator().manual_seed(seed)) * 20 - 10
    return torch.where(known > 0, out, anywhere.to(y.device))


def _optimize(
    start: Tensor, anchors: Tensor | None, graphs: aligned.Stack, ties: aligned.Ties, like: umap_torch.Fitted
) -> Tensor:
    """Move all layouts at once; ``anchors`` are what the ties name, where that is not the layouts themselves."""
    dim = start.shape[1]
    y = umap_torch._widened(start)
    fixed = None if anchors is None else umap_torch._widened(anchors)
    push = like.negative_sample_rate * like.repulsion_strength / umap_torch.NEGATIVES
    repel = torch.cat([chunked.row_sums(piece, y.shape[1]) for piece in graphs.pieces]) * push
    room = (
        None if graphs.whole is None else torch.empty((len(graphs.whole.heads), y.shape[1]), device=y.device)
    )
    # ``y`` holds all layouts after ``epoch`` steps, each padded to the kernels' width by coordinates of 0, which stay so.
    # Every step reads the positions before it alone, so that the order of rows and layouts doesn't count.
    for epoch in track(range(like.n_epochs), "layouts"):
        alpha = umap_torch.STEP * like.learning_rate * (1 - epoch / like.n_epochs)
        y = aligned.step(
            y,
            y if fixed is None else fixed,
            graphs,
            ties,
            repel,
            like.a,
            like.b,
            alpha,
            umap_torch.NEGATIVES,
            epoch,
            like.random_state,
            room,
        )
    return y[:, :dim].contiguous()
