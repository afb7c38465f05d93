"""Interpolation barrier: how far the loss rises on the straight way from one solution to another, neurons matched or not."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, Few, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.exchangeable import FEWEST_GROUPS
from workbench.numerics.landscapes import Plane
from workbench.numerics.neuron_alignment import (
    hidden_activations,
    match_activations,
    match_weights,
    permuted,
)
from workbench.numerics.neuron_chain import Layer, chain_of
from workbench.numerics.resampling import null_draws, percentile_interval
from workbench.results.curve import Curve
from workbench.subjects.descents.siblings import Models

if TYPE_CHECKING:
    from jaxtyping import Float

State = dict[str, np.ndarray]


@analysis
def interpolation_barrier(
    models: Models,
    *,
    match: Annotated[
        Literal["weights", "activations"],
        Doc("How neurons are matched: by their weights, or by what they answer to the probe."),
    ] = "weights",
    points: Annotated[
        int, Interval(ge=3, le=201), Few(5), Doc("Places on the way, both ends among them.")
    ] = 21,
    n_null: NullDraws = 19,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Follow the loss on the straight way between every two networks, as they are and with the neurons of one matched.

    The barrier is the greatest height of the loss over the line between its two ends. Two solutions may differ by no
    more than the order of their neurons, which puts a barrier between them; what matching takes away was order. Three
    controls: two moments of one run, between which there is seldom a barrier; random orders of neurons, which a matching has
    to beat; and the paired difference of matched and not. Intervals draw networks and samples anew.

    Returns
    -------
    Curve
        The mean over pairs: as they are, and matched, with the band of random orders.

    Raises
    ------
    ViewError
        No network is attached.
    DataError
        The network isn't a chain whose neurons can be permuted, or a loss isn't finite on the way.

    References
    ----------
    Entezari, Sedghi, Saukh, Neyshabur 2022, The role of permutation invariance in linear mode connectivity of neural
    networks, ICLR, definition 1; Ainsworth, Hayase, Srinivasa 2023, Git Re-Basin: merging models modulo permutation
    symmetries, ICLR; Frankle, Dziugaite, Roy, Carbin 2020, Linear mode connectivity and the lottery ticket hypothesis, ICML.
    """
    models.require_network()
    if not len(models.weight_steps):
        raise DataError(f"{models.name}: there is no step at which all have weights.")
    chain = chain_of(models.trajectories[0].model, models.name)  # type: ignore[arg-type]
    ways = Ways(models, chain, int(models.weight_steps[-1]), np.linspace(0, 1, points), device)
    pairs = list(itertools.combinations(range(models.n), 2))
    matched = [ways.matched(i, j, match, random_state) for i, j in pairs]
    plain = np.stack([ways.samples(ways.states[i], ways.states[j]) for i, j in pairs])
    aligned = np.stack([ways.samples(ways.states[i], b) for (i, _), b in zip(pairs, matched, strict=True)])
    if not (np.isfinite(plain).all() and np.isfinite(aligned).all()):
        raise DataError(f"{models.name}: the loss isn't finite on the way between two of the networks.")
    drawn = _drawn(plain, aligned, pairs, models.n, n_boot, random_state)

    def shuffled(rng: np.random.Generator) -> np.ndarray:
        return np.mean([ways.losses(ways.states[i], ways.shuffled(j, rng)) for i, j in pairs], axis=0)

    orders = null_draws(shuffled, n_null, random_state, "interpolation_barrier: random orders").reshape(
        n_null, points
    )
    curves = np.stack([plain.mean(axis=(0, 2)), aligned.mean(axis=(0, 2))], axis=1)
    band = np.full((2, points, 2), np.nan)
    if n_null:
        band[:, :, 1] = np.quantile(orders, [0.025, 0.975], axis=0)
    low, high = (
        (np.quantile(drawn.curves, q, axis=0) for q in (0.025, 0.975))
        if n_boot > 1
        else (np.empty((0, 0)),) * 2
    )
    return Curve(
        x=ways.at,
        y=curves,
        names=("as they are", f"neurons matched by {match}"),
        low=low,
        high=high,
        null_low=band[0],
        null_high=band[1],
        x_title="share of the way from one network to the other",
        y_title="loss, mean over pairs",
        evidence=_evidence(models, ways, pairs, plain, aligned, orders, drawn, n_null, random_state),
        caveat=_caveat(pairs, plain, aligned, ways),
    )


