"""What of two networks, or of two layers of one, is compared: arrays with the same rows, and what stands behind them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import ParameterError, ViewError
from workbench.numerics.compatibility import Measure, Pair, in_another_order, same_layers, successive_layers
from workbench.numerics.neuron_alignment import inputs_of
from workbench.numerics.neuron_chain import Layer, chain_of
from workbench.numerics.tethers import SAMPLED, SOURCES, Place, Tensors, at_network, require, tether
from workbench.subjects.descents.places import at_step
from workbench.subjects.descents.siblings import Models
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int

BESIDE = {
    "weights": "the weights themselves, with their signs",
    "activations": "what hidden layers give on the probe",
}
SAMPLES = 400  # of the probe, for activations and what passes through edges


@dataclass(frozen=True, eq=False)
class Member:
    """One network at one step.

    Attributes
    ----------
    tensors : its state, float64 for the chain. place : see `numerics.tethers.Place`.
    inputs : what each layer is given on the probe's samples.
    """

    chain: tuple[Layer, ...]
    tensors: Tensors
    place: Place
    inputs: list[np.ndarray]
    device: str = "cpu"

    @classmethod
    def of(cls, models: Models, chain: tuple[Layer, ...], i: int, step: int, device: str) -> Member:
        """The i-th network at a step, its samples those that are selected."""
        descent = models.trajectories[i]
        view = Descent(
            f"{models.name}, model {i}",
            descent.digest,
            descent.space,
            descent.steps,
            descent.ids,
            descent.table,
            descent.weight_steps,
            descent,
        )
        place = replace(at_step(view, step), probe=models.probe)
        return cls(chain, dict(descent.state(step)), place, _inputs(chain, place), device)

    def arrays(self, what: str, random_state: int) -> Tensors:
        """A tether of each layer, or its weights."""
        if what == "weights":
            return {layer.weight: np.asarray(self.tensors[layer.weight], np.float64) for layer in self.chain}
        found = tether(self.place, what, random_state=random_state, device=self.device)
        return {layer.weight: found[layer.weight] for layer in self.chain if layer.weight in found}

    def activations(self) -> list[Float[np.ndarray, "n d"]]:
        """What each hidden layer gives, averaged over places: one row a sample, one column a neuron."""
        found = []
        for layer, following, value in zip(self.chain, self.chain[1:], self.inputs[1:], strict=False):
            found.append(_by_neuron(layer, following, value).mean(axis=2))
        return found

    def shuffled(self, what: str, arrays: Tensors, rng: np.random.Generator) -> tuple[Member, Tensors]:
        """An independent network with each neuron's numbers in a random order: the member, and its arrays.

        Sources that look at samples are computed anew for it on the same probe.
        """
        mixed = {**self.tensors}
        for layer in self.chain:
            mixed[layer.weight] = _mixed(self.tensors[layer.weight], rng)
        fresh = what in SAMPLED or what == "activations"
        if not fresh:
            own = {
                n: mixed[n] if what in ("weights", "magnitude") else _mixed(a, rng) for n, a in arrays.items()
            }
            own = {n: np.abs(a) for n, a in own.items()} if what == "magnitude" else own
            return Member(self.chain, mixed, self.place, self.inputs, self.device), own
        network = _with(self.place.network, mixed)
        place = at_network(network, self.place.probe, name=self.place.name)
        inputs = _inputs(self.chain, place) if what == "activations" else self.inputs
        other = Member(self.chain, mixed, place, inputs, self.device)
        return other, {} if what == "activations" else other.arrays(what, 0)


def chain_and_sources(
    method: str,
    models: Models,
    things: Sequence[str],
    steps: Sequence[int],
    extra: Mapping[str, str] = BESIDE,
) -> tuple[Layer, ...]:
    """The chain of layers that the networks share; refuse things that are none or can't be had at these steps.

    Raises
    ------
    ParameterError
        Nothing is named, one thing twice, or one that there isn't.
    ViewError, MissingError, DataError
        No network is attached, it is no chain of layers, or a source lacks what it needs.
    """
    legal = [s for s in SOURCES if s != "attention"] + list(extra)
    for name in things:
        if name not in legal or list(things).count(name) > 1:
            said = "is named twice" if name in legal else "is none of them"
            raise ParameterError(
                f"{method}: sources={tuple(things)!r}: {name!r} {said}. There are: {', '.join(legal)}."
            )
    if not things:
        raise ParameterError(f"{method}: sources=() names nothing to compare. There are: {', '.join(legal)}.")
    models.require_network()
    if isinstance(models.probe.x, Mapping):
        raise ViewError(
            f"{models.name} has a probe of several inputs ({', '.join(models.probe.x)}); networks with one input are compared."
        )
    chain = chain_of(models.trajectories[0].model, models.name)  # type: ignore[arg-type]
    for step in steps:
        place = Member.of(models, chain, 0, step, "cpu").place
        for name in things:
            if name in SOURCES:
                require(place, name)
    return chain


def moments(models: Models, steps: int, things: Sequence[str]) -> Int[np.ndarray, " t"]:
    """So many of the steps with weights, evenly among them, the last one always; not the first for what has moved since."""
    there = models.weight_steps
    if len(there) > 1 and {"movement", "movement_score"} & set(things):
        there = there[1:]
    return there[np.unique(np.linspace(len(there) - 1, 0, min(steps, len(there))).round().astype(int))]


def between(a: Member, b: Member, what: str, x: Tensors, y: Tensors) -> dict[int, Pair]:
    """The same layer in two networks, by layer: rows are its inputs (b's neurons before it matched to a's), or samples."""
    if what == "activations":
        return dict(enumerate(Pair(p, q) for p, q in zip(a.activations(), b.activations(), strict=True)))
    return same_layers(a.chain, a.tensors, b.tensors, x, y)


def within(a: Member, what: str, x: Tensors) -> dict[int, Pair]:
    """Each layer and the next of one network, by the first's number: rows are the neurons between them, or samples."""
    if what == "activations":
        given = a.activations()
        return {i: Pair(p, q, "norms") for i, (p, q) in enumerate(itertools.pairwise(given))}
    return successive_layers(a.chain, x)


