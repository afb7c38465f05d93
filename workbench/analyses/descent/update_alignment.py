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
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.patterns import layer_said
from workbench.core.registry import analysis
from workbench.core.rows import floats
from workbench.numerics.resampling import null_draws, percentile_interval
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    from jaxtyping import Float

BLOCK = 2  # neighbouring cosines share an update, and are drawn together


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
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
) -> Curve:
    """Follow the cosine between successive updates of the weights, layer by layer.

    An update leads from one step with weights to the next one chosen, so it may be the sum of many of the optimizer's.
    1: straight on; 0: at right angles; -1: back. The null flips the sign of every entry of every update at random, which
    keeps how far each weight moves and takes away where to. With ``path`` an update is part of the way that it is
    compared with, in the null as well, so that even the null's cosines are above 0. Needs weights only: no network and no
    probe.

    Returns
    -------
    Curve
        One column a layer, and all layers together where there are several; at the step from which the update leads on.
        An update of zeros has cosine 0. The interval of the mean draws blocks of two neighbouring updates; single
        cosines have none, since each is a number and no sample.

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
    values = _cosines(updates, beside)

    def draw(rng: np.random.Generator) -> np.ndarray:
        return _cosines([u * (rng.integers(0, 2, u.shape, dtype=np.int8) * 2 - 1) for u in updates], beside)

    draws = null_draws(draw, n_null, random_state, "update_alignment: null")
    columns = [*(["all layers"] if len(names) > 1 else []), *names]
    said_of = list(map(layer_said, columns))
    intervals = _intervals(values, n_boot, random_state)
    evidence = tuple(
        Evidence(
            id="mean_cosine",
            of=name,
            question=f"Do updates of {words} keep to the direction of {_WORDS[beside]} more than by chance?",
            label=f"mean cosine of an update with {_WORDS[beside]}, {words}",
            value=values[:, j].mean(),
            n=len(values),
            unit="updates",
            interval=intervals[j],
            interval_method=f"blocks of {BLOCK} updates" if n_boot else "",
            null="signs of all entries flipped at random" if n_null else "",
            hypothesis="each entry of an update goes up or down by chance",
            null_values=tuple(draws[:, :, j].mean(axis=1)) if n_null else (),
            alternative="two-sided",
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


def _cosines(updates: list[Float[np.ndarray, "t d"]], beside: str) -> Float[np.ndarray, "p m"]:
    """Cosines in each layer, before them those in all together where there are several."""
    products = np.array([_products(u, beside) for u in updates])
    if len(updates) > 1:
        products = np.concatenate([products.sum(axis=0, keepdims=True), products])
    inner, a, b = np.moveaxis(products, 1, 0)
    scale = np.sqrt(a * b)
    return np.divide(inner, scale, out=np.zeros_like(inner), where=scale > 0).T


def _products(u: Float[np.ndarray, "t d"], beside: str) -> Float[np.ndarray, "3 p"]:
    """Inner products of each update with what it is compared with, and the squares of both."""
    other = u[:-1] if beside == "previous" else np.broadcast_to(u.sum(axis=0), u.shape)
    u = u[1:] if beside == "previous" else u
    return np.array([(u * other).sum(axis=1), (u * u).sum(axis=1), (other * other).sum(axis=1)])


def _intervals(
    values: Float[np.ndarray, "p m"], n_boot: int, random_state: int
) -> list[tuple[float, float] | None]:
    """Intervals of the columns' means from moving blocks, the same for all columns."""
    p = len(values)
    if n_boot == 0:
        return [None] * values.shape[1]
    rng = np.random.default_rng([random_state, 0x757064])
    block = min(BLOCK, p)
    starts = rng.integers(0, p - block + 1, (n_boot, -(-p // block)))
    at = (starts[..., None] + np.arange(block)).reshape(n_boot, -1)[:, :p]
    return [percentile_interval(values[at, j].mean(axis=1)) for j in range(values.shape[1])]
