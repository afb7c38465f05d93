"""The pairs of points that a Vietoris-Rips filtration is made of, the nearest first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from workbench.core.errors import DataError, ParameterError
from workbench.numerics.device import CPU_BUDGET, borrowed

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int

Metric = Literal["euclidean", "manhattan", "chebyshev", "cosine", "precomputed"]
_NORMS = {"euclidean": 2.0, "cosine": 2.0, "manhattan": 1.0, "chebyshev": float("inf")}
BLOCK_CELLS = 1 << 24  # distances held at a time
PAIR_BYTES = 80  # of a pair while it is sorted and in the graph


class Pairs(NamedTuple):
    """Pairs of ``n`` points, larger first; of equally near ones the larger come first."""

    n: int
    ends: Int[np.ndarray, "e 2"]
    lengths: Float[np.ndarray, " e"]


def pairs_within(x: Any, metric: Metric, threshold: float, device: torch.device | None) -> Pairs:
    """Find the pairs that are no further apart than ``threshold`` or the enclosing radius.

    Parameters
    ----------
    x : as `rips.rips` takes it. device : None is the CPU.

    Raises
    ------
    ParameterError
        An unknown metric.
    DataError
        What isn't rows or distances, or more pairs than there is memory for; the message says what fits.
    """
    from scipy.sparse import issparse

    if metric != "precomputed" and metric not in _NORMS:
        raise ParameterError(f"metric={metric!r} must be one of {', '.join([*_NORMS, 'precomputed'])}")
    n = x.shape[0]
    if len(x.shape) != 2 or n == 0 or (metric == "precomputed" and x.shape[1] != n):
        raise DataError(
            f"an array of shape {tuple(x.shape)} is not {'distances' if metric == 'precomputed' else 'rows'}"
        )
    most = _most_pairs(n, device)
    if issparse(x):
        if metric != "precomputed":
            raise DataError("sparse input must be distances: say metric='precomputed'")
        return _of_sparse(x, threshold, most)
    found, pairs, radius = [], 0, np.inf
    for start, block in _blocks(x, metric, device):
        radius = min(radius, float(block.max(1).values.min() if device else block.max(axis=1).min()))
        longest = min(threshold, radius, float(np.finfo(np.float32).max))
        found.append(_below_diagonal(block, start, longest))
        pairs += len(found[-1][0])
        if pairs > most:
            _refuse(n, pairs, most, block, longest)
    upper, lower, lengths = (_joined(parts) for parts in zip(*found, strict=True))
    if len(found) > 1 and radius < threshold:
        kept = lengths <= radius
        upper, lower, lengths = upper[kept], lower[kept], lengths[kept]
    return Pairs(n, *_nearest_first(upper, lower, lengths))


def _most_pairs(n: int, device: torch.device | None) -> int:
    """How many pairs fit into memory beside a bit and a half for each that there could be."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    budget = CPU_BUDGET if device is None else max(CPU_BUDGET, free // 2)
    left = budget - n * n * 3 // 16
    if left < PAIR_BYTES * n:
        fits = int((budget * 4) ** 0.5)
        raise DataError(
            f"a barcode of {n:,} points needs {n * n * 3 / 2**34:.1f} GiB before the first pair, and "
            f"{budget / 2**30:.1f} GiB are free: about {fits:,} points would fit; take fewer (landmarks)"
        )
    return left // PAIR_BYTES


def _refuse(n: int, pairs: int, most: int, block: Any, longest: float) -> None:
    """Refuse more pairs than fit, with the threshold at which about as many as fit would be left."""
    lengths = np.sort(np.asarray(block.cpu() if hasattr(block, "cpu") else block), axis=None)
    near = float(lengths[min(len(lengths) - 1, int(len(lengths) * most / (n * n / 2)))])
    raise DataError(
        f"more than {pairs:,} pairs of {n:,} points are no further apart than {longest:.4g}, and {most:,} fit into "
        f"memory: take fewer points (landmarks), or a threshold of about {near:.3g}"
    )


