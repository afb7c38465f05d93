"""What became of one weight matrix: how much of it changed, in how many directions, and what could have done that.

All is computed from the tensor before and after, a block of rows at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.change_spectra import (
    FEW,
    Blocks,
    angles_between,
    both_sides,
    few_directions,
    largest_certified,
    outside,
    sketch_of,
    spectrum_of,
    under,
)
from workbench.numerics.noise_spectra import edge_of_entries
from workbench.numerics.spectra import edge_of_noise
from workbench.numerics.stored_rounding import edge_of_rounding, exponents, spacing
from workbench.numerics.streamed import LOST

if TYPE_CHECKING:
    from jaxtyping import Float

WORK = 4e10  # rows x columns x the smaller of them, up to which all singular values of a change are computed
BLOCK = 1 << 20  # numbers whose products are added up at a time
CACHED = 1 << 15  # that stay in a processor's cache
SAMPLED = 1 << 10  # changes of some rows whose size in steps is looked at
CHEAP = 0.25  # of what a dense change takes: a description of at most so many numbers is one
CLEAR = 10.0  # times rounding that the least of few directions has at least to be told by these alone
LONG = 2.5  # times the shorter side, from which on products in float32 tell that noise has every rank


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
    sums = _Sums.of(blocks, shape, dtype)
    norm, base_norm, after_norm = np.sqrt(sums.squares[:3])
    rounding = edge_of_rounding(sums.by_rows, sums.by_columns, dtype)
    if min(n, m) < 2:
        values, rank, vectors = np.empty(0), 0, None
    elif whole:
        values, rank, vectors = _spectrum(blocks, shape, keep, rounding, rng)
    else:
        held = [a - b for b, a in blocks()]
        values, left, right = sketch_of(held or [np.zeros(shape, np.float32)], keep, rng)
        rank = int((values > max(rounding, LOST * float(values[0]))).sum())
        vectors = left[:, :rank], right[:, :rank]
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
        angles=angles_between(blocks, vectors, shape, rng),
    )


def _spectrum(
    blocks: Blocks, shape: tuple[int, int], keep: int, rounding: float, rng: np.random.Generator
) -> tuple[np.ndarray, int, tuple[np.ndarray, np.ndarray]]:
    """The largest singular values of a change, its rank, and leading directions on both sides.

    Of a long matrix the products are added up in float32, which takes half the time, where what that rounds can't hide a
    direction; the values are those of products with the change itself, in float64.
    """
    n, m = shape
    side = min(n, m)
    if side >= FEW * keep and (few := _few(blocks, shape, keep, rounding, rng)) is not None:
        return few
    if max(n, m) >= LONG * side and side >= FEW * keep:
        gram, hidden = _gram(blocks, shape, np.float32)
        if (found := largest_certified(gram, keep, rounding, rng, hidden)) is not None:
            left, values, right = both_sides(blocks, found[1], n >= m)
            return values, side, (left, right)
    gram, _ = _gram(blocks, shape, np.float64)
    values, rank, leading = spectrum_of(gram, keep, rounding, rng)
    left, _, right = both_sides(blocks, leading, n >= m, np.float32)
    return values, rank, (left, right)


def _few(
    blocks: Blocks, shape: tuple[int, int], keep: int, rounding: float, rng: np.random.Generator
) -> tuple[np.ndarray, int, tuple[np.ndarray, np.ndarray]] | None:
    """A change of at most ``keep`` directions: its singular values above rounding, and that it has no more; None unless shown.

    With the part outside some right directions smaller than rounding (in spectral norm), no further singular value is larger
    than that, and those found are off by at most its square over twice their own (Weyl's inequality for the squares).
    """
    found = few_directions(blocks, shape, keep, rng)
    if found is None:
        return None
    left, values, right = found
    edge = max(rounding, LOST * float(values[0]))
    rank = int((values > edge).sum())
    if not 0 < rank <= keep or values[rank - 1] < CLEAR * edge:
        return None
    rest, hidden = _gram(outside(blocks, right[:, :rank]), shape, np.float32)
    if not under(rest, edge**2 - hidden):
        return None
    return values[:rank], rank, (left[:, :rank], right[:, :rank])


def _gram(blocks: Blocks, shape: tuple[int, int], dtype: type) -> tuple[Float[np.ndarray, "k k"], float]:
    """The Gram matrix of a change's shorter side, and by how much rounding may have moved its eigenvalues at most.

    Products of some rows are made in ``dtype`` and added up in float64.

    References
    ----------
    Higham 2002, Accuracy and Stability of Numerical Algorithms, SIAM, section 3.5: a sum of k products is off by at most k
    half units in the last place of the sum of their sizes; in norm, by so many of the squared Frobenius norm.
    """
    n, m = shape
    gram = np.zeros((min(shape),) * 2)
    most = 0
    if n >= m:
        for before, after in blocks():
            for low in range(0, len(before), max(1, BLOCK // m)):
                at = slice(low, low + max(1, BLOCK // m))
                some: np.ndarray = (after[at] - before[at]).astype(dtype, copy=False)
                gram += some.T @ some
                most = max(most, len(some))
    else:
        held = [a - b for b, a in blocks()]
        for low in range(0, m, max(1, BLOCK // n)):  # so that only one block of columns is held once more
            some = np.concatenate([d[:, low : low + max(1, BLOCK // n)] for d in held]).astype(
                dtype, copy=False
            )
            gram += some @ some.T
            most = max(most, some.shape[1])
    half = float(np.finfo(dtype).eps) / 2
    return gram, 2 * most * half * float(np.trace(gram))


@dataclass
class _Sums:
    """What one reading of both tensors adds up.

    Attributes
    ----------
    squares : of the change, of before, of after, and before times after. by_rows, by_columns : of the powers of two of the entries.
    largest, changed : the largest entry of the change, and how many aren't zero. steps : some of them, in spacings.
    """

    squares: np.ndarray
    by_rows: np.ndarray
    by_columns: np.ndarray
    largest: float
    changed: int
    steps: list[np.ndarray]

    @classmethod
    def of(cls, blocks: Blocks, shape: tuple[int, int], dtype: str) -> _Sums:
        n, m = shape
        out = cls(np.zeros(4), np.zeros(n), np.zeros(m), 0.0, 0, [])
        start = 0
        for before, after in blocks():
            step = max(1, CACHED // m)
            for low in range(0, len(before), step):  # as many rows as a processor's cache holds
                out._add(before[low : low + step], after[low : low + step], start + low, dtype)
            start += len(before)
        return out

    def _add(self, b: np.ndarray, a: np.ndarray, start: int, dtype: str) -> None:
        x = a - b
        self.squares += [np.vdot(x, x), np.vdot(b, b), np.vdot(a, a), np.vdot(b, a)]
        power = np.square(np.maximum(exponents(b), exponents(a)).view(np.float32))
        self.by_rows[start : start + len(b)] += power @ np.ones(power.shape[1], np.float32)
        self.by_columns += np.ones(len(b), np.float32) @ power
        self.changed += int(np.count_nonzero(x))
        largest = max(float(x.max(initial=0)), -float(x.min(initial=0)))
        self.largest = max(self.largest, largest)
        if largest and len(self.steps) < 64:
            flat = x.ravel()
            at = np.flatnonzero(flat[:SAMPLED])
            if not len(at):
                at = np.flatnonzero(flat)[:SAMPLED]
            size = np.maximum(np.abs(b.ravel()[at]), np.abs(a.ravel()[at]))
            self.steps.append(np.abs(flat[at]).astype(np.float64) / spacing(size, dtype))


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
