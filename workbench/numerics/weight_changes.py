"""What became of one weight matrix: how much of it changed, in how many directions, and what could have done that.

All is computed from the tensor before and after, a block of rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.floats import decode, encode
from workbench.numerics.spectra import edge_of_noise
from workbench.numerics.streamed import LOST

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Blocks = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Gives the rows before and after, (k, m) float32 each, from the first to the last; each call begins anew."""

WORK = 4e10  # rows x columns x the smaller of them, up to which all singular values of a change are computed
BLOCK = 1 << 20  # numbers that are widened to float64 at a time
CACHED = 1 << 15  # that stay in a processor's cache
FEW = (
    16  # times the values that are kept, from which on a side is large enough for these alone to be computed
)
MISSED = 1e-3  # of the least of the largest squared values: a larger one than that by so much wasn't missed
SAMPLED = 16  # rows by which a rounding is recognized before all are looked at
CHEAP = 0.25  # of what a dense change takes: a description of at most so many numbers is one
GROUPS = (128, 64, 32)  # entries of a row that share a scale, where a row as a whole doesn't
MANTISSA = {"F64": 52, "F32": 23, "F16": 10, "BF16": 7}
_OVERSAMPLED, _SWEEPS = 8, 6


@dataclass(frozen=True)
class Change:
    """A change of a matrix (n, m) in numbers.

    Attributes
    ----------
    changed : entries that differ. norm, base_norm, after_norm : of the change, and of the weights before and after.
    cosine : between the weights before and after.
    rank : singular values above what the rounding of the stored numbers gives.
    values : (k,) the largest singular values, descending. share : of the squared norm that they hold.
    exact : whether all singular values were computed, or the largest alone (randomised).
    direction, entry : largest singular value, and largest entry, over what noise of equal norm stays under 95 times in 100.
    steps : median size of the changes that there are, in units in the last place.
    angles : smallest principal angle, in degrees, between the leading directions of the change and of the weights: of what
        comes in (columns) and of what goes out (rows).
    """

    changed: int
    norm: float
    base_norm: float
    after_norm: float
    cosine: float
    rank: int
    values: Float[np.ndarray, " k"]
    share: float
    exact: bool
    direction: float
    entry: float
    steps: float
    angles: tuple[float, float]


def change_of(
    blocks: Blocks, shape: tuple[int, int], dtype: str, *, keep: int, rng: np.random.Generator
) -> Change:
    """Measure a change.

    Parameters
    ----------
    dtype : in which the weights are stored, which says how they were rounded.
    keep : how many of the largest singular values, and of the directions whose angles are taken.
    """
    n, m = shape
    whole = n * m * min(n, m) <= WORK
    sums = _Sums.of(blocks, shape, dtype, gram=whole and min(n, m) > 1)
    norm, base_norm, after_norm = np.sqrt(sums.squares[:3])
    rounding = 1e-12 * _edge_of_rounding(sums.by_rows, sums.by_columns, dtype)
    if sums.gram is not None:
        values, rank, leading = spectrum_of(sums.gram, keep, rounding, rng)
        vectors = _both_sides(blocks, leading, n >= m)
    elif min(n, m) > 1:
        values, left, right = _sketch(sums.held or [np.zeros(shape, np.float32)], keep, rng)
        rank = int((values > max(rounding, LOST * float(values[0]))).sum())
        vectors = left[:, :rank], right[:, :rank]
    else:
        values, rank, vectors = np.empty(0), 0, None
    level = norm / np.sqrt(n * m)
    kept = values[:keep]
    edge = edge_of_noise(level, shape) if level > 0 and min(n, m) > 1 else 0.0
    return Change(
        changed=sums.changed,
        norm=float(norm),
        base_norm=float(base_norm),
        after_norm=float(after_norm),
        cosine=float(sums.squares[3] / (base_norm * after_norm)) if base_norm * after_norm > 0 else 0.0,
        rank=rank,
        values=kept,
        share=min(1.0, float(np.square(kept).sum() / sums.squares[0])) if sums.squares[0] > 0 else 0.0,
        exact=whole or min(n, m) == 1,
        direction=float(values[0] / edge) if edge else 0.0,
        entry=float(sums.largest / (level * edge_of_entries(n * m))) if level > 0 else 0.0,
        steps=float(np.median(np.concatenate(sums.steps))) if sums.changed and sums.steps else 0.0,
        angles=_angles(blocks, vectors, shape, rng),
    )


