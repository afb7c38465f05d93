"""Singular values, the level of noise in them, and in how many directions they spread."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

TRACY_WIDOM_95 = 0.9793  # 95 % point of the Tracy-Widom law for real matrices (Johnstone 2001, table 2)
TRACY_WIDOM_95_COMPLEX = -0.2325  # and for complex ones (Bejan 2005, table 2)


def spectrum(w: Float[np.ndarray, "n m"], *, fast: bool = False) -> Float[np.ndarray, " k"]:
    """Singular values, descending, (min(n, m),) float64.

    A matrix more than twice as long as wide (any, where it is to be ``fast``) goes through the eigenvalues of its smaller
    Gram matrix, where values below 1e-8 of the largest are lost in rounding.
    """
    n, m = w.shape
    if max(n, m) < 2 * min(n, m) and not fast:
        return np.linalg.svd(w, compute_uv=False)
    gram = w.conj().T @ w if n > m else w @ w.conj().T
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0))


def noise_level(s: Float[np.ndarray, " k"], shape: tuple[int, ...]) -> float:
    """Standard deviation of the entries behind the bulk of the singular values, from their median.

    References
    ----------
    Gavish and Donoho 2014, The optimal hard threshold for singular values is 4/√3, IEEE Trans. Inf. Theory
    60, section III-E.
    """
    return float(np.median(s) / np.sqrt(max(shape) * _median_of_bulk(min(shape) / max(shape))))


def edge_of_noise(level: float, shape: tuple[int, ...], *, of_complex: bool = False) -> float:
    """The singular value that noise of standard deviation ``level`` stays under 95 times in 100.

    Parameters
    ----------
    of_complex : whether the noise is complex, with half the variance in each part.

    References
    ----------
    Johnstone 2001, On the distribution of the largest eigenvalue in principal components analysis, Ann.
    Statist. 29.
    """
    a, b = np.sqrt(max(shape) - (not of_complex)), np.sqrt(min(shape))
    point = TRACY_WIDOM_95_COMPLEX if of_complex else TRACY_WIDOM_95
    return float(level * np.sqrt((a + b) ** 2 + point * (a + b) * (1 / a + 1 / b) ** (1 / 3)))


@lru_cache(maxsize=64)
def _median_of_bulk(ratio: float) -> float:
    """Median of the Marchenko-Pastur law for an aspect ratio in (0, 1]."""
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    angle = np.linspace(0, np.pi, 4001)  # x = middle - half cos(angle) takes the roots at both ends away
    x = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    density = np.sin(angle) ** 2 / np.maximum(x, np.finfo(float).tiny)
    if ratio == 1:
        density[0] = 2 * density[1] - density[2]
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return float(np.interp(mass[-1] / 2, mass, x))


def stable_rank(s: Float[np.ndarray, " k"]) -> float:
    """Squared Frobenius norm over squared largest singular value, from 1 to the rank."""
    return float((s**2).sum() / s[0] ** 2) if s[0] > 0 else 0.0


def effective_rank(s: Float[np.ndarray, " k"]) -> float:
    """Exponential of the entropy of the singular values' shares, from 1 to the rank."""
    p = s[s > 0] / s.sum() if s.sum() > 0 else np.ones(1)
    return float(np.exp(-(p * np.log(p)).sum()))


def gram_rank(gram: Float[np.ndarray, "*b n n"], measure: str) -> Float[np.ndarray, "*b"]:
    """In how many directions rows spread, from the inner products between them; 0 where all are 0.

    Parameters
    ----------
    measure : "effective_rank", the exponential of the entropy of the singular values' shares (Roy and Vetterli 2007), or
        "participation_ratio", the squared sum of their squares over the sum of their fourth powers (as many directions
        of equal strength would have it).
    """
    if measure == "participation_ratio":
        total, square = np.trace(gram, axis1=-2, axis2=-1), np.square(gram).sum(axis=(-2, -1))
        return np.divide(total**2, square, out=np.zeros_like(total), where=square > 0)
    values = np.linalg.eigvalsh(gram)
    s = np.sqrt(
        np.where(values > values.max(axis=-1, keepdims=True) * 1e-14, values, 0)
    )  # the rest is rounding
    total = s.sum(axis=-1, keepdims=True)
    p = np.divide(s, total, out=np.zeros_like(s), where=total > 0)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)
    return np.where(total[..., 0] > 0, np.exp(entropy), 0.0)


def row_rank(rows: Float[np.ndarray, "n d"], measure: str) -> float:
    """In how many directions rows spread about their mean; see `gram_rank`."""
    x = rows - rows.mean(axis=0)
    return float(gram_rank(x.T @ x if x.shape[0] > x.shape[1] else x @ x.T, measure))


def fewer_columns(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
    """Rows with the same inner products between them, in at most as many columns as there are rows."""
    if rows.shape[1] <= rows.shape[0]:
        return rows
    values, vectors = np.linalg.eigh(rows @ rows.T)
    return vectors * np.sqrt(np.maximum(values, 0))
