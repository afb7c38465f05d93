"""Vietoris-Rips persistent homology over Z/2: apparent pairs in parallel, the rest by cohomology with clearing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.core.device import resolve
from workbench.core.errors import DataError, ParameterError
from workbench.numerics.device import CPU_BUDGET, Device, choose, refuse_beyond
from workbench.numerics.rips_pairs import Metric, pairs_within
from workbench.numerics.threads import free_cores, on_threads

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int, Real
    from scipy.sparse import sparray

    from workbench.numerics.kernels.rips_graph import Graph

LOOK_AHEAD = 256  # a column's cofacets are listed at first for this part of all edges
ARENA = (
    1 << 27
)  # entries of chains that may be stored before more are asked for; untouched memory costs nothing
COLUMN_BYTES = 100  # of a simplex in no apparent pair, with its part of the table of pivots


def rips(
    x: Real[np.ndarray | torch.Tensor, "n d"] | sparray,
    *,
    max_dimension: int = 1,
    threshold: float = float("inf"),
    metric: Metric = "euclidean",
    device: Device | torch.device = "auto",
    n_threads: int | None = None,
) -> Float[np.ndarray, "m 3"]:
    """Compute the barcode of the Vietoris-Rips filtration, with coefficients in Z/2.

    What it costs goes by the pairs within the threshold: a simplex is told by its longest edge and the places of its
    other points among one end's neighbours, and those in apparent pairs (nearly all) are never stored.

    Parameters
    ----------
    x : (n, d) rows; or with metric="precomputed" (n, n) symmetric distances, or a scipy sparse array of those
        that are short enough to count (a stored zero is a distance of 0).
    max_dimension : highest homology dimension.
    threshold : longest edge; the default is the enclosing radius, beyond which nothing changes any more.
    metric : distance between rows; cosine is one minus the cosine.
    device : where distances are computed and sorted. The rest is done on the CPU.
    n_threads : of the CPU; None takes all that this process may use.

    Returns
    -------
    array : (m, 3) float32: birth, death (infinite for what never ends) and dimension; by dimension, then birth,
        then death. Bars of no length are left out. `barcode` says which simplices set them as well.

    Raises
    ------
    ParameterError
        A parameter out of range.
    DataError
        Rows that aren't finite, a matrix that isn't square and symmetric, or too many pairs for memory or for the
        dimension; the message says what would fit.

    References
    ----------
    Bauer 2021, Ripser, J. Appl. Comput. Topol. 5; Zhang, Xiao and Wang 2020, GPU-accelerated computation of
    Vietoris-Rips persistence barcodes, SoCG; Morozov and Nigmetov 2020, Towards lockfree persistent homology,
    SPAA.
    """
    return barcode(
        x, max_dimension=max_dimension, threshold=threshold, metric=metric, device=device, n_threads=n_threads
    ).pairs


def barcode(
    x: Real[np.ndarray | torch.Tensor, "n d"] | sparray,
    *,
    max_dimension: int = 1,
    threshold: float = float("inf"),
    metric: Metric = "euclidean",
    device: Device | torch.device = "auto",
    n_threads: int | None = None,
) -> Barcode:
    """Compute what `rips` does, and keep the simplices that set each bar, for `rips_cycles.representative`."""
    if max_dimension < 0:
        raise ParameterError(f"max_dimension={max_dimension} must be at least 0")
    if not threshold >= 0:
        raise ParameterError(f"threshold={threshold} must be at least 0")
    threads = n_threads if n_threads is not None else free_cores()
    if threads < 1:
        raise ParameterError(f"n_threads={n_threads} must be at least 1")
    f = _Filtration.of(x, metric, threshold, max_dimension, _gpu(device), threads)
    components = _components(f)
    higher = _higher(f, max_dimension, threads) if max_dimension else []
    sets = [components, *(level.lasting(f.values) for level in higher)]
    pairs = np.concatenate(
        [
            np.column_stack([f.values[s.birth_edges], f.values[s.death_edges], np.full(len(s.births), i)])
            for i, s in enumerate(sets)
        ]
    ).astype(np.float32)
    pairs[: len(components.births), 0] = 0
    births, deaths = (np.concatenate([getattr(s, name) for s in sets]) for name in ("births", "deaths"))
    order = np.lexsort((births, pairs[:, 1], pairs[:, 0], pairs[:, 2]))
    return Barcode(pairs[order], births[order], deaths[order], f, tuple(higher))


def _gpu(device: Device | torch.device) -> torch.device | None:
    """The GPU that ``device`` names, or None for the CPU, for which torch isn't needed."""
    if isinstance(device, str) and resolve(device) == "cpu":
        return None
    chosen = choose(device)
    return None if chosen.type == "cpu" else chosen


