"""What a matrix is, read a few rows at a time: sums over its entries, its Gram matrix, and its spectrum or a sketch of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.lazy import LazyTensor
from workbench.numerics.spectra import effective_rank

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LOST = 1e-7  # of the largest singular value: the rounding of a Gram matrix leaves up to 3e-8 of it where there is none
PROBES, STEPS = 8, 24  # of the sketch: random starts, and products with the matrix from each
ENDED = 1e-5  # of the largest coefficient of Lanczos, under which another is float32's rounding
_NUMBERS = 1 << 21  # that are widened to float64 at once: 16 MiB
_CACHED = 1 << 15  # that stay in a processor's cache: 256 KiB


@dataclass(frozen=True)
class Measures:
    """Sums over the entries of a matrix; those that aren't finite are counted, and are 0 in all that follows.

    Attributes
    ----------
    nan, infinite : how many. first : row and column of the first that isn't finite, or None.
    zeros : how many are 0. total, square, largest : sum, sum of squares, largest size.
    rows, columns : (n,) and (m,) sums of squares. kept : the rows that were asked for.
    gram : (k, k) of the shorter side, or empty.
    """

    shape: tuple[int, int]
    nan: int
    infinite: int
    first: tuple[int, int] | None
    zeros: int
    total: float
    square: float
    largest: float
    rows: Float[np.ndarray, " n"]
    columns: Float[np.ndarray, " m"]
    kept: Float[np.ndarray, "r m"]
    gram: Float[np.ndarray, "k k"]


def as_rows(tensor: LazyTensor) -> LazyTensor:
    """A tensor of more dimensions as a matrix of its rows, as `Checkpoint.as_matrix` has it."""
    width = math.prod(tensor.shape[1:])
    return LazyTensor((tensor.rows, width), lambda start, stop: tensor.read(start, stop).reshape(-1, width))


def measure(matrix: LazyTensor, *, gram: bool, keep: Int[np.ndarray, " r"]) -> Measures:
    """Read a matrix once and sum over it; a Gram matrix of rows that don't all fit takes more reading.

    Parameters
    ----------
    gram : whether the Gram matrix is accumulated, in float64. keep : rows that are returned as they are, ascending.
    """
    n, m = matrix.shape
    nan = infinite = zeros = 0
    first: tuple[int, int] | None = None
    total = square = largest = 0.0
    rows, columns = np.zeros(n), np.zeros(m)
    kept = np.empty((len(keep), m), np.float32)
    tall = n >= m
    summed = np.zeros((m, m) if tall else (n, n)) if gram else np.empty((0, 0))
    step = _step(m)
    for start in range(0, n, step):
        raw = matrix.read(start, min(start + step, n))
        inside = (keep >= start) & (keep < start + len(raw))
        kept[inside] = raw[keep[inside] - start]
        block = np.empty(raw.shape)
        part = max(1, _CACHED // max(1, m))
        for at in range(
            0, len(raw), part
        ):  # all that is asked of some rows while they are in the processor's cache
            some, wide = raw[at : at + part], block[at : at + part]
            wide[...] = some
            added = float(wide.sum())
            if not np.isfinite(added):
                wrong = ~np.isfinite(wide)
                nan += int(np.isnan(wide).sum())
                infinite += int(np.isinf(wide).sum())
                if first is None and wrong.any():
                    r, c = np.unravel_index(int(wrong.argmax()), wrong.shape)
                    first = (start + at + int(r), int(c))
                wide[wrong] = 0
                added = float(wide.sum())
            total += added
            zeros += wide.size - int(np.count_nonzero(wide))
            largest = max(largest, float(wide.max(initial=0)), -float(wide.min(initial=0)))
            squares = np.square(wide)
            here = squares.sum(axis=1)
            rows[start + at : start + at + len(wide)] = here
            columns += squares.sum(axis=0)
            square += float(here.sum())
        if gram and tall:
            summed += block.T @ block
        elif gram:
            summed[start : start + len(block), start : start + len(block)] = block @ block.T
            for before in range(0, start, step):
                other = _finite(matrix.read(before, before + step))
                product = block @ other.T
                summed[start : start + len(block), before : before + len(other)] = product
                summed[before : before + len(other), start : start + len(block)] = product.T
    zeros -= nan + infinite
    return Measures((n, m), nan, infinite, first, zeros, total, square, largest, rows, columns, kept, summed)


def gram_spectrum(gram: Float[np.ndarray, "k k"]) -> Float[np.ndarray, " k"]:
    """Singular values, descending, from a Gram matrix; those below `LOST` of the largest are rounding."""
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0))


@dataclass(frozen=True)
class Sketch:
    """What some products with a matrix tell of its singular values.

    Attributes
    ----------
    top : (k,) descending. bound : (k,) how far from each there is a singular value, at most: ‖Wᵀu - σv‖.
    bulk : singular values at equal steps of their distribution, (min(n, m),), as stochastic Lanczos has it.
    effective_rank, effective_rank_error : its standard error over the probes. median_error : of the median, likewise.
    """

    top: Float[np.ndarray, " k"]
    bound: Float[np.ndarray, " k"]
    bulk: Float[np.ndarray, " k"]
    effective_rank: float
    effective_rank_error: float
    median_error: float


def sketch(
    matrix: LazyTensor,
    top: int,
    rng: np.random.Generator,
) -> Sketch:
    """Find the largest singular values, each with a bound, and the distribution of all, by `STEPS` + 1 readings.

    `PROBES` random starts are multiplied by the smaller Gram matrix `STEPS` times (Lanczos, orthogonalized in full); the best
    approximations in all that they span are the largest values, and the probes' quadratures are the distribution. That each
    of ``top`` is near some singular value is certain to rounding; that none between them was missed is not.

    References
    ----------
    Lin, Saad and Yang 2016, Approximating spectral densities of large matrices, SIAM Review 58; Ubaru, Chen and Saad 2017,
    Fast estimation of tr(f(A)) via stochastic Lanczos quadrature, SIAM J. Matrix Anal. Appl. 38.
    """
    side = min(matrix.shape)
    steps, probes = min(STEPS, side), min(PROBES, side)
    times = _gram_product(matrix)
    basis, diagonal, off = _lanczos(times, rng.standard_normal((side, probes)), steps)
    flat = basis.reshape(-1, side)
    left, strength, _ = np.linalg.svd(flat.T, full_matrices=False)
    some = left[:, strength > 1e-6 * strength[0]]
    image = times(some)
    values, turn = np.linalg.eigh((some.T @ image + image.T @ some) / 2)
    values, turn = values[::-1][:top], turn[:, ::-1][:, :top]
    rest = np.linalg.norm(image @ turn - (some @ turn) * values, axis=0)
    return sketch_of(values, rest, diagonal, off, side)


def sketch_of(
    values: Float[np.ndarray, " k"],
    rest: Float[np.ndarray, " k"],
    diagonal: Float[np.ndarray, "p s"],
    off: Float[np.ndarray, "p t"],
    side: int,
) -> Sketch:
    """Singular values with bounds, and the distribution, from approximate eigenvalues of the Gram matrix.

    Parameters
    ----------
    values, rest : descending, and how far the product with each vector is from so many times the vector.
    diagonal, off : of the tridiagonal matrix of each probe.
    """
    found = np.sqrt(np.maximum(values, 0))
    rest = rest + np.finfo(np.float64).eps * values[0] * math.sqrt(side)  # what rounding alone may hide
    bound = np.divide(rest, found, out=np.sqrt(rest), where=found**2 > rest)
    return Sketch(found, bound, *_distribution(diagonal, off, side))


def _lanczos(
    times: Callable[[np.ndarray], np.ndarray], start: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lanczos from several starts at once: bases (p, steps, side), diagonals (p, steps), off-diagonals (p, steps - 1)."""
    side, probes = start.shape
    basis = np.zeros((probes, steps, side))
    diagonal, off = np.zeros((probes, steps)), np.zeros((probes, max(steps - 1, 0)))
    basis[:, 0] = (start / np.linalg.norm(start, axis=0)).T
    for k in range(steps):
        product = times(basis[:, k].T).T
        diagonal[:, k] = np.einsum("ps,ps->p", product, basis[:, k])
        if k == steps - 1:
            break
        for _ in range(2):  # once leaves what rounding makes of near equal vectors
            against = np.einsum("pks,ps->pk", basis[:, : k + 1], product)
            product = product - np.einsum("pks,pk->ps", basis[:, : k + 1], against)
        norm = np.linalg.norm(product, axis=1)
        alive = norm > 1e-10 * np.abs(diagonal).max()
        off[:, k] = np.where(alive, norm, 0)
        basis[alive, k + 1] = product[alive] / norm[alive, None]
    return basis, diagonal, off


