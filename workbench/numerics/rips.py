"""Vietoris-Rips persistent homology over Z/2: apparent pairs in parallel, the rest by cohomology with clearing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.device import Device, borrowed, choose, memory_budget, refuse_beyond

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int, Real
    from scipy.sparse import sparray

Metric = Literal["euclidean", "manhattan", "chebyshev", "cosine", "precomputed"]
_NORMS = {"euclidean": 2.0, "cosine": 2.0, "manhattan": 1.0, "chebyshev": float("inf")}
LOOK_AHEAD = 256  # a column's cofacets are listed at first for this part of all ranks
ARENA = (
    1 << 27
)  # entries of chains that may be stored before more are asked for; untouched memory costs nothing


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

    Parameters
    ----------
    x : (n, d) rows; or with metric="precomputed" (n, n) symmetric distances, or a scipy sparse array of those
        that are short enough to count (a stored zero is a distance of 0).
    max_dimension : highest homology dimension.
    threshold : longest edge; the default is the enclosing radius, beyond which nothing changes any more.
    metric : distance between rows; cosine is one minus the cosine.
    device : where distances and apparent pairs are computed. The other columns are reduced on the CPU.
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
        Rows that aren't finite, a matrix that isn't square and symmetric, or too many points for the
        dimension; the message says how many would fit.

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
    threads = n_threads if n_threads is not None else len(os.sched_getaffinity(0))
    if threads < 1:
        raise ParameterError(f"n_threads={n_threads} must be at least 1")
    filtration = _Filtration.of(_distances(x, metric, choose(device)), threshold, max_dimension)
    components = _components(filtration)
    higher = _higher(filtration, max_dimension, threads) if max_dimension else []
    sets = [components, *(level.lasting() for level in higher)]
    values = np.append(filtration.values, np.float32(np.inf))
    pairs = np.concatenate(
        [
            np.column_stack(
                [values[s.birth_ranks], values[s.death_ranks], np.full(len(s.births), i, np.float32)]
            )
            for i, s in enumerate(sets)
        ]
    ).astype(np.float32)
    pairs[: len(components.births), 0] = 0
    births, deaths = (np.concatenate([getattr(s, name) for s in sets]) for name in ("births", "deaths"))
    order = np.lexsort((-births, pairs[:, 1], pairs[:, 0], pairs[:, 2]))
    return Barcode(pairs[order], births[order], deaths[order], filtration, tuple(higher))


def _distances(x: Any, metric: Metric, device: torch.device) -> torch.Tensor:
    """(n, n) float32 distances on the device."""
    import torch
    from scipy.sparse import issparse

    if metric != "precomputed" and metric not in _NORMS:
        raise ParameterError(f"metric={metric!r} must be one of {', '.join([*_NORMS, 'precomputed'])}")
    n = x.shape[0]
    if len(x.shape) != 2 or n == 0 or (metric == "precomputed" and x.shape[1] != n):
        raise DataError(
            f"an array of shape {tuple(x.shape)} is not {'distances' if metric == 'precomputed' else 'rows'}"
        )
    refuse_beyond(40 * n * n, memory_budget(device), n, "the barcode")
    if issparse(x):
        if metric != "precomputed":
            raise DataError("sparse input must be distances: say metric='precomputed'")
        entries = x.tocoo()
        dense = np.full((n, n), np.inf, np.float32)
        np.minimum.at(dense, (entries.row, entries.col), entries.data.astype(np.float32))
        x = np.minimum(dense, dense.T)
    rows = (borrowed(x) if isinstance(x, np.ndarray) else x).to(device)
    if metric == "precomputed":
        d = rows.to(torch.float32)
        if bool(torch.isnan(d).any()) or bool((d < 0).any()) or not torch.equal(d, d.T):
            raise DataError("distances must be symmetric, not negative and not NaN")
        return d
    rows = rows.to(torch.float64)
    if not bool(torch.isfinite(rows).all()):
        raise DataError("rows hold values that are not finite: drop or replace them")
    if metric == "cosine":
        length = rows.norm(dim=1, keepdim=True)
        if not bool((length > 0).all()):
            raise DataError("rows of zeros have no direction: the cosine metric can't place them")
        rows = rows / length
    d = torch.cdist(rows, rows, p=_NORMS[metric], compute_mode="donot_use_mm_for_euclid_dist")
    return (d.square() / 2 if metric == "cosine" else d).to(torch.float32)


class Pairs(NamedTuple):
    """Which packed simplex begins a class and which ends it (-1: none), with their diameters' ranks."""

    births: Int[np.ndarray, " p"]
    deaths: Int[np.ndarray, " p"]
    birth_ranks: Int[np.ndarray, " p"]
    death_ranks: Int[np.ndarray, " p"]

    def lasting(self) -> Pairs:
        """Those that a bar of some length stands for."""
        kept = self.birth_ranks < self.death_ranks
        return Pairs(*(field[kept] for field in self))