class Paired(NamedTuple):
    """Which simplex begins a class and which ends it (codes; -1: none), with their longest edges."""

    births: Int[np.ndarray, " p"]
    deaths: Int[np.ndarray, " p"]
    birth_edges: Int[np.ndarray, " p"]
    death_edges: Int[np.ndarray, " p"]

    def lasting(self, values: Float[np.ndarray, " e"]) -> Paired:
        """Those that a bar of some length stands for."""
        kept = values[self.birth_edges] < values[self.death_edges]
        return Paired(*(field[kept] for field in self))


@dataclass(frozen=True)
class Barcode:
    """A barcode and what its bars are made of.

    Attributes
    ----------
    pairs : (m, 3) as `rips` gives them.
    births, deaths : (m,) the code of the simplex that begins and of the one that ends each bar (-1: none); see `rows`.
    filtration : which simplices there are. levels : from dimension 1 on, all pairs that aren't apparent.
    """

    pairs: Float[np.ndarray, "m 3"]
    births: Int[np.ndarray, " m"]
    deaths: Int[np.ndarray, " m"]
    filtration: _Filtration
    levels: tuple[Paired, ...]

    def born(self, dimension: int) -> Int[np.ndarray, "b k"]:
        """The rows of the simplex that begins each bar of one dimension, in falling order."""
        return self.rows(self.births[self.pairs[:, 2] == dimension], dimension + 1)

    def dies(self, dimension: int) -> Int[np.ndarray, "b k"]:
        """The rows of the simplex that ends each bar of one dimension; -1 where it has no end."""
        return self.rows(self.deaths[self.pairs[:, 2] == dimension], dimension + 2)

    def rows(self, simplices: Int[np.ndarray, " s"], k: int) -> Int[np.ndarray, "s k"]:
        """The k vertices of simplices, in falling order; -1 for none."""
        if k == 1:
            return simplices[:, None]
        f = self.filtration
        there = simplices >= 0
        codes = simplices[there]
        ends = f.graph.ends[codes >> (f.bits * (k - 2))].astype(np.int64)
        places = (codes[:, None] >> (f.bits * np.arange(k - 2))) & ((1 << f.bits) - 1)
        others = f.graph.near[f.graph.start[ends[:, :1]] + places]
        out = np.full((len(simplices), k), -1, np.int64)
        out[there] = -np.sort(-np.concatenate([ends, others], axis=1), axis=1)
        return out


