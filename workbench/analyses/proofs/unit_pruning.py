"""Unit pruning: how much of a network's answer is lost with some of its units, chosen by effect, by magnitude or at random."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.proofs._sampled import High, Low, Samples
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import Few, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.numerics.controls import generators
from workbench.numerics.exact.fewer_units import (
    activations,
    hidden_layers,
    outputs,
    scores,
    share_lost,
    without,
)
from workbench.numerics.exact.reading import program_of
from workbench.numerics.exact.sampling import drawn, drawn_words, require_domain
from workbench.numerics.exact.simplifying import require_chain
from workbench.results.curve import Curve
from workbench.subjects.network import Network

SHARES = np.linspace(0, 0.9, 10)


@analysis
def unit_pruning(
    network: Network,
    *,
    share: Annotated[
        float,
        Interval(ge=0.05, le=0.95),
        Doc("Share of every hidden layer's units that leave where the ways are compared."),
    ] = 0.5,
    low: Low = None,
    high: High = None,
    n_samples: Annotated[Samples, Few(200)] = 2000,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Curve:
    """Take units out of every hidden layer and measure what is lost: the fewest in effect, the smallest, and any at random.

    This changes the function; what can leave without changing it is `simplification`'s. By effect, those units leave whose
    spread over some inputs, times their outgoing weights, is least; by magnitude, those whose incoming times outgoing weights
    are. Whichever leaves is replaced by its mean, added to the next bias. What is lost is the share of the outputs' variance
    on inputs that took no part in the choice. The null takes as many units of every layer at random, replaced likewise.

    Returns
    -------
    Curve
        ``x`` the share of units that left, ``y`` (10, 2) what is lost by effect and by magnitude, with random units' band.

    Raises
    ------
    DataError
        The network can't be read, is no chain, or has no hidden layer.
    ParameterError
        ``low`` isn't under ``high``.

    References
    ----------
    Hu, Peng, Tai and Tang 2016, Network trimming, arXiv:1607.03250; Li et al. 2017, Pruning filters for efficient convnets, ICLR;
    Blalock et al. 2020, What is the state of neural network pruning?, MLSys.
    """
    require_domain(low, high, "unit_pruning")
    program = program_of(network.module, network.name)
    require_chain(program, network.name)
    layers = hidden_layers(program)
    if not layers:
        raise DataError(
            f"{network.name} has no hidden layer between two linear ones, so that no unit can leave."
        )
    width = program[0].width
    x, held_out = (np.concatenate(list(drawn(n_samples, width, low, high, random_state + s))) for s in (0, 1))
    whole = outputs(program, held_out)
    by, means = scores(program, x), {at: v.mean(axis=0) for at, v in activations(program, x).items()}

    def lost(order: dict[tuple[int, int], np.ndarray], part: float) -> float:
        gone = {at: units[: min(round(part * len(units)), len(units) - 1)] for at, units in order.items()}
        return share_lost(whole, outputs(without(program, gone, means), held_out))

    orders = {way: {at: np.argsort(s, kind="stable") for at, s in of.items()} for way, of in by.items()}
    at_random = [
        {at: rng.permutation(program[at[0]].width) for at in layers}
        for rng in generators(n_null, random_state)
    ]
    null = np.array([[lost(order, part) for part in (*SHARES, share)] for order in at_random]).reshape(
        n_null, -1
    )
    curves = {way: [lost(order, part) for part in (*SHARES, share)] for way, order in orders.items()}
    y = np.array([values[:-1] for values in curves.values()]).T
    band = np.quantile(null[:, :-1], [0.025, 0.975], axis=0) if n_null else np.empty((2, 0))
    of_null, inputs = null[:, -1].tolist(), f"held-out inputs, {drawn_words(low, high)}"
    evidence = tuple(
        _asked(way, values[-1], share, of_null, len(held_out), inputs) for way, values in curves.items()
    )
    low_band, high_band = (np.c_[b, np.full(len(b), np.nan)] if n_null else np.empty((0, 0)) for b in band)
    return Curve(
        x=SHARES,
        y=y,
        names=tuple(f"chosen by {way}" for way in curves),
        null_low=low_band,
        null_high=high_band,
        beside="random units",
        x_title="share of every hidden layer's units that left",
        y_title="share of the outputs' variance lost",
        evidence=evidence,
    )


def _asked(way: str, value: float, share: float, null: list[float], n: int, inputs: str) -> Evidence:
    """Whether units that were chosen so cost less than as many at random."""
    return Evidence(
        id=f"lost_by_{way}",
        question=f"Is less lost when units are chosen by {way} than at random?",
        label=f"share of the variance lost with {share:.0%} of the units, chosen by {way}",
        value=value,
        n=n,
        unit=inputs,
        null="as many units chosen at random",
        hypothesis="it doesn't matter which units leave",
        null_values=tuple(null),
        alternative="less",
        untested="" if null else "no null was drawn",
    )
