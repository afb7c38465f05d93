"""Neuron formula: what one unit of a linear layer computes, and how few of its terms do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.named import Null
from workbench.numerics.controls import generators
from workbench.numerics.expressions.dag import FUNCTIONS, Dag
from workbench.numerics.expressions.forms import forms
from workbench.numerics.expressions.networks import Layer, layers_to, unit
from workbench.numerics.expressions.show import latex, text
from workbench.results.expression import Expression
from workbench.subjects.network import Network
from workbench.subjects.points import Points

NULL = Null("", "which terms are kept makes no difference", "as many random terms")
SHARED = Null("", "its weights are as alike as Gaussian ones", "Gaussian weights")
LONGEST = 400  # characters of LaTeX that a line shows
DRAWN = 512  # rows that are drawn where none are given
FEWEST = 2  # rows that can rank terms
CUTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@analysis
def neuron_formula(
    network: Network,
    rows: Annotated[
        Points | None,
        Unpaired,
        Doc(
            "What goes into the first layer that is written out, or into one before it in its sequence; standard normal rows without."
        ),
    ] = None,
    *,
    at: Annotated[str | None, Doc("Name of a linear layer; None for the last.")] = None,
    neuron: Annotated[int, Interval(ge=0, le=10_000_000), Doc("Which of its units.")] = 0,
    depth: Annotated[
        int,
        Interval(ge=1, le=8),
        Doc("Linear layers that are written out, this one and those before it in its sequence."),
    ] = 1,
    n_terms: Annotated[int, Interval(ge=1, le=200), Doc("Terms that the formula is cut to.")] = 5,
    max_terms: Annotated[
        int, Interval(ge=1, le=1_000_000), Doc("Terms that a form may have when it is written out.")
    ] = 20_000,
    n_null: NullDraws = 199,
    random_state: Seed = 0,
) -> Expression:
    """Write one unit of a network as a formula, exactly and cut to the terms that matter, with the error that this makes.

    The formula is of real arithmetic on the weights as they are stored, which are dyadic rationals: rounding in the network's own
    arithmetic is apart. The last layer's terms are ranked by how much each moves the sum on the rows; the others are replaced by
    their mean. The error is the root mean square of what that changes behind the unit's function, in its standard deviations.

    The null keeps as many random terms. It is asked on a random half of the rows, with the terms that the other half ranks first:
    terms that are all alike would be ranked by what the rows happen to hold, and seem to matter on these. Whether few terms hold
    more of the sum than is usual is set beside units whose weights are Gaussian and of the same norm.

    Returns
    -------
    Expression
        No interval is given: the rows are what they are, and the formula is exact.

    Raises
    ------
    MissingError
        No such linear layer; or python-flint isn't installed.
    ParameterError
        No such unit, or ``depth`` reaches past what can be written out.
    DataError
        The rows don't have the layer's number of inputs, or the unit is the same on all of them.

    References
    ----------
    Sharkey and others 2025, Open problems in mechanistic interpretability, TMLR; Horner 1819, A new method of solving
    numerical equations of all orders by continuous approximation, Phil. Trans. R. Soc. 109.
    """
    layers = layers_to(network.module, at, depth)
    last = layers[-1]
    if neuron >= len(last.weight):
        raise ParameterError(
            f"neuron_formula: neuron={neuron} is not legal at {last.name!r}, which has {len(last.weight)} units."
        )
    of, spread = _measured(network, layers, neuron, rows, random_state)
    n = len(of.weights)
    k = min(n_terms, n)
    cuts = np.array(sorted({c for c in CUTS if c < n} | {k, n}))
    random = np.array(
        [[of.error(rng.permutation(n)[:c]) for c in cuts] for rng in generators(n_null, random_state)]
    ).reshape(n_null, len(cuts))
    dag = Dag()
    kept = np.sort(of.order[:k])
    left_out = float(of.mean @ of.weights - of.mean[kept] @ of.weights[kept])
    short, exact = unit(dag, layers, neuron, kept=kept, shift=left_out), unit(dag, layers, neuron)
    ways = forms(dag, exact, max_terms=max_terms)
    share = np.square(of.moved.std(0))
    names = [f"x{j + 1}" if depth == 1 else f"unit {j} of {layers[-2].name}" for j in range(n)]
    return Expression(
        title=f"{network.name} · {last.name} · unit {neuron}, cut to {k} of {n} terms",
        target=f"unit {neuron} of {last.name}",
        formula=_short(text, dag, short),
        latex_formula=_short(latex, dag, short),
        terms=tuple(names[i] for i in of.order),
        weights=of.weights[of.order],
        shares=(share / share.sum())[of.order],
        cuts=cuts.astype(np.float64),
        errors=np.array([of.error(of.order[:c]) for c in cuts]),
        beside=np.median(random, axis=0) if n_null else np.empty(0),
        forms=tuple(f.name for f in ways),
        costs=np.array([f.cost or (-1,) * 3 for f in ways], np.float64).reshape(len(ways), 3),
        refused=tuple(f.refused for f in ways),
        evidence=(_matter(of, k, n_null, random_state), _held_by_few(of, spread, k, n_null, random_state)),
        caveat=""
        if rows is not None
        else f"Measured on {DRAWN} standard normal rows: give those that go into the layer, to ask of them.",
    )


def _measured(
    network: Network, layers: list[Layer], neuron: int, rows: Points | None, random_state: int
) -> tuple[_Unit, np.ndarray]:
    """The unit on the rows, or on drawn ones, and the spread of what comes into it."""
    last = layers[-1]
    before = _before(network, last.name, len(layers), rows)
    x = _rows(rows, before[0].weight.shape[1], random_state)
    for layer in before[:-1]:
        x = layer.values(x)
    of = _Unit.on(x, last, neuron)
    if not of.whole.std() > 0:
        raise DataError(
            f"Unit {neuron} of {last.name!r} is {of.whole[0]:.4g} on all {len(x)} rows: its formula is that number."
        )
    return of, x.std(0)


@dataclass(frozen=True)
class _Unit:
    """One unit of a layer on some rows.

    Attributes
    ----------
    mean : (n,) of what comes in. weights : (n,). moved : (rows, n) what each term adds to its mean.
    middle : the sum at the mean. whole : (rows,) the unit. order : the terms by how much they move the sum, most first.
    """

    function: str
    mean: np.ndarray
    weights: np.ndarray
    moved: np.ndarray
    middle: float
    whole: np.ndarray
    order: np.ndarray

    @classmethod
    def on(cls, x: np.ndarray, layer: Layer, neuron: int) -> _Unit:
        weights, mean = layer.weight[neuron].astype(np.float64), x.mean(0)
        moved = (x - mean) * weights
        middle = float(mean @ weights + layer.bias[neuron])
        whole = _behind(layer.function, middle + moved.sum(1))
        return cls(
            layer.function, mean, weights, moved, middle, whole, np.argsort(-moved.std(0), kind="stable")
        )

    def error(self, kept: np.ndarray, rows: np.ndarray | slice = slice(None)) -> float:
        """Root mean square of what it changes to hold the other terms at their means, in the unit's standard deviations."""
        cut, whole = _behind(self.function, self.middle + self.moved[rows][:, kept].sum(1)), self.whole[rows]
        return float(np.sqrt(np.mean((cut - whole) ** 2)) / whole.std())


