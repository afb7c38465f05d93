"""Similarity of representations: centred kernel alignment from Gram matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.numerics.resampling import LEVEL, second_order_jackknife

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Kernel = Literal["linear", "rbf"]
NEARLY_ONE = 1 - 1e-12


def gram(x: Float[np.ndarray, "n d"], kernel: Kernel) -> Float[np.ndarray, "n n"]:
    """Inner products of centred rows, or Gaussians of their distances with the median distance as width."""
    x = x - x.mean(axis=0, dtype=np.float64)
    k = x @ x.T
    if kernel == "linear":
        return k
    norms = np.diag(k)
    squared = np.maximum(norms[:, None] + norms - 2 * k, 0)
    width = float(np.median(squared[np.triu_indices(len(k), 1)]))
    return np.exp(-squared / (2 * width if width > 0 else 1.0))


def centred(k: Float[np.ndarray, "n n"], *, debiased: bool) -> Float[np.ndarray, "n n"]:
    """Centre a Gram matrix, so that CKA is the cosine between two of them.

    Parameters
    ----------
    debiased : leave the diagonal out (U-centring), which makes the inner product of two of them an unbiased
        estimate of the Hilbert-Schmidt independence criterion; needs n > 3.

    References
    ----------
    Székely and Rizzo 2014, Partial distance correlation with methods for dissimilarities, Ann. Statist. 42,
    eq. 2.1; Song, Smola, Gretton, Bedo and Borgwardt 2012, JMLR 13, eq. 5.
    """
    n = len(k)
    if not debiased:
        means = k.mean(axis=0)
        return k - means - means[:, None] + means.mean()
    k = k.copy()
    np.fill_diagonal(k, 0)
    sums = k.sum(axis=0)
    k -= sums / (n - 2) + (sums / (n - 2))[:, None] - sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(k, 0)
    return k


def alignment(grams: list[Float[np.ndarray, "n n"]]) -> Float[np.ndarray, "k k"]:
    """Cosines between centred Gram matrices; zero for one that is zero."""
    flat = np.stack([g.ravel() for g in grams])
    inner = flat @ flat.T
    norms = np.sqrt(np.diag(inner))
    return inner / np.where(norms > 0, norms[:, None] * norms, 1)


class LeftOut:
    """Alignments of the rows without each block of rows, and each two blocks, from sums alone: nothing is centred anew.

    Parameters
    ----------
    kernels : Gram matrices (n, n) of the same rows, not centred.
    blocks : codes from 0 of what is left out together.
    debiased : as for `centred`.
    """

    def __init__(
        self, kernels: list[Float[np.ndarray, "n n"]], blocks: Int[np.ndarray, " n"], *, debiased: bool
    ):
        order = np.argsort(blocks, kind="stable")
        self.sizes = np.bincount(blocks)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.debiased = debiased
        self.own = blocks[order]
        self.kernels = []
        for kernel in kernels:
            k = kernel[np.ix_(order, order)]
            if debiased:
                np.fill_diagonal(k, 0)
            self.kernels.append(k)
        # a row's sums over each block (n, g)
        self.sums = [np.add.reduceat(k, self.starts, axis=1) for k in self.kernels]

    def alignments(self) -> tuple[Float[np.ndarray, "g k k"], Float[np.ndarray, "p k k"]]:
        """Cosines without each block, and without each two of them (a < b, as ``np.triu_indices(g, 1)``).

        Zero where a Gram matrix is zero.
        """
        many, g = len(self.kernels), len(self.sizes)
        inner = np.empty((g, g, many, many))
        for i in range(many):
            for j in range(i, many):
                inner[..., i, j] = inner[..., j, i] = self._inner(i, j)
        one, two = inner[np.arange(g), np.arange(g)], inner[np.triu_indices(g, 1)]
        return _cosines(one), _cosines(two)

    def _inner(self, i: int, j: int) -> Float[np.ndarray, "g g"]:
        """Inner product of two centred Gram matrices without two blocks (on the diagonal: one), but for a common factor."""
        a, b = self.kernels[i], self.kernels[j]
        entries = _without(self._by_block(np.add.reduceat(a * b, self.starts, axis=1)))
        whole = _without(self._by_block(self.sums[i])) * _without(self._by_block(self.sums[j]))
        rows = self._rows(self.sums[i], self.sums[j])
        m = len(a) - self.sizes[:, None] - self.sizes
        m[np.diag_indices(len(m))] += self.sizes
        m = m.astype(np.float64)
        if self.debiased:
            return np.asarray(entries + whole / ((m - 1) * (m - 2)) - 2 * rows / (m - 2))
        return np.asarray(entries + whole / m**2 - 2 * rows / m)

    def _by_block(self, by_row: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "g g"]:
        return np.asarray(np.add.reduceat(by_row, self.starts, axis=0))

    def _rows(self, a: Float[np.ndarray, "n g"], b: Float[np.ndarray, "n g"]) -> Float[np.ndarray, "g g"]:
        """Sum over the rows that stay of the product of what each adds up to with the others that stay."""
        of_a, of_b = a.sum(axis=1), b.sum(axis=1)
        one = of_b @ a + of_a @ b
        both = a.T @ b
        # all rows, those that go too: (of_a - a_p - a_q)(of_b - b_p - b_q) summed
        alone = np.diag(both) - one
        every = of_a @ of_b + alone[:, None] + alone + both + both.T
        at = np.arange(len(a))
        kept_a, kept_b = (of_a - a[at, self.own])[:, None], (of_b - b[at, self.own])[:, None]
        gone = self._by_block((kept_a - a) * (kept_b - b))  # rows of p, when q goes too
        out = every - gone - gone.T
        np.fill_diagonal(out, of_a @ of_b + alone - self._by_block(kept_a * kept_b)[:, 0])
        return np.asarray(out)


def _without(blocks: Float[np.ndarray, "g g"]) -> Float[np.ndarray, "g g"]:
    """Sum of a symmetric matrix without two blocks of rows and columns, from its sums by block; on the diagonal, one."""
    one = np.diag(blocks) - 2 * blocks.sum(axis=1)
    out = blocks.sum() + one[:, None] + one + 2 * blocks
    np.fill_diagonal(out, blocks.sum() + one)
    return np.asarray(out)


def _cosines(inner: Float[np.ndarray, "g k k"]) -> Float[np.ndarray, "g k k"]:
    norms = np.sqrt(np.maximum(np.einsum("gii->gi", inner), 0))
    both = norms[:, :, None] * norms[:, None, :]
    return np.divide(inner, both, out=np.zeros_like(inner), where=both > 0).clip(-1, 1)


def jackknife_intervals(
    values: Float[np.ndarray, "k k"],
    left_out: Float[np.ndarray, "g k k"],
    pairs: Float[np.ndarray, "p k k"],
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k k"]]:
    """95 % intervals of cosines from those without each of g blocks, and each two, on Fisher's scale, where they spread evenly.

    References
    ----------
    Efron and Stein 1981, The jackknife estimate of variance, Ann. Statist. 9; Fisher 1921, On the "probable error" of a
    coefficient of correlation deduced from a small sample, Metron 1.
    """
    from scipy.stats import t

    z, one, two = (np.arctanh(np.clip(v, -NEARLY_ONE, NEARLY_ONE)) for v in (values, left_out, pairs))
    error, freedom = second_order_jackknife(z, one, two)
    half = t.ppf(1 - (1 - LEVEL) / 2, freedom) * error
    return np.tanh(z - half), np.tanh(z + half)
