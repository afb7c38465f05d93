"""Spectra and leading directions of a change of weights, and whether they are those of the weights themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.streamed import LOST

if TYPE_CHECKING:
    from jaxtyping import Float

Blocks = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Gives the rows before and after, (k, m) float32 each, from the first to the last; each call begins anew."""

FEW = (
    16  # times the values that are kept, from which on a side is large enough for these alone to be computed
)
MISSED = 1e-3  # of the least of the largest squared values: a larger one than that by so much wasn't missed
SEEN = 1e-2  # of the squared norm of some rows: more than that beside a few directions, and they aren't looked for
_OVERSAMPLED, _SWEEPS = 8, 6


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
    if len(gram) >= FEW * keep and (found := largest_certified(gram, keep, rounding, rng)) is not None:
        return found[0], len(gram), found[1]
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0))
    rank = int((values > max(rounding, LOST * float(values[0]))).sum())
    return values, rank, _leading(gram, min(keep, max(rank, 1)), rng)[:, :rank]


def largest_certified(
    gram: Float[np.ndarray, "k k"], keep: int, rounding: float, rng: np.random.Generator, hidden: float = 0.0
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, "k v"]] | None:
    """The largest values and their vectors by Lanczos in float32, made exact in float64; None unless rank and order are shown.

    Parameters
    ----------
    hidden : by how much the eigenvalues of what was given may be off.
    """
    from scipy.linalg import LinAlgError, cholesky
    from scipy.sparse.linalg import ArpackError, eigsh

    scale = float(np.trace(gram))
    if not scale > 0:
        return None
    single = (gram / scale).astype(np.float32)
    start = rng.standard_normal(len(gram)).astype(np.float32)
    try:
        _, vectors = eigsh(single, keep, ncv=3 * keep + 2, tol=1e-5, v0=start, maxiter=20)
    except ArpackError:  # also where it came to no end
        return None
    q = np.linalg.qr(vectors.astype(np.float64))[0]
    squares, turn = np.linalg.eigh(q.T @ gram @ q)
    squares, vectors = squares[::-1], q @ turn[:, ::-1]
    floor = max(rounding**2, LOST**2 * squares[0]) + hidden
    if squares[-1] <= floor:
        return None
    rest = (vectors * (squares / scale)).astype(np.float32) @ vectors.T.astype(np.float32)
    rest -= single
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


def few_directions(
    blocks: Blocks, shape: tuple[int, int], keep: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n v"], Float[np.ndarray, " v"], Float[np.ndarray, "m v"]] | None:
    """The directions of a change that seems to have at most ``keep``, by subspace iteration; None where it seems to have more.

    What lies beside them isn't known yet: `outside` gives it, so that it can be bounded.

    Returns
    -------
    left, values, right : the min(keep + 8, n, m) largest singular values, descending, and their vectors.
    """
    n, m = shape
    before, after = next(blocks())
    some = slice(None, None, max(1, len(before) // (3 * keep)))
    rows = (after[some] - before[some]).astype(np.float64)
    squares = np.linalg.eigvalsh(rows @ rows.T)
    if len(rows) <= keep or squares[:-keep].sum() > SEEN * squares.sum():
        return None
    q = rng.standard_normal((m, min(keep + _OVERSAMPLED, n, m)))
    for _ in range(2):
        y = np.concatenate([(a - b) @ q.astype(np.float32) for b, a in blocks()])
        q = np.linalg.qr(_adjoint((a - b for b, a in blocks()), np.linalg.qr(y)[0]))[0]
    return both_sides(blocks, q, True)


def outside(blocks: Blocks, right: Float[np.ndarray, "m v"]) -> Blocks:
    """What a change (n, m) has beside these orthonormal right directions: as rows before and after, as the change itself is given."""
    kept = right.astype(np.float32)

    def rows() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for before, after in blocks():
            change = after - before
            yield (change @ kept) @ kept.T, change

    return rows


def under(gram: Float[np.ndarray, "k k"], bound: float) -> bool:
    """Whether all eigenvalues of a symmetric matrix are below ``bound``, shown by a Cholesky factorisation in float32.

    Room is left for what that rounds, so that one right under the bound may not be shown.

    References
    ----------
    Higham 2002, Accuracy and Stability of Numerical Algorithms, SIAM, theorem 10.3: what is factorised is off by at most
    k + 1 half units in the last place of the trace.
    """
    from scipy.linalg import LinAlgError, cholesky

    if not bound > 0:
        return False
    k = len(gram)
    rest = (gram / -bound).astype(np.float32)
    hidden = float(np.finfo(np.float32).eps) / 2 * ((k + 2) * k + float(np.trace(gram)) / bound)
    rest[np.arange(k), np.arange(k)] += np.float32(1 - hidden)
    try:
        cholesky(rest.T, check_finite=False, overwrite_a=True)
    except LinAlgError:
        return False
    return True


def _leading(gram: np.ndarray, r: int, rng: np.random.Generator) -> np.ndarray:
    """Leading eigenvectors by subspace iteration: exact where they stand out, and where they don't any is as good."""
    q = rng.standard_normal((len(gram), min(len(gram), r + _OVERSAMPLED)))
    for _ in range(_SWEEPS):
        q = np.linalg.qr(gram @ q)[0]
    return q @ np.linalg.eigh(q.T @ gram @ q)[1][:, ::-1][:, :r]


def sketch_of(
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


def both_sides(
    blocks: Blocks, leading: Float[np.ndarray, "k r"], tall: bool, dtype: type = np.float64
) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, " r"], Float[np.ndarray, "m r"]]:
    """Directions of the change on both sides and its singular values there, from those of its Gram matrix.

    Products are made in ``dtype``: float32 takes half the time, and is enough for the directions.
    """
    on: np.ndarray = leading.astype(dtype, copy=False)
    if tall:
        other = np.concatenate([(a - b).astype(dtype, copy=False) @ on for b, a in blocks()])
    else:
        other = _adjoint(((a - b).astype(dtype, copy=False) for b, a in blocks()), on)
    q, r = np.linalg.qr(other.astype(np.float64, copy=False))
    u, s, vt = np.linalg.svd(r)
    pair = q @ u, leading @ vt.T
    return (pair[0], s, pair[1]) if tall else (pair[1], s, pair[0])


def angles_between(
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
    for last in (False, True):
        y = np.concatenate([b @ q for b, _ in blocks()])
        y = np.linalg.qr(y)[0] if last else y
        z = _adjoint((b for b, _ in blocks()), y)
        q = z if last else np.linalg.qr(z)[0].astype(np.float32)
    u, _, vt = np.linalg.svd(z.T, full_matrices=False)
    return _smallest(vectors[1], vt[:r].T), _smallest(vectors[0], y @ u[:, :r])


def _smallest(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest principal angle between two subspaces with orthonormal bases, in degrees."""
    s = np.linalg.svd(a.T.astype(np.float64) @ b.astype(np.float64), compute_uv=False)
    return float(np.degrees(np.arccos(min(1.0, s[0]))))
