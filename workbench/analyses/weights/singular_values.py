"""Singular values of a weight matrix: how many directions it uses beyond what its entries alone would give."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Alternative, Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_scales import OF_ENTRIES, turned_entries
from workbench.numerics.controls import draw_until_clear, generators
from workbench.numerics.spectra import edge_of_noise, effective_rank, noise_level, spectrum, stable_rank
from workbench.numerics.streamed import LOST, gram_spectrum
from workbench.numerics.threads import in_order
from workbench.results.spectrum import Spectrum
from workbench.subjects.checkpoint import Matrix

WORK = 5e9  # rows x columns x the smaller of them, up to which all singular values are computed, and drawn
NARROW = 1024  # columns, or rows, of a larger matrix whose Gram matrix costs less than a few products with `n_components`
BLOCK = (4096, 1024)  # the longer and the shorter side of what stands for a larger matrix in the control
_QUESTIONS: tuple[tuple[str, str, str, Alternative], ...] = (
    (
        "largest_over_noise",
        "Is one direction stronger than scattered entries give?",
        "largest singular value / edge of noise",
        "greater",
    ),
    (
        "above_noise",
        "Are there directions above the edge of noise?",
        "singular values above the edge of noise",
        "greater",
    ),
    ("stable_rank", "Does the strongest direction hold more of the whole?", "stable rank", "less"),
    ("effective_rank", "Do fewer directions hold the matrix?", "effective rank", "less"),
)


@analysis
def singular_values(
    matrix: Matrix,
    *,
    n_components: Annotated[int, Interval(ge=1, le=100_000), Doc("How many of the largest to keep.")] = 200,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Spectrum:
    """Decompose a weight matrix and compare it with the same entries under random signs.

    Turning the signs of entries keeps each one's size where it is, and so the scales of all rows and columns, and destroys
    every direction that entries share. Entries of one scale follow the law of Marchenko and Pastur then, whose upper edge
    is σ(√n + √m); here it is the 95 % point of the largest singular value (Tracy and Widom). σ is read off the median
    singular value, so that a strong direction doesn't hide weaker ones (Gavish and Donoho), and each drawn matrix is
    measured by its own. Rows or columns of different scale lift singular values over that edge without any direction: what
    is above it is a finding where the drawn matrices have less. The stable rank (squared Frobenius norm over squared
    largest singular value) and the effective rank (exponential of the entropy of the singular values' shares) say in how
    many directions it spreads. No interval is given, since a matrix's rows aren't drawn from others like them.

    A matrix that would take minutes is represented in the control by a random block of at most 4096 x 1024
    entries, and only its ``n_components`` largest singular values are kept: from its Gram matrix, in double precision, where
    its shorter side is at most 1024, else randomised.

    Returns
    -------
    Spectrum
        ``values`` (min(n, m, n_components),) descending, with the band of the drawn matrices, of which there are fewer
        than ``n_null`` where the answers were clear before (left out where a block stands for the whole).

    Raises
    ------
    DataError
        All entries are zero, or the matrix has one row or column.

    References
    ----------
    Marchenko and Pastur 1967, Math. USSR Sbornik 1; Johnstone 2001, On the distribution of the largest
    eigenvalue in principal components analysis, Ann. Statist. 29; Gavish and Donoho 2014, The optimal hard
    threshold for singular values is 4/√3, IEEE Trans. Inf. Theory 60; Martin and Mahoney 2021, Implicit
    self-regularization in deep neural networks, JMLR 22; Roy and Vetterli 2007, The effective rank, EUSIPCO; Hong, Sheng and
    Dobriban 2020, Selecting the number of components in PCA via random signflips, arXiv:2012.02985.
    """
    w = matrix.values
    if min(w.shape) < 2:
        raise DataError(
            f"{matrix.name} has the shape {w.shape}: a spectrum takes at least two rows and two columns."
        )
    scale = float(np.abs(w).max())
    if scale == 0:
        raise DataError(f"All entries of {matrix.name} are zero: there is no direction in it.")
    whole = w.size * min(w.shape) <= WORK
    rng = np.random.default_rng([random_state, 0x73766C])
    of_complex = np.iscomplexobj(w)
    block = (w if whole else _block(w, rng)).astype(np.complex128 if of_complex else np.float64) / scale
    s = _all_values(block)
    found = s if whole else _largest(w, n_components, random_state) / scale
    k = min(n_components, len(found))
    result = Spectrum(values=found[:k] * scale, quantity="singular value", index="rank")
    show_early(result)
    statistics = _statistics(s, block.shape, of_complex)
    null, spectra = _drawn(block, statistics, n_null, random_state)
    low, high = (
        np.quantile(spectra, [0.025, 0.975], axis=0) * scale
        if n_null and whole
        else (np.empty(0), np.empty(0))
    )
    return replace(
        result,
        null_low=low[:k],
        null_high=high[:k],
        evidence=_evidence(statistics, null, len(block)),
        caveat=_caveat(
            found,
            _edge(found, noise_level(s, block.shape), w.shape, of_complex),
            w.shape,
            block.shape,
            matrix.noise,
            float(np.quantile([d[0] for d in spectra], 0.95)) if n_null and whole else None,
        ),
    )


def _all_values(block: np.ndarray) -> np.ndarray:
    s = spectrum(block)
    if s[-1] < LOST * s[0]:  # where a Gram matrix holds nothing but rounding
        return np.linalg.svd(block, compute_uv=False)
    return s


def _drawn(
    block: np.ndarray, statistics: np.ndarray, n_null: int, random_state: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The answers to `_QUESTIONS` with entries' signs turned, and the spectra that they are of."""
    spectra: list[np.ndarray] = []
    turned = turned_entries(block)
    alternatives = [alternative for *_, alternative in _QUESTIONS]
    seeds = generators(n_null, random_state)
    with closing(in_order(lambda rng: spectrum(turned(rng), fast=True), seeds)) as drawn:

        def draw(_: np.random.Generator) -> np.ndarray:
            spectra.append(next(drawn))
            return _statistics(spectra[-1], block.shape, np.iscomplexobj(block))

        null = draw_until_clear(draw, statistics, alternatives, n_null, random_state, "singular values: null")
    return null, spectra


def _evidence(statistics: np.ndarray, null: list[np.ndarray], rows: int) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            id=id,
            question=question,
            label=label,
            value=statistics[i],
            n=rows,
            **OF_ENTRIES.said(null[i].tolist(), alternative),
        )
        for i, (id, question, label, alternative) in enumerate(_QUESTIONS)
    )