def barriers(losses: Float[np.ndarray, "... p"], at: Float[np.ndarray, " p"]) -> Float[np.ndarray, " ..."]:
    """Greatest height of losses along the last axis over the line between their ends; 0 where they stay below."""
    line = losses[..., :1] + at * (losses[..., -1:] - losses[..., :1])
    return np.maximum(losses - line, 0)[..., 1:-1].max(axis=-1)


class Ways:
    """Straight ways between the networks of a view at one step."""

    def __init__(
        self, models: Models, chain: tuple[Layer, ...], step: int, at: np.ndarray, device: str
    ) -> None:
        self.models, self.chain, self.step, self.at, self.device = models, chain, step, at, device
        self.network = models.trajectories[0].network(step)
        self.states = [moving(t.state(step)) for t in models.trajectories]
        self.buffers = any(n not in models.trajectories[0].parameter_names for n in self.states[0])

    def samples(self, a: State, b: State) -> Float[np.ndarray, "p n"]:
        """Loss of each sample at each place."""
        return self._plane(a, b).losses(self.at[:, None], samples=True)

    def losses(self, a: State, b: State) -> Float[np.ndarray, " p"]:
        """Loss at each place."""
        return self._plane(a, b).losses(self.at[:, None])

    def matched(self, i: int, j: int, match: str, random_state: int) -> State:
        """Network j with its neurons in the order of those of network i that they are most like."""
        a, b = self.states[i], self.states[j]
        if match == "weights":
            return permuted(self.chain, b, match_weights(self.chain, a, b, random_state=random_state))
        answers = []
        for k in (i, j):
            network = self.models.trajectories[k].network(self.step)
            answers.append(hidden_activations(self.chain, network, self.models.probe.tensors(network)[0]))
        return permuted(self.chain, b, match_activations(*answers))

    def shuffled(self, j: int, rng: np.random.Generator) -> State:
        """Network j with its hidden neurons in a random order: the same function."""
        return permuted(self.chain, self.states[j], [rng.permutation(n.width) for n in self.chain[:-1]])

    def _plane(self, a: State, b: State) -> Plane:
        along = {n: b[n].astype(np.float64) - a[n] for n in a}
        return Plane(self.network, self.models.probe, a, [along], device=self.device)


def moving(state: Mapping[str, np.ndarray]) -> State:
    """What can be interpolated of a network's state: floating-point tensors, running moments among them."""
    return {n: np.asarray(state[n]) for n in state if np.asarray(state[n]).dtype.kind == "f"}


@dataclass(frozen=True)
class Drawn:
    """Redrawn networks and samples: barriers (draws, 2) as they are and matched, and curves (draws, points, 2)."""

    barriers: Float[np.ndarray, "b 2"]
    curves: Float[np.ndarray, "b p 2"]


def _drawn(
    plain: np.ndarray,
    aligned: np.ndarray,
    pairs: list[tuple[int, int]],
    models: int,
    n_boot: int,
    random_state: int,
) -> Drawn:
    rng = np.random.default_rng([random_state, 0x62617272])
    n = plain.shape[2]
    at = np.linspace(0, 1, plain.shape[1])
    found, curves = [], []
    for _ in range(n_boot):
        count = np.bincount(_networks(models, rng), minlength=models)
        weights = np.array([count[i] * count[j] for i, j in pairs], np.float64)
        weights /= weights.sum()
        rows = rng.multinomial(n, np.full(n, 1 / n)) / n
        both = [samples @ rows for samples in (plain, aligned)]  # (pairs, points)
        found.append([float(weights @ barriers(b, at)) for b in both])
        curves.append(np.stack([weights @ b for b in both], axis=1))
    return Drawn(np.array(found).reshape(-1, 2), np.array(curves).reshape(-1, plain.shape[1], 2))