@dataclass
class _Sums:
    """What one reading of both tensors adds up.

    Attributes
    ----------
    squares : of the change, of before, of after, and before times after. by_rows, by_columns : of the spacings, times 1e24 / 12.
    largest, changed : the largest entry of the change, and how many aren't zero. steps : some of them, in spacings.
    gram : (k, k) of the change's shorter side, or None. held : the change in blocks, where that is None.
    """

    squares: np.ndarray
    by_rows: np.ndarray
    by_columns: np.ndarray
    largest: float
    changed: int
    steps: list[np.ndarray]
    gram: np.ndarray | None
    held: list[np.ndarray]

    @classmethod
    def of(cls, blocks: Blocks, shape: tuple[int, int], dtype: str, *, gram: bool) -> _Sums:
        n, m = shape
        square = np.zeros((min(n, m),) * 2) if gram else None
        out = cls(np.zeros(4), np.zeros(n), np.zeros(m), 0.0, 0, [], square, [])
        start = 0
        for before, after in blocks():
            d = after - before
            for low in range(0, len(d), max(1, BLOCK // m)):
                at = slice(low, low + max(1, BLOCK // m))
                out._add(before[at], after[at], d[at], start + low, dtype)
                if square is not None and n >= m:
                    wide = d[at].astype(np.float64)
                    square += wide.T @ wide
            if square is None or n < m:
                out.held.append(d)
            start += len(d)
        if square is not None and n < m:
            # one block of columns after the other, so that only one is held in float64
            for low in range(0, m, max(1, BLOCK // n)):
                columns = np.concatenate([d[:, low : low + max(1, BLOCK // n)] for d in out.held])
                wide = columns.astype(np.float64)
                square += wide @ wide.T
            out.held.clear()
        return out

    def _add(self, before: np.ndarray, after: np.ndarray, d: np.ndarray, start: int, dtype: str) -> None:
        """Add some rows up, as many at a time as a processor's cache holds."""
        step = max(1, CACHED // d.shape[1])
        for low in range(0, len(d), step):
            b, a, x = before[low : low + step], after[low : low + step], d[low : low + step]
            self.squares += [np.vdot(x, x), np.vdot(b, b), np.vdot(a, a), np.vdot(b, a)]
            size = np.abs(x)
            largest = float(size.max(initial=0))
            ulp = spacing(np.maximum(np.abs(b), np.abs(a)), dtype)
            variance = np.square(ulp * np.float32(1e12)) / np.float32(12)
            self.by_rows[start + low : start + low + len(b)] += variance.sum(axis=1)
            self.by_columns += variance.sum(axis=0)
            self.changed += int(np.count_nonzero(x))
            self.largest = max(self.largest, largest)
            if largest and len(self.steps) < 64:
                moved = size > 0
                self.steps.append(size[moved][:4096].astype(np.float64) / ulp[moved][:4096])


def spacing(values: np.ndarray, dtype: str) -> np.ndarray:
    """The distance from each number to the next larger one in the format that it is stored in."""
    bits = min(MANTISSA.get(dtype, 23), 23)
    power = np.ascontiguousarray(values, np.float32).view(np.uint32) & np.uint32(0x7F800000)
    smallest = -24 if dtype == "F16" else -133 if dtype == "BF16" else -149
    return np.maximum(power.view(np.float32) * np.float32(2.0**-bits), np.float32(2.0**smallest))


def rounding_edge(values: np.ndarray, dtype: str) -> float:
    """The largest singular value that rounding a matrix to its format may add, by its scales of rows and columns.

    References
    ----------
    Latala 2005, Some estimates of norms of random matrices, Proc. Am. Math. Soc. 133.
    """
    variance = np.square(spacing(np.abs(values), dtype), dtype=np.float64) / 12
    return _edge_of_rounding(variance.sum(axis=1), variance.sum(axis=0), dtype)


def _edge_of_rounding(by_rows: np.ndarray, by_columns: np.ndarray, dtype: str) -> float:
    # what was added was itself made in float32, by sums whose rounding is as large as that of float32 weights
    margin = 1.5 if dtype in ("F16", "BF16") else 4.0
    return margin * float(np.sqrt(by_rows.max()) + np.sqrt(by_columns.max()))


def grain(values: np.ndarray, dtype: str) -> str:
    """The coarsest format that has all these numbers: what was rounded to 16 bits may be stored in 32."""
    return next((f for f in ("BF16", "F16") if np.array_equal(cast(values, f), values)), dtype)


@lru_cache(maxsize=256)
def edge_of_entries(count: int) -> float:
    """What the largest of so many normal numbers, in size, stays under 95 times in 100."""
    return _largest_of(count, 0.95)


def _largest_of(count: int, quantile: float) -> float:
    from scipy.special import ndtri

    return float(-ndtri(-np.expm1(np.log(quantile) / count) / 2))


def largest_of_noise(shape: tuple[int, int], rng: np.random.Generator) -> tuple[float, float]:
    """Draw what a matrix of independent normal entries has, exactly in law and without drawing the matrix.

    Returns
    -------
    float, float
        The largest singular value, and the largest entry, over the same edges as in `Change`, the entries' scale being
        taken from the norm.

    References
    ----------
    Dumitriu and Edelman 2002, Matrix models for beta ensembles, J. Math. Phys. 43: Householder reflections turn the matrix
    into a bidiagonal one of independent chi variables, which keeps singular values and norm.
    """
    from scipy.linalg import eigh_tridiagonal

    n, m = max(shape), min(shape)
    count = n * m
    squares = rng.chisquare(n - np.arange(m))
    beside = rng.chisquare(m - 1 - np.arange(m - 1)) if m > 1 else np.empty(0)
    level = np.sqrt((squares.sum() + beside.sum()) / count)
    entry = _largest_of(count, rng.uniform()) / (
        np.sqrt(rng.chisquare(count) / count) * edge_of_entries(count)
    )
    if m == 1:
        return 0.0, entry
    # B B^T is tridiagonal; the leading vector lies in its first rows, of which it needs some m^(1/3)
    rows = min(m, int(30 * m ** (1 / 3)) + 20)
    diagonal = squares[:rows].copy()
    diagonal[: min(rows, m - 1)] += beside[:rows]
    off = np.sqrt(squares[1:rows] * beside[: rows - 1])
    top = eigh_tridiagonal(diagonal, off, eigvals_only=True, select="i", select_range=(rows - 1, rows - 1))
    return float(np.sqrt(top[0]) / edge_of_noise(float(level), (n, m))), entry


# -- what could have done it ------------------------------------------------------------------------


def rounded_as(before: np.ndarray, after: np.ndarray) -> str:
    """Say which rounding turns one block of rows into another, or "".

    A cast to a narrower format is found where each number is the nearest of that format; quantization where, within a row
    or a group in a row, what comes out is a step function of what went in, with at most half as many steps as numbers, or
    lies on a grid of 255 steps that spans the group.
    """
    finite = np.isfinite(before).all() and np.isfinite(after).all()
    if not finite or before.shape != after.shape or not before.size or np.array_equal(before, after):
        return ""
    for name in ("F16", "BF16"):
        if np.array_equal(cast(before, name), after):
            return name
    for group in (before.shape[-1], *GROUPS):
        if before.shape[-1] % group == 0 and group >= 16:
            b, a = before.reshape(-1, group), after.reshape(-1, group)
            if _in_steps(b, a) or _on_grid(b, a):
                return f"groups of {group}"
    return ""


def cast(values: np.ndarray, dtype: str) -> np.ndarray:
    """The numbers as they come back from a narrower format (``F16`` or ``BF16``)."""
    if dtype == "BF16":
        return decode(encode(values, "BF16"), "BF16")
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def _in_steps(before: np.ndarray, after: np.ndarray) -> bool:
    order = np.argsort(before, axis=1, kind="stable")
    risen = np.diff(np.take_along_axis(after, order, axis=1), axis=1)
    levels = 1 + (np.diff(np.sort(after, axis=1), axis=1) > 0).sum(axis=1)
    return bool((risen >= 0).all() and levels.max() <= after.shape[1] / 2)


def _on_grid(before: np.ndarray, after: np.ndarray) -> bool:
    step = np.abs(after).max(axis=1, keepdims=True) / 127
    if not (step > 0).all():
        return False
    grid = after / step
    near = np.abs(grid - np.rint(grid)) < 1e-3
    return bool(near.all() and (np.abs(after - before) < 0.55 * step).all())


def reordered(
    before: np.ndarray, after: np.ndarray
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]] | None:
    """Find in which order rows and columns were put, so that ``before[rows][:, columns]`` is ``after``; None where in none.

    Rows are told by what stays of them in any order of columns: their sorted entries.
    """
    rows = _matched(before, after)
    if rows is None:
        return None
    columns = _matched(np.ascontiguousarray(before.T), np.ascontiguousarray(after.T))
    if columns is None:
        return None
    if not np.array_equal(before[rows][:, columns], after):
        return None
    return rows, columns


def _matched(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """Which row of ``before`` has each row's entries; in place where both have equal ones."""
    keys: tuple[list[bytes], list[bytes]] = ([], [])
    for x, into in zip((before, after), keys, strict=True):
        into.extend(row.tobytes() for row in np.sort(x, axis=1))
    where: dict[bytes, list[int]] = {}
    for i, key in enumerate(keys[0]):
        where.setdefault(key, []).append(i)
    out = np.empty(len(after), np.int64)
    for i, key in enumerate(keys[1]):
        same = where.get(key)
        if not same:
            return None
        out[i] = same.pop(same.index(i) if i in same else 0)
    return out


def told_as(change: Change, shape: tuple[int, int], related: float) -> str:
    """Say what a change is that is no rounding and no new order: the cheapest description that fits.

    Parameters
    ----------
    related : cosine between before and after under which they have nothing in common.
    """
    n, m = shape
    dense = CHEAP * n * m
    by_factors = change.rank * (n + m) if min(n, m) > 1 and change.rank else np.inf
    by_entries = 2 * change.changed if change.steps > 2 else np.inf
    if min(by_factors, by_entries) <= dense:
        return "low-rank" if by_factors <= by_entries else "sparse"
    return "trained on" if change.cosine >= related else "unrelated"


# -- parts ------------------------------------------------------------------------------------------


def spectrum_of(
    gram: Float[np.ndarray, "k k"], keep: int, rounding: float, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " r"], int, Float[np.ndarray, "k v"]]:
    """The largest singular values of which this is the Gram matrix, how many are more than rounding, and leading vectors.

    Where the change is in all directions, two Cholesky factorisations stand for all eigenvalues: one shows that each lies over
    what rounding gives, the other that none of the largest was missed. Else all eigenvalues are computed.

    Returns
    -------
    values : (keep,) or all, descending. rank : how many are above ``rounding`` and not `LOST`. vectors : of the first
        min(keep, rank), one a column.
    """
    if len(gram) >= FEW * keep and (found := _certified(gram, keep, rounding, rng)) is not None:
        return found[0], len(gram), found[1]
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0))
    rank = int((values > max(rounding, LOST * float(values[0]))).sum())
    return values, rank, _leading(gram, min(keep, max(rank, 1)), rng)[:, :rank]


def _certified(
    gram: np.ndarray, keep: int, rounding: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """The largest values and their vectors by Lanczos in float32, made exact in float64; None unless rank and order are shown."""
    from scipy.linalg import LinAlgError, cholesky
    from scipy.sparse.linalg import ArpackError, eigsh

    scale = float(np.trace(gram))
    if not scale > 0:
        return None
    single = (gram / scale).astype(np.float32)
    start = rng.standard_normal(len(gram)).astype(np.float32)
    try:
        _, vectors = eigsh(single, keep, tol=1e-7, v0=start, maxiter=20)
    except ArpackError:  # also where it came to no end
        return None
    q = np.linalg.qr(vectors.astype(np.float64))[0]
    squares, turn = np.linalg.eigh(q.T @ gram @ q)
    squares, vectors = squares[::-1], q @ turn[:, ::-1]
    floor = max(rounding**2, LOST**2 * squares[0])
    if squares[-1] <= floor:
        return None
    rest = ((vectors * squares) @ vectors.T / scale).astype(np.float32) - single
    over = gram.copy()
    diagonal = np.arange(len(gram))
    rest[diagonal, diagonal] += np.float32((1 + MISSED) * squares[-1] / scale)
    over[diagonal, diagonal] -= floor
    try:
        for positive in (rest, over):  # symmetric, so that the transpose is the same and needs no copy
            cholesky(positive.T, check_finite=False, overwrite_a=True)
    except LinAlgError:
        return None
    return np.sqrt(squares), vectors


def _leading(gram: np.ndarray, r: int, rng: np.random.Generator) -> np.ndarray:
    """Leading eigenvectors by subspace iteration: exact where they stand out, and where they don't any is as good."""
    q = rng.standard_normal((len(gram), min(len(gram), r + _OVERSAMPLED)))
    for _ in range(_SWEEPS):
        q = np.linalg.qr(gram @ q)[0]
    return q @ np.linalg.eigh(q.T @ gram @ q)[1][:, ::-1][:, :r]


def _sketch(
    held: list[np.ndarray], keep: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest singular values of what is held, with their vectors on both sides (Halko, Martinsson and Tropp 2011)."""
    m = held[0].shape[1]
    k = min(keep + _OVERSAMPLED, m, sum(map(len, held)))
    q = rng.standard_normal((m, k)).astype(np.float32)
    for _ in range(3):
        y = np.linalg.qr(np.concatenate([d @ q for d in held]).astype(np.float64))[0].astype(np.float32)
        z = _adjoint(held, y)
        q = np.linalg.qr(z)[0].astype(np.float32)
    u, s, vt = np.linalg.svd(z.T, full_matrices=False)
    return s, y @ u.astype(np.float32), vt.T


def _adjoint(held: Iterable[np.ndarray], y: np.ndarray) -> np.ndarray:
    out, start = 0.0, 0
    for d in held:
        out = out + (d.T @ y[start : start + len(d)]).astype(np.float64)
        start += len(d)
    return np.asarray(out)


def _both_sides(blocks: Blocks, leading: np.ndarray, tall: bool) -> tuple[np.ndarray, np.ndarray]:
    """Leading directions of the change on both sides, from those of its Gram matrix: left, right."""
    given = leading.astype(np.float32)
    if tall:
        return np.linalg.qr(np.concatenate([(a - b) @ given for b, a in blocks()]))[0], given
    return given, np.linalg.qr(_adjoint((a - b for b, a in blocks()), given))[0]


def _angles(
    blocks: Blocks,
    vectors: tuple[np.ndarray, np.ndarray] | None,
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Smallest principal angles between directions of the change (left, right) and the leading ones of the weights."""
    if vectors is None or not vectors[0].shape[1]:
        return 90.0, 90.0
    (n, m), r = shape, vectors[0].shape[1]
    q = rng.standard_normal((m, min(r + _OVERSAMPLED, n, m))).astype(np.float32)
    for _ in range(2):
        y = np.linalg.qr(np.concatenate([b @ q for b, _ in blocks()]))[0]
        z = _adjoint((b for b, _ in blocks()), y)
        q = np.linalg.qr(z)[0].astype(np.float32)
    u, _, vt = np.linalg.svd(z.T, full_matrices=False)
    return _smallest(vectors[1], vt[:r].T), _smallest(vectors[0], y @ u[:, :r])


def _smallest(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest principal angle between two subspaces with orthonormal bases, in degrees."""
    s = np.linalg.svd(a.T.astype(np.float64) @ b.astype(np.float64), compute_uv=False)
    return float(np.degrees(np.arccos(min(1.0, s[0]))))