@dataclass(frozen=True)
class Barcode:
    """A barcode and what its bars are made of.

    Attributes
    ----------
    pairs : (m, 3) as `rips` gives them.
    births, deaths : (m,) the packed simplex that begins and the one that ends each bar (-1: none); see `rows`.
    filtration : which simplices there are. levels : from dimension 1 on, all pairs that aren't apparent.
    """

    pairs: Float[np.ndarray, "m 3"]
    births: Int[np.ndarray, " m"]
    deaths: Int[np.ndarray, " m"]
    filtration: _Filtration
    levels: tuple[Pairs, ...]

    def born(self, dimension: int) -> Int[np.ndarray, "b k"]:
        """The rows of the simplex that begins each bar of one dimension, in falling order."""
        return self.rows(self.births[self.pairs[:, 2] == dimension], dimension + 1)

    def dies(self, dimension: int) -> Int[np.ndarray, "b k"]:
        """The rows of the simplex that ends each bar of one dimension; -1 where it has no end."""
        return self.rows(self.deaths[self.pairs[:, 2] == dimension], dimension + 2)

    def rows(self, simplices: Int[np.ndarray, " s"], k: int) -> Int[np.ndarray, "s k"]:
        """The k vertices of packed simplices; -1 for none."""
        bits = self.filtration.bits
        out = (simplices[:, None] >> (bits * np.arange(k - 1, -1, -1))) & ((1 << bits) - 1)
        return np.where(simplices[:, None] < 0, -1, out)


