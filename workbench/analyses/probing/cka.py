"""Centred kernel alignment: which layers say the same, whatever their axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.independent_given_groups import exchange, null_of
from workbench.evidence.nulls.sampling import about, details, sampled, too_few
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.exchangeable import Sample, fewer
from workbench.numerics.similarity import Kernel, LeftOut, alignment, centred, gram, jackknife_intervals
from workbench.numerics.unit_rows import SideBySide, UnitRows
from workbench.results.matrix import MatrixResult
from workbench.subjects.activations import Aligned

FEWEST = 8
CONTROL_ROWS = 500
BLOCKS = (
    50  # that are left out in turn, and two by two, at most; more texts, or rows, are put together at random
)
ROUNDED = 1e-6  # what single precision may take from a draw, so that what ties isn't less


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
    n_null: NullDraws = 399,
    random_state: Seed = 0,
) -> MatrixResult:
    """Compare every two layers by which rows each holds to be similar.

    1 is the same up to rotation and scale, 0 is nothing in common. The evidence asks it of each layer and the next, and of
    the first and the last, against rows, or whole texts, permuted in one of them. Where the table says which token a row
    is, one row of each is compared: rows of one token are similar in every layer that knows the token. The interval
    leaves out each text in turn and every two (or 50 parts of the rows), on Fisher's scale.

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
    names, n = list(aligned.arrays), aligned.n
    if n < FEWEST:
        raise DataError(
            f"{aligned.name} has {n} rows; comparing layers takes at least {FEWEST}. Give more rows."
        )
    layers = SideBySide([_scaled(aligned, name) for name in names])
    some = _rows(aligned, layers, max_rows, random_state)
    kernels = [gram(rows[some.at], kernel) for rows in layers.arrays]
    grams = [centred(k, debiased=debiased) for k in kernels]
    values = alignment(grams)
    result = MatrixResult(
        values=values,
        row_names=tuple(names),
        column_names=tuple(names),
        quantity="CKA",
        caveat=f"One row of each token or repeat was compared, {len(some.at):,} in all."
        if some.thinned
        else "",
    )
    show_early(result)
    low, high = _intervals(kernels, values, some, debiased, random_state)
    asked = list(dict.fromkeys([*pairwise(range(len(names))), (0, len(names) - 1)]))
    null, why = null_of(aligned, some), too_few(aligned, some)
    control = fewer(some, CONTROL_ROWS, random_state)
    drawn = (
        [np.empty(0)] * len(asked)
        if why
        else _drawn(kernels, values, asked, some, control, debiased, n_null, random_state)
    )
    shared: dict[str, Any] = about(aligned, layers[some.at], some)
    return replace(
        result,
        low=low,
        high=high,
        evidence=tuple(
            Evidence(
                id="cka",
                of=f"{names[i]} and {names[j]}",
                question=f"Do {names[i]} and {names[j]} hold the same rows to be similar?",
                label=f"CKA of {names[i]} and {names[j]}",
                value=values[i, j],
                n=len(some.at),
                interval=(float(low[i, j]), float(high[i, j])) if len(low) else None,
                interval_method=f"jackknife over {aligned.unit if some.groups is not None else 'rows'}, on Fisher's scale",
                **shared,
                **(
                    null.refused(why)
                    if n_null and why
                    else null.said(draws.tolist(), details=details(aligned, control))
                ),
            )
            for (i, j), draws in zip(asked, drawn, strict=True)
        ),
    )


def _scaled(aligned: Aligned, name: str) -> UnitRows:
    """A layer's rows, so scaled that no layer outweighs another and nothing overflows."""
    rows = UnitRows(aligned.arrays[name])
    if rows.flat:
        raise DataError(
            f"All rows of {aligned.name} at {name} are equal: there is nothing to compare. Leave that layer out."
        )
    return rows


def _rows(aligned: Aligned, layers: SideBySide, max_rows: int, random_state: int) -> Sample:
    """The rows that are compared: those that repeat another in all layers left out, unless too few would be left."""
    some = sampled(aligned, layers, rows=max_rows, random_state=random_state)
    if len(some.at) < FEWEST:
        some = sampled(aligned, None, rows=max_rows, random_state=random_state, kinds=False)
    return some


def _drawn(
    kernels: list[np.ndarray],
    values: np.ndarray,
    asked: list[tuple[int, int]],
    some: Sample,
    control: Sample,
    debiased: bool,
    n_null: int,
    random_state: int,
) -> list[np.ndarray]:
    """Draws of the alignments that are asked for, shifted by what the control's fewer rows change in the value."""
    of_all = np.array([values[i, j] for i, j in asked])
    if len(control.at) < len(some.at):
        at = np.searchsorted(some.at, control.at)
        kernels = [k[np.ix_(at, at)] for k in kernels]
    grams = [centred(k, debiased=debiased) for k in kernels]
    near = alignment(grams)
    own = np.array([near[i, j] for i, j in asked])
    draw = _exchanged(kernels, grams, asked, control, debiased)
    draws = draw_until_clear(
        draw, own, ["greater"] * len(asked), n_null, random_state, "cka: null", apart=True
    )
    return [d + (value - part) for d, value, part in zip(draws, of_all, own, strict=True)]


def _exchanged(
    kernels: list[np.ndarray],
    grams: list[np.ndarray],
    asked: list[tuple[int, int]],
    some: Sample,
    debiased: bool,
) -> Callable[[np.random.Generator], np.ndarray]:
    """Return what draws the alignments that are asked for with rows, or whole texts, of the second layer permuted."""
    exchanging = exchange(some)
    whole = some.groups is None or len(set(np.bincount(some.groups))) == 1
    second = {j: (grams if whole else kernels)[j].astype(np.float32) for _, j in asked}
    first = {i: grams[i].astype(np.float32) for i, _ in asked}
    norms = [np.linalg.norm(g) for g in grams]

    def draw(rng: np.random.Generator) -> np.ndarray:
        p = exchanging(rng)
        moved, size = {}, dict(enumerate(norms))
        for j, k in second.items():
            moved[j] = k.take(p, axis=0).take(p, axis=1)
            if not whole:  # rows of longer texts come twice: no permutation
                moved[j] = centred(moved[j], debiased=debiased)
                size[j] = np.linalg.norm(moved[j])
        inner = np.array([np.vdot(first[i], moved[j]) for i, j in asked])
        both = np.array([norms[i] * size[j] for i, j in asked])
        return np.asarray(np.divide(inner, both, out=np.zeros(len(asked)), where=both > 0) + ROUNDED)

    return draw


def _intervals(
    kernels: list[np.ndarray], values: np.ndarray, some: Sample, debiased: bool, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals of all cells; empty where too few texts are there to tell."""
    if not some.testable:
        return np.empty((0, 0)), np.empty((0, 0))
    units = some.units
    together = np.random.default_rng([random_state, 0x636B61]).permutation(units) % min(units, BLOCKS)
    blocks = together if some.groups is None else together[some.groups]
    return jackknife_intervals(values, *LeftOut(kernels, blocks, debiased=debiased).alignments())