@dataclass(frozen=True)
class _Filtration:
    """The graph of the pairs that are near enough; see `kernels.rips_graph`."""

    graph: Graph
    values: Float[np.ndarray, " e+1"]  # the edges' lengths, rising, then infinity
    bits: int

    @property
    def n(self) -> int:
        return len(self.graph.start) - 1

    @property
    def limit(self) -> int:
        return len(self.graph.ends)

    @classmethod
    def of(
        cls,
        x: Any,
        metric: Metric,
        threshold: float,
        max_dimension: int,
        device: torch.device | None,
        threads: int,
    ) -> _Filtration:
        from workbench.numerics.kernels.rips_graph import graph_of

        found = pairs_within(x, metric, threshold, device)
        graph = graph_of(found.n, found.ends, threads)
        widest = int(graph.places[:, 0].max(initial=0))
        bits = max(1, widest.bit_length())
        _check_size(found.n, found.ends, widest, bits, max_dimension, threads)
        return cls(graph, np.append(found.lengths, np.float32(np.inf)), bits)

    @cached_property
    def forest(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The edges of the minimum spanning forest, the vertex that each ends, and the vertices that never end."""
        from workbench.numerics.kernels.rips_graph import spanning_forest

        return spanning_forest(self.graph)


def _check_size(n: int, edges: np.ndarray, widest: int, bits: int, max_dimension: int, threads: int) -> None:
    """Refuse what no code can tell, and neighbours that are too many to look at all pairs of at once."""
    fits = (63 - len(edges).bit_length()) // bits
    if max_dimension > fits:
        raise DataError(
            f"{len(edges):,} pairs of {n:,} points, of which one has {widest:,} neighbours, are too many for homology up to "
            f"dimension {max_dimension}, since a simplex must fit 63 bits: dimension {fits} would do. "
            f"Take fewer points (landmarks), a lower threshold or a lower max_dimension."
        )
    if max_dimension > 1 and 5 * threads * widest**2 > CPU_BUDGET:
        few = int((CPU_BUDGET / (5 * threads)) ** 0.5)
        raise DataError(
            f"a point has {widest:,} neighbours, and all pairs of up to {few:,} would fit into memory for each of {threads} "
            f"threads: take a lower threshold, fewer points (landmarks) or a lower n_threads"
        )


def _components(f: _Filtration) -> Paired:
    """Of two components that an edge joins, the one whose largest vertex is the smaller ends."""
    edges, ended, left = f.forest
    apart = f.values[edges] > 0
    return Paired(
        np.concatenate([ended[apart], left]),
        np.concatenate([edges[apart], np.full(len(left), -1)]),
        np.zeros(apart.sum() + len(left), np.int64),
        np.concatenate([edges[apart], np.full(len(left), f.limit)]),
    )


def _higher(f: _Filtration, max_dimension: int, threads: int) -> list[Paired]:
    found = _open(f, max_dimension + 1, threads)
    cleared = f.forest[0]
    out = []
    for k, columns in enumerate(found, 2):
        columns = np.sort(columns[~np.isin(columns, cleared)])[::-1].copy()
        level = _reduce(f, k, columns, threads)
        out.append(level)
        cleared = level.deaths[level.deaths >= 0]
    return out


def _open(f: _Filtration, highest: int, threads: int) -> list[np.ndarray]:
    """The simplices of 2 to ``highest`` vertices that are in no apparent pair."""
    from workbench.numerics.kernels.rips_links import open_edges, open_simplices

    room = 1 << 14
    while True:
        out, shared = np.empty((highest - 1, room), np.int64), np.zeros(highest, np.int64)
        work = (
            partial(open_edges, f.graph, shared, out)
            if highest == 2
            else partial(open_simplices, f.graph, f.bits, highest, shared, out)
        )
        on_threads(work, min(threads, 1 + f.limit // 512))
        if shared[1:].max() <= room:
            return [row[:count] for row, count in zip(out, shared[1:], strict=True)]
        room = int(shared[1:].max())
        refuse_beyond(
            (COLUMN_BYTES + 8 * highest) * room, max(CPU_BUDGET, _free() // 2), f.n, "the reduction"
        )


def _free() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _reduce(f: _Filtration, k: int, columns: np.ndarray, threads: int) -> Paired:
    """Pair simplices of k vertices that are in no apparent pair, the latest first."""
    from workbench.numerics.kernels.rips_columns import reduce_columns

    slots = 1 << max(4, (2 * len(columns)).bit_length())
    room = max(ARENA, 64 * len(columns))
    widest = int(f.graph.places[:, 0].max(initial=0))
    while True:
        keys, owners = np.full(slots, -1, np.int64), np.full(slots, -1, np.int64)
        chains, arena, shared = (
            np.zeros(len(columns), np.int64),
            np.empty(room, np.int64),
            np.zeros(3, np.int64),
        )
        on_threads(
            partial(
                reduce_columns,
                f.graph,
                f.bits,
                k,
                widest,
                columns,
                keys,
                owners,
                chains,
                arena,
                shared,
                max(1, f.limit // LOOK_AHEAD),
            ),
            min(threads, 1 + len(columns) // 16),
        )
        if not shared[2]:
            break
        room *= 8
        refuse_beyond(8 * room, _free(), f.n, f"the reduction in dimension {k - 1}")
    held = owners >= 0
    endless = np.ones(len(columns), bool)
    endless[owners[held]] = False
    at = np.concatenate([owners[held], np.flatnonzero(endless)])
    none = np.full(endless.sum(), -1)
    return Paired(
        columns[at],
        np.concatenate([keys[held], none]),
        columns[at] >> (f.bits * (k - 2)),
        np.concatenate([keys[held] >> (f.bits * (k - 1)), none + 1 + f.limit]),
    )
