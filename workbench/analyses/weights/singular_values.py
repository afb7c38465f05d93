"""Singular values of a weight matrix: how many directions it uses beyond what its entries alone would give."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.core.results import Spectrum
from workbench.core.views import Matrix
from workbench.numerics.resampling import null_draws, subsample_intervals


@analysis
def singular_values(
    matrix: Matrix, *,
    n_components: Annotated[int, Interval(ge=1, le=100_000), Doc("How many of the largest to keep; at most what there are.")] = 200,
    n_null: NullDraws = 19,
    n_boot: BootstrapDraws = 30,
    random_state: Seed = 0,
) -> Spectrum:  # fmt: skip
    """Decompose a weight matrix and compare it with the same entries in random places.

    Permuting the entries keeps their distribution and destroys every direction that they share; what remains
    follows the law of Marchenko and Pastur, whose upper edge is σ(√n + √m). Singular values above it are
    structure. The stable rank (squared Frobenius norm over squared largest singular value) and the effective
    rank (exponential of the entropy of the singular values' shares) say in how many directions it spreads.

    Returns
    -------
    Spectrum
        ``values`` (min(n, m, n_components),) descending, with the band of the permuted matrices.

    Raises
    ------
    DataError
        All entries are zero, or the matrix has one row or column.

    References
    ----------
    Marchenko and Pastur 1967, Math. USSR Sbornik 1; Martin and Mahoney 2021, Implicit self-regularization in
    deep neural networks, JMLR 22; Roy and Vetterli 2007, The effective rank, EUSIPCO.
    """
    w = matrix.values.astype(np.float64)
    if min(w.shape) < 2:
        raise DataError(f"{matrix.name} has the shape {w.shape}: a spectrum takes at least two rows and two columns.")
    scale = np.abs(w).max()
    if scale == 0:
        raise DataError(f"All entries of {matrix.name} are zero: there is no direction in it.")
    s = spectrum(w / scale)
    null = null_draws(lambda rng: spectrum(rng.permuted(w.ravel()).reshape(w.shape) / scale), n_null, random_state, "singular values: null")
    k = min(n_components, len(s))
    edge = np.quantile(null[:, 0], 0.95) if n_null else w.std() / scale * (np.sqrt(w.shape[0]) + np.sqrt(w.shape[1]))
    asked = (
        ("Is one direction stronger than scattered entries would give?", "largest singular value", "greater"),
        ("Does the strongest direction hold more of the whole?", "stable rank", "less"),
        ("Do fewer directions hold the matrix?", "effective rank", "less"),
    )
    values = summary(s) * [scale, 1, 1]
    intervals = subsample_intervals(
        lambda i: summary(spectrum(w[i] / scale)) * [scale, 1, 1], values, len(w), n_boot, random_state, least=0
    )
    drawn = np.array([summary(d) * [scale, 1, 1] for d in null]).reshape(n_null, 3)
    evidence = tuple(
        Evidence(
            question=question, statistic=name, value=values[i], n=len(w), interval=intervals[i],
            interval_method="subsamples of half the rows", null="entries permuted" if n_null else "",
            null_values=tuple(drawn[:, i]), alternative=alternative,
        )
        for i, (question, name, alternative) in enumerate(asked)
    )  # fmt: skip
    low, high = np.quantile(null, [0.025, 0.975], axis=0) * scale if n_null else (np.empty(0), np.empty(0))
    return Spectrum(
        values=s[:k] * scale, null_low=low[:k], null_high=high[:k], quantity="singular value", index="rank", evidence=evidence,
        caveat=f"{int((s > edge).sum())} of {len(s)} singular values lie above what scattered entries reach.",
    )  # fmt: skip


def spectrum(w: np.ndarray) -> np.ndarray:
    """Singular values, descending."""
    return np.linalg.svd(w, compute_uv=False)


def stable_rank(s: np.ndarray) -> float:
    """Squared Frobenius norm over squared largest singular value, from 1 to the rank."""
    return float((s**2).sum() / s[0] ** 2) if s[0] > 0 else 0.0


def effective_rank(s: np.ndarray) -> float:
    """Exponential of the entropy of the singular values' shares, from 1 to the rank."""
    p = s[s > 0] / s.sum() if s.sum() > 0 else np.ones(1)
    return float(np.exp(-(p * np.log(p)).sum()))


def summary(s: np.ndarray) -> np.ndarray:
    """Largest singular value, stable rank and effective rank, (3,)."""
    return np.array([s[0], stable_rank(s), effective_rank(s)])
