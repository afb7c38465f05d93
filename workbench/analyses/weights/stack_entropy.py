"""Stack entropy: how much layers, rows and columns of stacked matrices have in common, wherever the chain of them is cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.weights._legs import aligned, of_largest_one
from workbench.analyses.weights.tensor_decomposition import SHUFFLED, SIGNED, shuffled, signed
from workbench.core.early import show_early
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.cuts import cut_entropies, cut_shapes, random_entropies
from workbench.results.curve import Curve
from workbench.subjects.stack import Stack

BAND = 20  # draws for the band
WHOLE = (
    "entropy",
    "Have the parts less in common than the same entries in any order?",
    "mean Schmidt entropy over the cuts, in nats",
)
LAYERS = (
    "layers_share",
    "Do layers share more than their own spectra and scales give?",
    "Schmidt entropy between the layers and all else, in nats",
)


@analysis
def stack_entropy(
    stack: Stack,
    *,
    largest_side: Annotated[
        int,
        Interval(ge=4, le=512),
        Doc(
            "Of more rows or columns an aligned block of neighbours is taken, at random, the same one in each layer."
        ),
    ] = 128,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Curve:
    """Say how much the parts of stacked matrices have in common across every cut: layers, then digits of rows, then of columns.

    The stack (layers, rows, columns) is a chain of legs: the layers, and rows and columns each taken apart into prime factors, as
    `schmidt_entropy` does with one matrix. At each cut the entries are a matrix whose squared singular values have an entropy: 0
    where both parts are independent factors, the logarithm of the smaller part at most. Across the first cut, layers and all
    else, it is 0 for layers that are multiples of one matrix, and the logarithm of their number for layers of one norm that have
    nothing in common.

    Two questions are asked. Is the mean entropy of the cuts lower than with each layer's entries shuffled? And is that between the
    layers and all else lower than with the signs of each layer's rows and columns turned at random, which keeps each layer's
    spectrum and the size of every entry? Layers whose norms differ have a low entropy there, in the draws as well.

    Returns
    -------
    Curve
        ``y`` (cuts, 2) in nats: the entropy, and Page's value for real entries; with the band of shuffled entries.

    Raises
    ------
    DataError
        An entry isn't finite, all are zero, or a side has a prime factor over 64 or no factor.

    References
    ----------
    Page 1993, Average entropy of a subsystem, Phys. Rev. Lett. 71; Oseledets 2011, Tensor-train decomposition, SIAM J. Sci.
    Comput. 33, for the chain.
    """
    sides = aligned(stack.name, stack.shape, largest_side, random_state)
    rows, columns = (np.arange(side.at.start, side.at.stop) for side in sides)
    x = of_largest_one(stack.name, stack.block(rows, columns))
    legs = (len(x), *sides[0].legs, *sides[1].legs)

    def entropies(tensor: np.ndarray) -> np.ndarray:
        return cut_entropies(tensor.ravel(), legs)

    y = np.column_stack([entropies(x), random_entropies(legs)])
    named = {0: "layers | all else", len(sides[0].legs): "layers and rows | columns"}
    result = Curve(
        x=np.arange(1.0, len(legs)),
        x_names=tuple(
            f"{i + 1}: {named.get(i, f'{n:,} | {m:,}')}" for i, (n, m) in enumerate(cut_shapes(legs))
        ),
        y=y,
        names=("entropy", "Page's value"),
        x_title="cut: entries on its two sides",
        y_title="Schmidt entropy, nats",
        beside="each layer's entries shuffled",
        caveat=_caveat(stack, x, legs, y),
    )
    show_early(result)
    curves: list[np.ndarray] = []

    def of_shuffled(rng: np.random.Generator) -> np.ndarray:
        curves.append(entropies(shuffled(x, rng)))
        return np.array([curves[-1].mean()])

    def of_signed(rng: np.random.Generator) -> np.ndarray:
        return cut_entropies(signed(x, rng).ravel(), (legs[0], x[0].size))

    given = x.size, n_null, random_state
    answers = (
        _asked(WHOLE, float(y[:, 0].mean()), SHUFFLED, of_shuffled, *given),
        _asked(LAYERS, float(y[0, 0]), SIGNED, of_signed, *given),
    )
    low, high = _band(curves, y.shape)
    return replace(result, null_low=low, null_high=high, evidence=answers)


def _asked(
    what: tuple[str, str, str],
    value: float,
    null: Null,
    draw: Callable[[np.random.Generator], np.ndarray],
    n: int,
    n_null: int,
    random_state: int,
) -> Evidence:
    """Whether an entropy (its id, question and label) is lower than it is under a null."""
    id, question, label = what
    said = null.refused("no null was drawn", "less")
    if n_null:
        values = np.array([value])
        drawn = draw_until_clear(draw, values, ["less"], n_null, random_state, "stack entropy: null")
        said = null.said(drawn[0].tolist(), "less")
    return Evidence(id=id, question=question, label=label, value=value, n=n, unit="entries", **said)


def _band(curves: list[np.ndarray], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of some of the drawn curves, beside the entropy alone."""
    if not curves:
        return np.empty((0, 0)), np.empty((0, 0))
    low, high = np.full((2, *shape), np.nan)
    low[:, 0], high[:, 0] = np.quantile(curves[:BAND], (0.025, 0.975), axis=0)
    return low, high


def _caveat(stack: Stack, x: np.ndarray, legs: tuple[int, ...], y: np.ndarray) -> str:
    lowest = int((y[:, 0] - y[:, 1]).argmin())
    said = (
        f"Legs {' x '.join(map(str, legs))}, the layers first. Farthest below Page's value is cut {lowest + 1}: {y[lowest, 0]:.3g} of "
        f"{y[lowest, 1]:.3g} nats; between the layers and all else it is {y[0, 0]:.3g} of {np.log(len(x)):.3g} at most."
    )
    if x.shape[1:] != stack.shape:
        said += f" Of an aligned block of {x.shape[1]} x {x.shape[2]} of {stack.shape[0]:,} x {stack.shape[1]:,} entries a layer."
    return said