def _statistics(s: np.ndarray, shape: tuple[int, ...], of_complex: bool) -> np.ndarray:
    """The answers to `_QUESTIONS`, in order."""
    if s[0] == 0:
        return np.zeros(len(_QUESTIONS))
    edge = _edge(s, noise_level(s, shape), shape, of_complex)
    return np.array([s[0] / edge, (s > edge).sum(), stable_rank(s), effective_rank(s)])


def _edge(s: np.ndarray, level: float, shape: tuple[int, ...], of_complex: bool) -> float:
    """The edge of noise, or of rounding in weights of single precision where there is no noise."""
    rounding = float(np.finfo(np.float32).eps * np.sqrt(max(shape)) * s[0])
    return max(edge_of_noise(level, shape, of_complex=of_complex), rounding)


def _block(w: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows and columns drawn at random, as many as `BLOCK` says."""
    most = BLOCK if w.shape[0] >= w.shape[1] else BLOCK[::-1]
    rows, columns = (
        np.sort(rng.choice(n, min(n, m), replace=False)) for n, m in zip(w.shape, most, strict=True)
    )
    return w[np.ix_(rows, columns)]


def _largest(w: np.ndarray, k: int, random_state: int) -> np.ndarray:
    if np.iscomplexobj(w):  # which the randomised decomposition doesn't take
        from scipy.sparse.linalg import svds

        s = svds(w, min(k, min(w.shape) - 1), return_singular_vectors=False, rng=random_state)
        return np.sort(s)[::-1].astype(np.float64)
    if min(w.shape) <= NARROW:
        long = w if w.shape[0] >= w.shape[1] else w.T
        gram = np.zeros((long.shape[1],) * 2)
        for start in range(
            0, len(long), BLOCK[0]
        ):  # `streamed.measure` adds up much else, and takes three times as long
            block = long[start : start + BLOCK[0]].astype(np.float64)
            gram += block.T @ block
        return gram_spectrum(gram)[:k]
    from sklearn.utils.extmath import randomized_svd

    return randomized_svd(w.astype(np.float32), min(k, *w.shape), random_state=random_state)[1].astype(
        np.float64
    )


def _caveat(
    found: np.ndarray,
    edge: float,
    shape: tuple[int, ...],
    block: tuple[int, ...],
    noise: str,
    turned: float | None,
) -> str:
    above = int((found > edge).sum())
    said = f"{above} of {min(shape):,} singular values lie above the edge of noise"
    if turned is not None:
        said += f" of one scale, {int((found > turned).sum())} above what turned signs give 95 times in 100"
    said += "."
    if shape != block:
        said += (
            f" The {len(found)} largest were computed; the control is that of a random block of "
            f"{block[0]:,} x {block[1]:,} entries."
        )
    if noise:
        said += f" The matrix is stored in {noise}."
    return said