def by_chance(
    a: Member,
    b: Member,
    what: str,
    x: Tensors,
    y: Tensors,
    measure: Measure,
    draws: int,
    rng: np.random.Generator,
) -> dict[int, Float[np.ndarray, " draws"]]:
    """Compatibilities of the same layers when b reads its inputs and names its classes in random orders.

    Of activations the samples are put in a random order.
    """
    if what == "activations":
        return {k: p.by_chance(measure, draws, rng) for k, p in between(a, b, what, x, y).items()}
    found: dict[int, list[float]] = {}
    for _ in range(draws):
        w, z = in_another_order(a.chain, b.tensors, y, rng)
        for k, pair in same_layers(a.chain, a.tensors, w, x, z).items():
            found.setdefault(k, []).append(pair.value(measure))
    return {k: np.array(v) for k, v in found.items()}


# -- parts ------------------------------------------------------------------------------------------


def of_samples(ids: np.ndarray) -> np.ndarray:
    """The rows whose activations are looked at: evenly among all, where there are many."""
    return ids[np.unique(np.linspace(0, len(ids) - 1, min(SAMPLES, len(ids))).astype(int))]


def _inputs(chain: tuple[Layer, ...], place: Place) -> list[np.ndarray]:
    if place.network is None or place.probe is None:
        return []
    x: Any = place.probe.tensors(place.network)[0]
    return inputs_of(chain, place.network, x[of_samples(np.arange(len(x)))])


def _with(network: torch.nn.Module | None, tensors: Mapping[str, np.ndarray]) -> torch.nn.Module:
    import torch

    other = copy.deepcopy(network)
    assert other is not None  # seen to by chain_and_sources
    held = {**dict(other.named_parameters()), **dict(other.named_buffers())}
    with torch.no_grad():
        for n, a in tensors.items():
            held[n].copy_(torch.from_numpy(np.array(a)).reshape(held[n].shape))
    return other


def _mixed(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each neuron's numbers in an order of their own."""
    return rng.permuted(array.reshape(len(array), -1), axis=1).reshape(array.shape)


def _by_neuron(layer: Layer, following: Layer, value: np.ndarray) -> np.ndarray:
    """(samples, neurons, places)."""
    if following.kind == "linear":
        value = value.reshape(len(value), -1, layer.width, following.spread)
        return np.moveaxis(value, 2, 1).reshape(len(value), layer.width, -1)
    return value.reshape(len(value), layer.width, -1)
