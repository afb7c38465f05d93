"""Similarity of representations: centred kernel alignment from Gram matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

Kernel = Literal["linear", "rbf"]


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
