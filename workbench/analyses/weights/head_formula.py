"""Head formula: the bilinear form that an attention head is, exactly and cut to the terms that matter."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.weights._attention import attentions, read_heads
from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_scales import OF_ENTRIES, turned_entries
from workbench.numerics.controls import generators
from workbench.numerics.expressions.dag import Dag, exact
from workbench.numerics.expressions.forms import forms
from workbench.numerics.expressions.show import latex, text
from workbench.results.expression import Expression
from workbench.subjects.checkpoint import Checkpoint

CUTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LISTED = 1000  # terms that the answer lists
LONGEST = 400  # characters of LaTeX that a line shows
WIDEST = 8192  # of the stream, whose square is held
SIDES = {
    "query-key": ("token that looks", "token that is looked at"),
    "output-value": ("what is read off", "token"),
}


@analysis
def head_formula(
    checkpoint: Checkpoint,
    *,
    layer: Annotated[
        int, Interval(ge=0, le=100_000), Doc("Number of the layer, as its tensors' names have it.")
    ] = 0,
    head: Annotated[int, Interval(ge=0, le=100_000), Doc("Which of its heads.")] = 0,
    circuit: Annotated[
        Literal["query-key", "output-value"],
        Doc("What it looks for, or what it hands on of a token to a direction of the stream."),
    ] = "query-key",
    n_heads: Annotated[
        int, Interval(ge=0, le=1024), Doc("Heads a layer; 0 takes what the network's configuration says.")
    ] = 0,
    n_terms: Annotated[int, Interval(ge=1, le=200), Doc("Terms that the formula is cut to.")] = 5,
    max_terms: Annotated[
        int, Interval(ge=1, le=1_000_000), Doc("Terms that a form may have when it is written out.")
    ] = 20_000,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Expression:
    """Write an attention head as a formula: the sum of products of two tokens' numbers that its score is.

    A head's score is a bilinear form of what two tokens hold: of x, the one that looks, and y, the one that is looked at, Σ q_r(x)
    k_r(y) over the head's own dimensions, each q_r and k_r a linear form with the weights as they are stored. As it stands it is
    short, with these shared; written out it is a sum of width² products x_i y_j, which is refused above ``max_terms``, with its
    size. The output-value circuit is the form z, y: how much of direction z the head hands on of y.

    Products are ranked by the size of their coefficient, and the formula is cut to the largest. The error is the root mean square
    of what is left out, in standard deviations of the score, for independent coordinates of mean 0 and one scale, in closed
    form. Whether few products hold more than is usual is set beside the head with the signs of one factor's entries turned at
    random, which keeps all scales.

    Left out are biases, norms between the layers and rotations by position, and the division by the root of the head's width.

    Returns
    -------
    Expression
        The largest `LISTED` products are listed. No interval is given: the formula is exact.

    Raises
    ------
    ParameterError
        There is no such layer or head, or ``n_heads`` doesn't divide the projections.
    DataError
        No attention is told by its names, the head is zero, or the stream is wider than 8,192.
    MissingError
        python-flint isn't installed.

    References
    ----------
    Elhage and others 2021, A mathematical framework for transformer circuits, Transformer Circuits Thread.
    """
    left, right, name = _factors(checkpoint, layer, head, circuit, n_heads)
    form = left @ right.T
    square = float(np.square(form).sum())
    if not square > 0:
        raise DataError(f"{name} is zero whatever the tokens hold: its formula is 0.")
    order = np.argsort(-np.abs(form), axis=None, kind="stable")
    held = np.square(form.ravel()[order]).cumsum() / square
    k = min(n_terms, form.size)
    cuts = np.array(sorted({c for c in CUTS if c < form.size} | {k, form.size}))
    first, second = ("x", "y") if circuit == "query-key" else ("z", "y")
    places = [np.unravel_index(i, form.shape) for i in order[:LISTED]]
    dag = Dag()
    whole, short = _written(dag, left, right, first, second, [tuple(map(int, p)) for p in places[:k]])
    ways = forms(dag, whole, max_terms=max_terms)
    shown = latex(dag, short)
    return Expression(
        title=f"{checkpoint.name} · {name}, cut to {k:,} of {form.size:,} products",
        target=f"the {circuit} circuit of {name} ({first}: {SIDES[circuit][0]}; {second}: {SIDES[circuit][1]})",
        formula=text(dag, short),
        latex_formula=shown if len(shown) <= LONGEST else "",
        terms=tuple(f"{first}{i + 1}*{second}{j + 1}" for i, j in places),
        weights=form.ravel()[order[:LISTED]],
        shares=np.square(form.ravel()[order[:LISTED]]) / square,
        cuts=cuts.astype(np.float64),
        errors=np.sqrt(np.maximum(1 - held[cuts - 1], 0)),
        beside=np.sqrt(1 - cuts / form.size),  # random products: in the mean of their squares, exactly
        forms=tuple(f.name for f in ways),
        costs=np.array([f.cost or (-1,) * 3 for f in ways], np.float64).reshape(len(ways), 3),
        refused=tuple(f.refused for f in ways),
        evidence=(_few(left, right, float(held[k - 1]), k, n_null, random_state),),
        caveat="Errors are for coordinates that are independent and of one scale. Norms, biases and rotations are left out.",
    )


def _factors(
    checkpoint: Checkpoint, layer: int, head: int, circuit: str, n_heads: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """Both factors (d, h) of a circuit in float64, and what the head is called."""
    found = attentions(checkpoint)[0]
    at = [a for a in found if a.layer == layer]
    if not at:
        raise ParameterError(
            f"head_formula: layer={layer} is not legal: {checkpoint.name} has attention in layers {', '.join(str(a.layer) for a in found)}."
        )
    if len(at) > 1:
        stacks = ", ".join(repr(f"{a.stack}**") for a in at)
        raise ParameterError(
            f"head_formula: {checkpoint.name} has {len(at)} layers of number {layer}; choose one of their stacks: .at(pattern) with "
            f"{stacks}."
        )
    heads = read_heads(checkpoint, at[0], n_heads)
    if head >= len(heads.query):
        raise ParameterError(
            f"head_formula: head={head} is not legal: layer {layer} has {len(heads.query)} heads, from 0."
        )
    if heads.output.shape[1] > WIDEST:
        raise DataError(
            f"{checkpoint.name} is {heads.output.shape[1]:,} wide, and formulas are written of streams up to {WIDEST:,}."
        )
    key = heads.shared[head]
    pair = (
        (heads.query[head], heads.key[key])
        if circuit == "query-key"
        else (heads.output[head], heads.value[key])
    )
    return pair[0].astype(np.float64), pair[1].astype(np.float64), f"layer {layer}, head {head}"


def _written(
    dag: Dag, left: np.ndarray, right: np.ndarray, first: str, second: str, kept: list[tuple[int, ...]]
) -> tuple[int, int]:
    """The form as a sum of products of the head's own dimensions, and cut to some products of coordinates, exactly."""
    sides = [
        [dag.variable(f"{letter}{i + 1}") for i in range(len(factor))]
        for letter, factor in ((first, left), (second, right))
    ]
    parts = [
        dag.product([(dag.affine(sides[0], left[:, r]), 1), (dag.affine(sides[1], right[:, r]), 1)])
        for r in range(left.shape[1])
    ]
    whole = dag.sum((part, 1) for part in parts)
    short = dag.sum(
        (
            dag.product([(sides[0][i], 1), (sides[1][j], 1)]),
            sum(
                (exact(a) * exact(b) for a, b in zip(left[i].tolist(), right[j].tolist(), strict=True)),
                Fraction(0),
            ),
        )
        for i, j in kept
    )
    return whole, short


def _few(
    left: np.ndarray, right: np.ndarray, held: float, k: int, n_null: int, random_state: int
) -> Evidence:
    """Whether so few products hold more of the form than with the signs of one factor turned."""
    turned = turned_entries(left)
    drawn = []
    for rng in generators(n_null, random_state):
        squares = np.square(turned(rng) @ right.T).ravel()
        drawn.append(float(np.partition(squares, len(squares) - k)[-k:].sum() / squares.sum()))
    return Evidence(
        id="held_by_few",
        question="Do few products hold more of the head than its scales give?",
        label=f"share of the squared form that {k} products hold",
        value=held,
        n=len(left) * len(right),
        unit="products",
        **(OF_ENTRIES.said(drawn) if n_null else OF_ENTRIES.refused("no null was drawn")),
    )
