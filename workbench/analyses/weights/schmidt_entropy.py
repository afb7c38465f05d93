"""Schmidt entropy: how much the two parts of a matrix's indices have in common, wherever they are cut in two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.weights._legs import aligned, of_largest_one
from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_scales import OF_ENTRIES, turned_entries
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.cuts import cut_entropies, cut_shapes, random_entropies
from workbench.results.curve import Curve
from workbench.subjects.checkpoint import Matrix

SHUFFLES = 20  # for the band


@analysis
def schmidt_entropy(
    matrix: Matrix,
    *,
    largest_side: Annotated[
        int,
        Interval(ge=4, le=1024),
        Doc("Of a longer side an aligned block of neighbours is taken, at random."),
    ] = 384,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Curve:
    """Say how much a matrix's indices have in common across every cut: Schmidt entropies along the chain of its legs.

    Each side is taken apart into its prime factors, so that 384 is 3 x 2 x 2 ...: the first digit of a row's number says in
    which third it is, the last one tells neighbours apart. Rows' digits come first, then columns'. At each cut of this chain
    the entries are a matrix again, and its squared singular values have an entropy: 0 where the two parts are independent
    factors, the logarithm of the smaller part at most. The cut between rows and columns is that of the matrix itself. A matrix
    that is kept well in a tensor train of these legs has low ones.

    The band is that of the same entries shuffled, and Page's value that of random ones. The test turns the signs of entries,
    which keeps the scales of rows and columns: is the mean entropy lower than that gives? A matrix is one of its kind, and the
    entropies have no interval.

    Returns
    -------
    Curve
        ``y`` (cuts, 2) in nats: the entropy, and Page's value for real entries.

    Raises
    ------
    DataError
        Complex entries, all entries zero, or a side with a prime factor over 64 or without a cut.

    References
    ----------
    Page 1993, Average entropy of a subsystem, Phys. Rev. Lett. 71; Oseledets 2010, Approximation of 2^d x 2^d matrices using
    tensor decomposition, SIAM J. Matrix Anal. Appl. 31; Hong, Sheng and Dobriban 2020, arXiv:2012.02985.
    """
    w, sides = _block(matrix, largest_side, random_state)
    legs = (*sides[0], *sides[1])

    def entropies(values: np.ndarray) -> np.ndarray:
        return cut_entropies(values.ravel(), legs)

    y = np.column_stack([entropies(w), random_entropies(legs)])
    split = len(sides[0]) - 1
    named = tuple(
        "rows | columns" if i == split else f"{n:,} | {m:,}" for i, (n, m) in enumerate(cut_shapes(legs))
    )
    result = Curve(
        x=np.arange(1.0, len(legs)),
        x_names=tuple(f"{i + 1}: {n}" for i, n in enumerate(named)),
        y=y,
        names=("entropy", "Page's value"),
        x_title="cut: entries on its two sides",
        y_title="Schmidt entropy, nats",
        beside="entries shuffled",
        caveat=_caveat(matrix, w, sides, y),
    )
    show_early(result)
    rng = np.random.default_rng([random_state, 0x736875])
    low, high = np.full((2, *y.shape), np.nan)
    shuffled = [entropies(rng.permutation(w.ravel())) for _ in range(min(n_null, SHUFFLES))]
    if shuffled:
        low[:, 0], high[:, 0] = np.quantile(shuffled, (0.025, 0.975), axis=0)
    return replace(
        result,
        null_low=low if shuffled else np.empty((0, 0)),
        null_high=high if shuffled else np.empty((0, 0)),
        evidence=(_against_turned(w, float(y[:, 0].mean()), entropies, n_null, random_state),),
    )


def _against_turned(
    w: np.ndarray,
    value: float,
    entropies: Callable[[np.ndarray], np.ndarray],
    n_null: int,
    random_state: int,
) -> Evidence:
    """Whether the mean entropy is lower than with the signs of entries turned at random."""
    turned = turned_entries(w)
    drawn = draw_until_clear(
        lambda g: np.array([entropies(turned(g)).mean()]),
        np.array([value]),
        ["less"],
        n_null,
        random_state,
        "Schmidt entropy: null",
    )[0]
    return Evidence(
        id="entropy",
        question="Have the parts of the indices less in common than the scales of rows and columns give?",
        label="mean Schmidt entropy over the cuts, in nats",
        value=value,
        n=w.size,
        unit="entries",
        **(
            OF_ENTRIES.said(drawn.tolist(), "less")
            if n_null
            else OF_ENTRIES.refused("no null was drawn", "less")
        ),
    )


def _block(
    matrix: Matrix, largest: int, random_state: int
) -> tuple[np.ndarray, tuple[tuple[int, ...], tuple[int, ...]]]:
    """The matrix, or an aligned block of it, of largest entry 1; and the legs of its sides."""
    if np.iscomplexobj(matrix.values):
        raise DataError(f"{matrix.name} holds complex numbers; entropies of cuts are of real ones.")
    of_rows, of_columns = aligned(matrix.name, matrix.values.shape, largest, random_state)
    w = matrix.values[of_rows.at][:, of_columns.at]
    return of_largest_one(matrix.name, w), (of_rows.legs, of_columns.legs)


def _caveat(matrix: Matrix, w: np.ndarray, sides: tuple[tuple[int, ...], ...], y: np.ndarray) -> str:
    lowest = int((y[:, 0] - y[:, 1]).argmin())
    said = (
        f"Legs of rows {' x '.join(map(str, sides[0]))}, of columns {' x '.join(map(str, sides[1]))}. Farthest below Page's value "
        f"is cut {lowest + 1}: {y[lowest, 0]:.3g} of {y[lowest, 1]:.3g} nats."
    )
    if w.shape != matrix.values.shape:
        said += f" Of an aligned block of {w.shape[0]} x {w.shape[1]} entries of {matrix.values.shape[0]:,} x {matrix.values.shape[1]:,}."
    return said