def _distribution(diagonal: np.ndarray, off: np.ndarray, side: int) -> tuple[np.ndarray, float, float, float]:
    """The distribution of the singular values from the probes' quadratures, with what differs between them."""
    from scipy.linalg import eigh_tridiagonal

    shares = (np.arange(side) + 0.5) / side
    nodes, weights, ranks, medians = [], [], [], []
    for d, e in zip(diagonal, off, strict=True):
        values, vectors = eigh_tridiagonal(d, e)
        s, w = np.sqrt(np.maximum(values, 0)), np.square(vectors[0])
        nodes.append(s)
        weights.append(w)
        sums = side * (w @ s), side * (w @ (s * np.log(np.where(s > 0, s, 1))))
        ranks.append(math.exp(math.log(sums[0]) - sums[1] / sums[0]) if sums[0] > 0 else 0.0)
        medians.append(float(_quantiles(s, w, np.array([0.5]))[0]))
    error = [float(np.std(v, ddof=1) / math.sqrt(len(v))) if len(v) > 1 else 0.0 for v in (ranks, medians)]
    s, w = np.concatenate(nodes), np.concatenate(weights) / len(nodes)
    bulk = _quantiles(s, w, shares)[::-1]
    return bulk, float(np.mean(ranks)), error[0], error[1]


