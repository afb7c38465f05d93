"""Similarity of representations: centred kernel alignment from Gram matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.numerics.resampling import LEVEL

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
    """Alignments of the rows without each block of rows in turn, from sums alone: nothing is centred anew.

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
        sizes = np.bincount(blocks)
        self.starts = np.cumsum(sizes) - sizes
        self.spans = [slice(s, s + m) for s, m in zip(self.starts, sizes, strict=True)]
        self.rest = (len(blocks) - sizes).astype(np.float64)
        self.debiased = debiased
        own = blocks[order]
        self.kernels, self.sums = [], []
        for kernel in kernels:
            k = kernel[np.ix_(order, order)]
            if debiased:
                np.fill_diagonal(k, 0)
            of_blocks = np.add.reduceat(k, self.starts, axis=1)
            sums = k.sum(axis=1)[:, None] - of_blocks  # (n, g): a row's sum over the rows that stay
            sums[np.arange(len(k)), own] = 0
            self.kernels.append(k)
            self.sums.append(sums)

    def alignments(self) -> Float[np.ndarray, "g k k"]:
        """Cosines without each block; zero where a Gram matrix is zero."""
        many = len(self.kernels)
        inner = np.empty((len(self.spans), many, many))
        for i in range(many):
            for j in range(i, many):
                inner[:, i, j] = inner[:, j, i] = self._inner(i, j)
        norms = np.sqrt(np.maximum(np.einsum("gii->gi", inner), 0))
        both = norms[:, :, None] * norms[:, None, :]
        return np.divide(inner, both, out=np.zeros_like(inner), where=both > 0).clip(-1, 1)

    def _inner(self, i: int, j: int) -> Float[np.ndarray, " g"]:
        """Inner product of two centred Gram matrices without each block, but for a factor that all have in common."""
        a, b = self.kernels[i], self.kernels[j]
        by_row = np.einsum("ij,ij->i", a, b)
        within = np.array([np.vdot(a[s, s], b[s, s]) for s in self.spans])
        entries = by_row.sum() - 2 * np.add.reduceat(by_row, self.starts) + within
        rows = np.einsum("ng,ng->g", self.sums[i], self.sums[j])
        whole = self.sums[i].sum(axis=0) * self.sums[j].sum(axis=0)
        m = self.rest
        if self.debiased:
            return np.asarray(entries + whole / ((m - 1) * (m - 2)) - 2 * rows / (m - 2))
        return np.asarray(entries + whole / m**2 - 2 * rows / m)


def jackknife_intervals(
    values: Float[np.ndarray, "k k"], left_out: Float[np.ndarray, "g k k"]
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k k"]]:
    """95 % intervals of cosines from those without each of g blocks, on Fisher's scale, where they spread evenly.

    References
    ----------
    Efron and Stein 1981, The jackknife estimate of variance, Ann. Statist. 9; Fisher 1921, On the "probable error" of a
    coefficient of correlation deduced from a small sample, Metron 1.
    """
    from scipy.stats import t

    g = len(left_out)
    z, without = (np.arctanh(np.clip(v, -NEARLY_ONE, NEARLY_ONE)) for v in (values, left_out))
    error = np.sqrt((g - 1) / g * np.square(without - without.mean(axis=0)).sum(axis=0))
    half = t.ppf(1 - (1 - LEVEL) / 2, g - 1) * error
    return np.tanh(z - half), np.tanh(z + half)