def _networks(models: int, rng: np.random.Generator) -> np.ndarray:
    """Networks drawn with replacement, two different ones among them at least; those there are where they are few."""
    while models >= FEWEST_GROUPS:  # of fewer, resampling would give intervals that can't cover
        chosen = rng.integers(0, models, models)
        if (chosen != chosen[0]).any():
            return chosen
    return np.arange(models)


def _evidence(
    models: Models,
    ways: Ways,
    pairs: list[tuple[int, int]],
    plain: np.ndarray,
    aligned: np.ndarray,
    orders: np.ndarray,
    drawn: Drawn,
    n_null: int,
    random_state: int,
) -> tuple[Evidence, ...]:
    before, after = (float(barriers(s.mean(axis=2), ways.at).mean()) for s in (plain, aligned))
    said = (
        "samples drawn anew, these networks kept"
        if models.n < FEWEST_GROUPS
        else "networks and samples drawn anew"
    )
    boot = drawn.barriers

    def interval(values: np.ndarray) -> tuple[float, float] | None:
        return percentile_interval(values) if len(values) > 1 else None

    shared = {"n": len(pairs), "unit": "pairs of networks", "interval_method": said}
    return (
        Evidence(
            question="Is there a barrier between the networks as they are?",
            id="barrier",
            of="as they are",
            label="barrier of the loss, as they are",
            value=before,
            interval=interval(boot[:, 0]),
            null="two moments of one run",
            hypothesis="the networks are as near to each other as one is to itself",
            null_values=_same_run(models, ways, n_null, random_state),
            **shared,  # type: ignore[arg-type]
        ),
        Evidence(
            question="Is the barrier lower with neurons matched than in random orders?",
            id="barrier",
            of="neurons matched",
            label="barrier of the loss, neurons matched",
            value=after,
            interval=interval(boot[:, 1]),
            null="neurons in random orders",
            hypothesis="the matching is as good as any order",
            alternative="less",
            null_values=tuple(barriers(orders, ways.at)) if len(orders) else (),
            **shared,  # type: ignore[arg-type]
        ),
        Evidence(
            question="How much of the barrier was the order of neurons?",
            id="barrier_removed",
            label="what matching takes from the barrier",
            value=before - after,
            interval=interval(boot[:, 0] - boot[:, 1]),
            untested="the difference of the two above",
            **shared,  # type: ignore[arg-type]
        ),
    )


def _same_run(models: Models, ways: Ways, n_null: int, random_state: int) -> tuple[float, ...]:
    """Barriers between the last weights of a run and earlier ones of its second half, as many as there are up to ``n_null``."""
    steps = [int(s) for s in models.weight_steps if ways.step / 2 <= s < ways.step]
    asked = [(i, s) for i in range(models.n) for s in steps]
    rng = np.random.default_rng([random_state, 0x73616D65])
    chosen = [asked[k] for k in rng.permutation(len(asked))[:n_null]]
    return tuple(
        float(barriers(ways.losses(moving(models.trajectories[i].state(s)), ways.states[i]), ways.at))
        for i, s in chosen
    )


def _caveat(pairs: list[tuple[int, int]], plain: np.ndarray, aligned: np.ndarray, ways: Ways) -> str:
    both = [barriers(s.mean(axis=2), ways.at) for s in (plain, aligned)]
    each = "; ".join(
        f"{i} and {j}: {a:.3g}, matched {b:.3g}" for (i, j), a, b in zip(pairs, *both, strict=True)
    )
    said = f"Barriers by pair, at step {ways.step}: {each}."
    if ways.buffers:
        said += " Running moments of normalization are interpolated with the weights and not measured anew, which raises barriers."
    return said