def _blocks(x: Any, metric: Metric, device: torch.device | None) -> Iterator[tuple[int, Any]]:
    """Yield float32 distances of a block of rows to all, and where it begins: numpy arrays, or tensors on a GPU."""
    n = x.shape[0]
    step = max(1, BLOCK_CELLS // n)
    if metric == "precomputed" and device is None:
        given = np.asarray(x, np.float32)
        # a matrix that equals its transpose has no NaN, which doesn't equal itself
        if not np.array_equal(given, given.T) or given.min() < 0:
            raise DataError("distances must be symmetric, not negative and not NaN")
        yield from ((start, given[start : start + step]) for start in range(0, n, step))
        return
    import torch

    rows = borrowed(x) if isinstance(x, np.ndarray) else x
    rows = rows.to(device or "cpu")
    if metric == "precomputed":
        d = rows.to(torch.float32)
        if bool(torch.isnan(d).any()) or bool((d < 0).any()) or not torch.equal(d, d.T):
            raise DataError("distances must be symmetric, not negative and not NaN")
        yield from ((start, d[start : start + step]) for start in range(0, n, step))
        return
    rows = rows.to(torch.float64)
    if not bool(torch.isfinite(rows).all()):
        raise DataError("rows hold values that are not finite: drop or replace them")
    if metric == "cosine":
        length = rows.norm(dim=1, keepdim=True)
        if not bool((length > 0).all()):
            raise DataError("rows of zeros have no direction: the cosine metric can't place them")
        rows = rows / length
    for start in range(0, n, step):
        block = torch.cdist(
            rows[start : start + step], rows, p=_NORMS[metric], compute_mode="donot_use_mm_for_euclid_dist"
        )
        block = (block.square() / 2 if metric == "cosine" else block).to(torch.float32)
        yield start, block if device else block.numpy()


def _below_diagonal(block: Any, start: int, longest: float) -> tuple[Any, Any, Any]:
    """The larger and the smaller point of each pair no longer than that, and its length; both rise."""
    if isinstance(block, np.ndarray):
        within = np.tril(block <= longest, start - 1)
        upper, lower = within.nonzero()
        return (upper + start).astype(np.int32), lower.astype(np.int32), block[within]
    import torch

    larger, smaller = torch.tril(block <= longest, start - 1).nonzero(as_tuple=True)
    return (larger + start).int(), smaller.int(), block[larger, smaller]


def _joined(parts: tuple[Any, ...]) -> Any:
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import torch

    return torch.cat(parts)


def _nearest_first(upper: Any, lower: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sort pairs that rise by larger and smaller point."""
    if not isinstance(lengths, np.ndarray):
        import torch

        lengths, order = lengths.flip(0).sort(stable=True)
        ends = torch.stack([upper.flip(0)[order], lower.flip(0)[order]], 1)
        return ends.cpu().numpy(), lengths.cpu().numpy()
    # Lengths that aren't negative order as their bits do; numbers of 64 bits are sorted several times faster than by
    # argsort. Adding 0 makes -0 a 0.
    bits = (lengths + np.float32(0)).view(np.uint32).astype(np.uint64)
    keys = np.sort((bits << np.uint64(32)) | np.arange(len(bits) - 1, -1, -1, dtype=np.uint64))
    order = len(bits) - 1 - (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return np.stack([upper[order], lower[order]], 1), lengths[order]


def _of_sparse(x: Any, threshold: float, most: int) -> Pairs:
    """Pairs of a sparse array, whose two triangles needn't agree: the shorter counts."""
    n = x.shape[0]
    entries = x.tocoo()
    lengths = entries.data.astype(np.float32)
    if np.isnan(lengths).any() or (lengths < 0).any():
        raise DataError("distances must be symmetric, not negative and not NaN")
    kept = (entries.row != entries.col) & (lengths <= threshold) & np.isfinite(lengths)
    row, col, lengths = entries.row[kept].astype(np.int64), entries.col[kept].astype(np.int64), lengths[kept]
    code = np.maximum(row, col) * n + np.minimum(row, col)
    order = np.lexsort((lengths, code))
    code, lengths = code[order], lengths[order]
    first = np.append(True, code[1:] != code[:-1]) if len(code) else np.zeros(0, bool)
    code, lengths = code[first], lengths[first]
    if len(code) > most:
        near = float(np.partition(lengths, most)[most])
        raise DataError(
            f"{len(code):,} pairs of {n:,} points are no further apart than {float(lengths.max()):.4g}, and {most:,} fit "
            f"into memory: take fewer points (landmarks), or a threshold of about {near:.3g}"
        )
    return Pairs(n, *_nearest_first((code // n).astype(np.int32), (code % n).astype(np.int32), lengths))