def _before(network: Network, at: str, depth: int, rows: Points | None) -> list[Layer]:
    """The layers that the rows go through: those that are written out, and as many before them as it takes for the rows to fit."""
    found = layers_to(network.module, at, depth)
    while rows is not None and rows.values.shape[1] != found[0].weight.shape[1]:
        try:
            found = layers_to(network.module, at, len(found) + 1)
        except ParameterError:
            return layers_to(network.module, at, depth)
    return found


def _rows(rows: Points | None, inputs: int, random_state: int) -> np.ndarray:
    if rows is None:
        return np.random.default_rng([random_state, 0x726F77]).standard_normal((DRAWN, inputs))
    if rows.values.shape[1] != inputs:
        raise DataError(
            f"{rows.name} has {rows.values.shape[1]} columns; the first layer that is written out takes {inputs} inputs."
        )
    return rows.values.astype(np.float64)


def _behind(function: str, values: np.ndarray) -> np.ndarray:
    return FUNCTIONS[function](values) if function else values


def _short(write: Callable[[Dag, int], str], dag: Dag, root: int) -> str:
    """The formula as it is written; why not where it is too large, and no LaTeX of what no line holds."""
    try:
        shown = write(dag, root)
    except DataError as e:
        return f"({e})" if write is text else ""
    return shown if write is text or len(shown) <= LONGEST else ""


def _matter(of: _Unit, k: int, n_null: int, random_state: int) -> Evidence:
    """Whether the terms that half of the rows rank first are those that matter on the other."""
    rows = np.random.default_rng([random_state, 0x68616C66]).permutation(len(of.whole))
    seen, held = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    said: dict[str, Any] = {
        "id": "error_of_cut",
        "question": "Are these the terms that matter?",
        "label": f"error of a formula of {k} terms, on rows that didn't choose them",
        "n": len(held),
    }
    if len(seen) < FEWEST or not of.whole[held].std() > 0:
        why = (
            f"half of {len(rows)} rows is too few to choose terms, or the unit is the same on the other half"
        )
        return Evidence(value=of.error(of.order[:k]), **said, **NULL.refused(why, "less"))
    order = np.argsort(-of.moved[seen].std(0), kind="stable")
    random = [of.error(rng.permutation(len(order))[:k], held) for rng in generators(n_null, random_state)]
    return Evidence(
        value=of.error(order[:k], held),
        **said,
        **(NULL.said(random, "less") if n_null else NULL.refused("no null was drawn", "less")),
    )


def _held_by_few(of: _Unit, spread: np.ndarray, k: int, n_null: int, random_state: int) -> Evidence:
    """Whether so few terms hold more than is usual."""

    def held(moves: np.ndarray) -> float:
        share = np.sort(np.square(moves))[::-1]
        return float(share[:k].sum() / share.sum())

    weights, norm = of.weights, float(np.linalg.norm(of.weights))
    drawn = []
    for rng in generators(n_null, random_state + 1):
        other = rng.standard_normal(len(weights))
        drawn.append(held(other * norm / np.linalg.norm(other) * spread))
    return Evidence(
        id="held_by_few",
        question="Do few terms hold more of the unit than of one with Gaussian weights?",
        label=f"share of the spread that {k} terms hold",
        value=held(of.moved.std(0)),
        n=len(weights),
        unit="terms",
        **(SHARED.said(drawn) if n_null else SHARED.refused("no null was drawn")),
    )
