"""Centred kernel alignment: which layers say the same, whatever their axes."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.resampling import NORMAL, null_draws
from workbench.numerics.similarity import Kernel, alignment, centred, gram
from workbench.results.matrix import MatrixResult
from workbench.subjects.activations import Aligned


@analysis(title="Centred kernel alignment")
def cka(
    aligned: Aligned,
    *,
    kernel: Annotated[
        Kernel, Doc("What makes two rows similar: their inner product, or a Gaussian of their distance.")
    ] = "linear",
    debiased: Annotated[
        bool,
        Doc("Leave each row's similarity to itself out; without it, few rows in many dimensions look alike."),
    ] = True,
    max_rows: Annotated[
        int, Interval(ge=8, le=5000), Doc("Rows drawn where there are more; memory grows with the square.")
    ] = 1000,
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 50,
    random_state: Seed = 0,
) -> MatrixResult:
    """Compare every two layers by which rows each holds to be similar.

    1 is the same up to rotation and scale, 0 is nothing in common. The evidence asks it of each layer and the
    next, and of the first and the last, against rows permuted in one of them; the interval comes from
    subsamples of half the rows.

    Returns
    -------
    MatrixResult
        ``values`` (k, k) with ones on the diagonal, ``low`` and ``high`` their intervals. Debiased values
        of unrelated layers scatter around 0 and may be negative.

    Raises
    ------
    DataError
        Fewer than 8 rows, or a layer in which all rows are equal.

    References
    ----------
    Kornblith, Norouzi, Lee and Hinton 2019, Similarity of neural network representations revisited, ICML;
    Nguyen, Raghu and Kornblith 2021, Do wide and deep networks learn the same things?, ICLR (debiased).
    """
    names, n = list(aligned.arrays), len(aligned.ids)
    if n < 8:
        raise DataError(f"{aligned.name} has {n} rows; comparing layers takes at least 8. Give more rows.")
    rng = np.random.default_rng([random_state, 0x636B61])
    at = np.arange(n) if n <= max_rows else np.sort(rng.choice(n, max_rows, replace=False))
    kernels = []
    for name, values in aligned.arrays.items():
        rows = values[at].astype(np.float64)
        if not np.ptp(rows, axis=0).any():
            raise DataError(
                f"All rows of {aligned.name} at {name} are equal: there is nothing to compare. Leave that layer out."
            )
        kernels.append(gram(rows / np.abs(rows).max(), kernel))
    grams = [centred(k, debiased=debiased) for k in kernels]
    values = alignment(grams)
    low, high = _intervals(kernels, values, debiased, n_boot, rng)
    asked = dict.fromkeys([*pairwise(range(len(names))), (0, len(names) - 1)])
    return MatrixResult(
        values=values,
        low=low,
        high=high,
        row_names=tuple(names),
        column_names=tuple(names),
        quantity="CKA",
        evidence=tuple(
            Evidence(
                id="cka",
                of=f"{names[i]} and {names[j]}",
                question=f"Do {names[i]} and {names[j]} hold the same rows to be similar?",
                label=f"CKA of {names[i]} and {names[j]}",
                value=values[i, j],
                n=len(at),
                interval=(float(low[i, j]), float(high[i, j])) if n_boot > 1 else None,
                interval_method="subsamples of half the rows",
                null="rows permuted" if n_null else "",
                hypothesis="which rows one layer holds to be similar says nothing of the other",
                null_values=tuple(_permuted(grams[i], grams[j], n_null, random_state)),
            )
            for i, j in asked
        ),
    )


def _permuted(a: np.ndarray, b: np.ndarray, n_null: int, random_state: int) -> np.ndarray:
    """CKA with one layer's rows permuted; permuting leaves the norms as they are."""
    norm = np.sqrt((a * a).sum() * (b * b).sum())

    def draw(rng: np.random.Generator) -> float:
        p = rng.permutation(len(a))
        return float((a * b[np.ix_(p, p)]).sum() / (norm if norm > 0 else 1))

    return null_draws(draw, n_null, random_state, "cka: null")


def _intervals(
    kernels: list[np.ndarray], values: np.ndarray, debiased: bool, n_boot: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals of all cells from the same subsamples; see `resampling.subsample_interval`."""
    if n_boot < 2:
        return np.empty((0, 0)), np.empty((0, 0))
    n = len(kernels[0])
    m = n // 2
    draws = np.empty((n_boot, *values.shape))
    for i in range(n_boot):
        at = np.sort(rng.choice(n, m, replace=False))
        draws[i] = alignment([centred(k[np.ix_(at, at)], debiased=debiased) for k in kernels])
    half = NORMAL * draws.std(axis=0, ddof=1) * np.sqrt(m / (n - m))
    return np.clip(values - half, -1, 1), np.clip(values + half, -1, 1)
