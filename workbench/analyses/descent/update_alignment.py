"""Update alignment: whether updates go on in the direction of those before, over the steps of a descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.descent._over_steps import (
    Layers,
    chosen_layers,
    chosen_steps,
    layers_of,
    require_finite_weights,
)
from workbench.core.evidence import Evidence
from workbench.core.parameters import NullDraws, Seed
from workbench.core.patterns import layer_said
from workbench.core.registry import analysis
from workbench.core.rows import floats
from workbench.numerics.resampling import null_draws
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    from jaxtyping import Float

FEWEST = 7  # updates; signs of fewer leave no p-value of 5 %


@analysis
def update_alignment(
    descent: Descent,
    *,
    beside: Annotated[
        Literal["previous", "path"],
        Doc("What an update is compared with: the one before it, or the whole way from first to last."),
    ] = "previous",
    layers: Layers = "*",
    max_steps: Annotated[
        int,
        Interval(ge=3, le=1000),
        Doc("Steps with weights between which updates are taken, evenly chosen among those kept."),
    ] = 50,
    n_null: NullDraws = 999,
    random_state: Seed = 0,
) -> Curve:
    """Follow the cosine between successive updates of the weights, layer by layer.

    An update leads from one step with weights to the next one chosen, so it may be the sum of many of the optimizer's.
    1: straight on; 0: at right angles; -1: back. The null turns whole updates round at random, in all layers at once: each
    keeps its size and its line, however few the directions that updates have, and which way along it was chosen goes. It
    is exact for updates that are as likely as their opposites, whatever came before. With ``path`` an update is part of the way that it is
    compared with, in the null as well, so that even the null's cosines are above 0. Needs weights only: no network and no
    probe.

    Returns
    -------
    Curve
        One column a layer, and all layers together where there are several; at the step from which the update leads on.
        An update of zeros has cosine 0. There are no intervals: each cosine is a number and no sample, and a descent is
        one of its kind.

    Raises
    ------
    ViewError
        Weights are there at fewer than three steps.
    DataError
        The descent has diverged.
    ParameterError
        ``layers`` matches none.

    References
    ----------
    Gur-Ari, Roberts and Dyer 2018, Gradient descent happens in a tiny subspace, arXiv:1812.04754; Jastrzebski et al.
    2019, On the relation between the sharpest directions of DNN loss and the SGD step length, ICLR.
    """
    descent.require(weights=3)
    owned = layers_of(descent.parameter_names)
    names, said = chosen_layers(list(owned), layers)
    steps = chosen_steps(descent, max_steps)
    updates = [_updates(descent, steps, owned[n]) for n in names]
    at = steps[1:-1] if beside == "previous" else steps[:-1]
    products = [u @ u.T for u in updates]

    def draw(rng: np.random.Generator) -> np.ndarray:
        signs = rng.integers(0, 2, len(steps) - 1) * 2.0 - 1
        return _cosines([g * signs * signs[:, None] for g in products], beside)

    values = _cosines(products, beside)
    draws = null_draws(draw, n_null, random_state, "update_alignment: null")
    columns = [*(["all layers"] if len(names) > 1 else []), *names]
    said_of = list(map(layer_said, columns))
    enough = len(steps) > FEWEST
    tested = bool(n_null and enough)
    evidence = tuple(
        Evidence(
            id="mean_cosine",
            of=name,
            question=f"Do updates of {words} keep to the direction of {_WORDS[beside]} more than by chance?",
            label=f"mean cosine of an update with {_WORDS[beside]}, {words}",
            value=values[:, j].mean(),
            n=len(values),
            unit="updates",
            null="whole updates turned round at random" if tested else "",
            hypothesis="an update goes as readily one way along its line as the other",
            null_values=tuple(draws[:, :, j].mean(axis=1)) if tested else (),
            alternative="two-sided",
            untested=""
            if enough
            else f"{len(steps) - 1} updates can be turned round in too few ways; it takes {FEWEST}",
        )
        for j, (name, words) in enumerate(zip(columns, said_of, strict=True))
    )
    bands = np.quantile(draws, [0.025, 0.975], axis=0) if n_null else np.empty((2, 0, 0))
    return Curve(
        x=at.astype(np.float64),
        y=values,
        names=tuple(said_of),
        null_low=bands[0],
        null_high=bands[1],
        x_title="step",
        y_title=f"cosine of the update with {_WORDS[beside]}",
        evidence=evidence,
        caveat=said,
    )


_WORDS = {"previous": "the one before", "path": "the whole way"}


def _updates(descent: Descent, steps: np.ndarray, parameters: list[str]) -> Float[np.ndarray, "t d"]:
    """What leads from each step to the next, in the entries of some parameters."""
    held = []
    for step in steps:
        weights = descent.weights(int(step))
        held.append(np.concatenate([floats(weights[n]).ravel() for n in parameters]).astype(np.float64))
        require_finite_weights(descent, int(step), held[-1], parameters[0])
    return np.diff(np.array(held), axis=0)


def _cosines(grams: list[Float[np.ndarray, "t t"]], beside: str) -> Float[np.ndarray, "p m"]:
    """Cosines in each layer, before them those in all together where there are several, from updates' inner products."""
    products = np.array([_products(g, beside) for g in grams])
    if len(grams) > 1:
        products = np.concatenate([products.sum(axis=0, keepdims=True), products])
    inner, a, b = np.moveaxis(products, 1, 0)
    scale = np.sqrt(a * b)
    return np.divide(inner, scale, out=np.zeros_like(inner), where=scale > 0).T


def _products(gram: Float[np.ndarray, "t t"], beside: str) -> Float[np.ndarray, "3 p"]:
    """Inner products of each update with what it is compared with, and the squares of both."""
    squares = np.diag(gram)
    if beside == "previous":
        return np.array([np.diag(gram, 1), squares[1:], squares[:-1]])
    return np.array([gram.sum(axis=1), squares, np.full(len(gram), gram.sum())])