def _quantiles(nodes: np.ndarray, weights: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Values at shares of a distribution whose nodes stand for the mass half before and half behind each."""
    order = np.argsort(nodes)
    mass = np.cumsum(weights[order]) - weights[order] / 2
    return np.interp(shares, mass, nodes[order])


def _gram_product(matrix: LazyTensor) -> Callable[[np.ndarray], np.ndarray]:
    """What multiplies vectors by the Gram matrix of the shorter side, reading the matrix once, or twice where it is wide."""
    n, m = matrix.shape
    step = _step(m)
    starts = range(0, n, step)

    def rows(start: int) -> np.ndarray:
        return _finite(matrix.read(start, min(start + step, n)))

    def tall(vectors: np.ndarray) -> np.ndarray:
        out = np.zeros((m, vectors.shape[1]))
        for start in starts:
            block = rows(start)
            out += block.T @ (block @ vectors)
        return out

    def wide(vectors: np.ndarray) -> np.ndarray:
        across = np.zeros((m, vectors.shape[1]))
        for start in starts:
            block = rows(start)
            across += block.T @ vectors[start : start + len(block)]
        return np.concatenate([rows(start) @ across for start in starts])

    return tall if n >= m else wide


def leading_value(w: Float[np.ndarray, "n m"], start: Float[np.ndarray, " m"], steps: int) -> float:
    """The largest singular value as some steps of Lanczos (Golub and Kahan) have it: at most the true one, and soon near it.

    For comparing matrices by the same rule rather than for the number itself. It ends early where what is left is rounding
    (`ENDED` of the largest so far), as in a matrix of few directions: going on from that would multiply it.
    """
    right = start / np.linalg.norm(start)
    basis = [right]
    alphas, betas = [], []
    left = np.zeros(len(w), w.dtype)
    beta = 0.0
    for _ in range(min(steps, *w.shape)):
        left = w @ right - beta * left
        alpha = float(np.linalg.norm(left))
        alphas.append(alpha)
        if alpha <= ENDED * max(alphas):
            break
        left /= alpha
        right = left @ w - alpha * right
        held = np.stack(basis)
        right -= (held @ right) @ held
        beta = float(np.linalg.norm(right))
        betas.append(beta)
        if beta <= ENDED * max(alphas):
            break
        right /= beta
        basis.append(right)
    k = len(alphas)
    bidiagonal = np.diag(alphas) + np.diag(betas[: k - 1], 1)
    return float(np.linalg.norm(bidiagonal, 2))


def spread(s: Float[np.ndarray, " k"]) -> float:
    """`effective_rank` of what isn't lost in rounding."""
    return effective_rank(s[s >= LOST * s[0]]) if len(s) and s[0] > 0 else 0.0


def _finite(block: np.ndarray) -> np.ndarray:
    return np.nan_to_num(block.astype(np.float64), copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _step(width: int) -> int:
    return max(1, _NUMBERS // max(1, width))
