"""Circuits of attention heads, from their thin factors: the products of width x width are never formed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

ROUNDING = 1e-12  # of the largest, below which an eigenvalue is none


@dataclass(frozen=True)
class Circuits:
    """Singular value decompositions of the circuits of n heads of one layer, ``left @ diag(values) @ right.T`` each.

    Attributes
    ----------
    left, right : (n, d, r) orthonormal columns. values : (n, r) descending.
    trace : (n, d) the diagonal, whose sum is the trace.
    eigenvalues : (n, h) complex, those that can differ from zero.
    """

    left: Float[np.ndarray, "n d r"]
    values: Float[np.ndarray, "n r"]
    right: Float[np.ndarray, "n d r"]
    trace: Float[np.ndarray, "n d"]
    eigenvalues: Float[np.ndarray, "n h"]

    @property
    def norms(self) -> Float[np.ndarray, " n"]:
        """Frobenius norms."""
        return np.sqrt(np.square(self.values).sum(axis=1))

    @property
    def stable_ranks(self) -> Float[np.ndarray, " n"]:
        """Squared Frobenius norm over squared largest singular value; 0 of a circuit of zeros."""
        largest = np.square(self.values[:, 0])
        return np.divide(np.square(self.norms), largest, out=np.zeros_like(largest), where=largest > 0)

    @property
    def positive(self) -> Float[np.ndarray, " n"]:
        """Sum of the eigenvalues over the sum of their sizes: 1 where all are positive, -1 where all are negative.

        References
        ----------
        Elhage and others 2021, A mathematical framework for transformer circuits.
        """
        sizes = np.abs(self.eigenvalues)
        kept = sizes > ROUNDING * sizes.max(axis=1, keepdims=True)
        whole = (sizes * kept).sum(axis=1)
        sums = (self.eigenvalues.real * kept).sum(axis=1)
        return np.divide(sums, whole, out=np.zeros_like(sums), where=whole > 0)


def circuits(left: Float[np.ndarray, "n d h"], right: Float[np.ndarray, "n d h"]) -> Circuits:
    """Decompose ``left @ right.T`` of each head by a QR decomposition of both factors and a core of h x h.

    The eigenvalues that aren't zero are those of ``right.T @ left`` (h x h).
    """
    left, right = left.astype(np.float64), right.astype(np.float64)
    q_left, r_left = np.linalg.qr(left)
    q_right, r_right = np.linalg.qr(right)
    u, s, v = np.linalg.svd(r_left @ r_right.mT)
    k = s.shape[1]
    return Circuits(
        q_left @ u[:, :, :k],
        s,
        q_right @ v.mT[:, :, :k],
        np.einsum("ndh,ndh->nd", left, right),
        np.linalg.eigvals(right.mT @ left),
    )


def overlaps(
    reads: Float[np.ndarray, "b d r"], writes: Float[np.ndarray, "a d s"]
) -> Float[np.ndarray, "b a"]:
    """Squared Frobenius norm of ``reads[i].T @ writes[j]``: what each of b readers takes up of each of a writers."""
    b, d, r = reads.shape
    a, _, s = writes.shape
    product = reads.transpose(0, 2, 1).reshape(b * r, d) @ writes.transpose(1, 0, 2).reshape(d, a * s)
    return np.square(product, out=product).reshape(b, r, a, s).sum(axis=(1, 3), dtype=np.float64)


def by_scale(
    reads: Float[np.ndarray, "b d r"], writes: Float[np.ndarray, "a d s"]
) -> Float[np.ndarray, "b a"]:
    """The mean of `overlaps` over all signs of the d coordinates: what their scales alone give, in closed form."""
    energies = [np.square(x, dtype=np.float64).sum(axis=2) for x in (reads, writes)]
    return np.asarray(energies[0] @ energies[1].T)