@dataclass(frozen=True)
class _Filtration:
    """Pairs of points by the rank of their distance; see `kernels.rips_host`."""

    ranks: Int[torch.Tensor, "m m"]  # on the device, padded
    host: Int[np.ndarray, "n m"]
    values: Float[np.ndarray, " u"]  # the distinct distances, ascending
    bits: int

    @property
    def limit(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, d: torch.Tensor, threshold: float, max_dimension: int) -> _Filtration:
        import torch

        from workbench.numerics.kernels.rips_apparent import SPAN

        n = len(d)
        radius = float(d.amax(1).min())
        i, j = torch.triu_indices(n, n, 1, device=d.device)
        length = d[i, j]
        within = length <= min(threshold, radius) if np.isfinite(threshold) else length <= radius
        within &= torch.isfinite(length)
        i, j = i[within], j[within]
        # torch.unique hashes on a CPU, which takes ten times as long as sorting
        rising, order = length[within].sort()
        values, place = torch.unique_consecutive(rising, return_inverse=True)
        rank = torch.empty_like(place)
        rank[order] = place
        bits = max(1, (n - 1).bit_length())
        _check_size(n, len(values), bits, max_dimension)
        side = -(-n // SPAN) * SPAN
        ranks = torch.full((side, side), len(values), dtype=torch.int32, device=d.device)
        ranks[i, j] = ranks[j, i] = rank.to(torch.int32)
        return cls(ranks, ranks[:n].cpu().numpy(), values.cpu().numpy(), bits)


def _check_size(n: int, distinct: int, bits: int, max_dimension: int) -> None:
    def needed(points: int) -> int:
        scale = (points / n) ** 2
        return (max_dimension + 2) * max(1, (points - 1).bit_length()) + int(distinct * scale).bit_length()

    if max_dimension and needed(n) > 63:
        fits = next(1 << b for b in range(bits - 1, -1, -1) if needed(1 << b) <= 63)
        raise DataError(
            f"{n:,} points with {distinct:,} distinct distances are too many for homology up to dimension "
            f"{max_dimension}, since a simplex and its diameter must fit 63 bits: {fits:,} points would do. "
            f"Take fewer (landmarks), a lower threshold or a lower max_dimension."
        )


def _components(f: _Filtration) -> Pairs:
    """Of two components that an edge joins, the one whose largest vertex is the smaller ends."""
    edges = spanning(f)
    oldest = np.arange(len(f.host))

    def root(v: int) -> int:
        while oldest[v] != v:
            oldest[v] = oldest[oldest[v]]
            v = oldest[v]
        return v

    births = []
    # edges come as Prim's algorithm finds them; a component's age asks for the filtration's order
    for at in np.lexsort((-edges, _edge_ranks(f, edges))):
        a, b = root(int(edges[at] >> f.bits)), root(int(edges[at] & ((1 << f.bits) - 1)))
        oldest[min(a, b)] = max(a, b)
        births.append((at, min(a, b)))
    left = np.flatnonzero(oldest == np.arange(len(oldest)))
    at, ended = np.array(births, np.int64).reshape(-1, 2).T
    ranks = _edge_ranks(f, edges[at])
    apart = f.values[ranks] > 0
    return Pairs(
        np.concatenate([ended[apart], left]),
        np.concatenate([edges[at][apart], np.full(len(left), -1)]),
        np.full(apart.sum() + len(left), -1),
        np.concatenate([ranks[apart], np.full(len(left), f.limit)]),
    )


def spanning(f: _Filtration) -> Int[np.ndarray, " e"]:
    """The packed edges of the minimum spanning forest, in the order in which they were found."""
    from workbench.numerics.kernels.rips_host import spanning_edges

    return spanning_edges(f.host, f.limit, f.bits)


def _edge_ranks(f: _Filtration, edges: np.ndarray) -> np.ndarray:
    return f.host[edges >> f.bits, edges & ((1 << f.bits) - 1)]


def _higher(f: _Filtration, max_dimension: int, threads: int) -> list[Pairs]:
    import torch

    from workbench.numerics.kernels.rips_apparent import extensions

    device = f.ranks.device
    cleared = torch.from_numpy(spanning(f)).to(device)
    parents = torch.arange(len(f.host), device=device)
    out = []
    for k in range(2, max_dimension + 2):
        found = _left_over(f, k, parents, threads)
        found = found[~torch.isin(found, cleared)]
        level = _reduce(f, k, found, threads)
        out.append(level)
        if k <= max_dimension:
            cleared = torch.from_numpy(level.deaths[level.deaths >= 0]).to(device)
            parents = torch.cat([parents[:0], *extensions(f.ranks, f.limit, f.bits, k - 1, parents)])
            refuse_beyond(24 * len(parents), memory_budget(device), len(f.host), f"homology of dimension {k}")
    return out


def _left_over(f: _Filtration, k: int, parents: torch.Tensor, threads: int) -> torch.Tensor:
    """The simplices of k vertices in no apparent pair."""
    import torch

    from workbench.numerics.kernels.rips_apparent import columns

    if f.ranks.device.type == "cuda":
        return columns(f.ranks, f.limit, f.bits, k, parents, k > 2)
    from workbench.numerics.kernels.rips_host import list_columns

    room = 1 << 16
    while True:
        out, shared = np.empty(room, np.int64), np.zeros(2, np.int64)
        on_threads(
            partial(list_columns, f.host, f.limit, f.bits, k, parents.numpy(), k > 2, shared, out),
            min(threads, 1 + len(parents) // 64),
        )
        if shared[1] <= room:
            return torch.from_numpy(out[: shared[1]])
        room = int(shared[1])


def _reduce(f: _Filtration, k: int, found: torch.Tensor, threads: int) -> Pairs:
    """Pair the simplices of k vertices that are in no apparent pair."""
    from workbench.numerics.kernels.rips_apparent import diameters, unpacked
    from workbench.numerics.kernels.rips_host import reduce_columns

    full = (1 << (k * f.bits)) - 1
    packed = (diameters(f.ranks, unpacked(found, f.bits, k)).long() << (k * f.bits)) | (full - found)
    key = packed.sort(descending=True).values.cpu().numpy()
    births, simplices = key >> (k * f.bits), full - (key & full)
    slots = 1 << max(4, (2 * len(key)).bit_length())
    room = max(ARENA, 64 * len(key))
    while True:
        keys, owners = np.full(slots, -1, np.int64), np.full(slots, -1, np.int64)
        chains, arena, shared = np.zeros(len(key), np.int64), np.empty(room, np.int64), np.zeros(3, np.int64)
        on_threads(
            partial(
                reduce_columns,
                f.host,
                f.limit,
                f.bits,
                k,
                simplices,
                births,
                keys,
                owners,
                chains,
                arena,
                shared,
                max(1, f.limit // LOOK_AHEAD),
            ),
            min(threads, 1 + len(key) // 16),
        )
        if not shared[2]:
            break
        room *= 8
        _refuse_room(room, len(f.host), k)
    held = owners >= 0
    endless = np.ones(len(key), bool)
    endless[owners[held]] = False
    full = (1 << ((k + 1) * f.bits)) - 1
    at = np.concatenate([owners[held], np.flatnonzero(endless)])
    none = np.full(endless.sum(), -1)
    return Pairs(
        simplices[at],
        np.concatenate([full - (keys[held] & full), none]),
        births[at],
        np.concatenate([keys[held] >> ((k + 1) * f.bits), none + 1 + f.limit]),
    )


def _refuse_room(room: int, n: int, k: int) -> None:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    refuse_beyond(8 * room, free, n, f"the reduction in dimension {k - 1}")


def on_threads(work: Callable[[], None], threads: int) -> None:
    """Run numba code that shares its arrays on several threads at once, and wait."""
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # raised again below, where the caller sees it
            failed.append(error)

    others = [threading.Thread(target=guarded) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    guarded()
    for thread in others:
        thread.join()
    if failed:
        raise failed[0]
