"""Networks of one layer or two whose units and terms are all alike, or of which some don't matter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.calibrating.world import World
from workbench.subjects.network import Network

TERMS, INPUTS, UNITS = 24, 6, 16
FORMULA, PRUNING = "neuron_formula", "unit_pruning"
ERROR, FEW = "error_of_cut", "held_by_few"

Draw = Callable[[np.random.Generator], np.ndarray]


def network(*weights: np.ndarray) -> tuple[Network, ...]:
    """Linear layers without biases, rectified between."""
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    for w in weights:
        layer = nn.Linear(w.shape[1], w.shape[0], bias=False)
        layer.weight.data = torch.from_numpy(w.astype(np.float32))
        layers += [layer, nn.ReLU()]
    found = Network.of(nn.Sequential(*layers[:-1]))
    assert found is not None
    return (found,)


def _unit(draw: Draw) -> Callable[[np.random.Generator], tuple[Network, ...]]:
    """One unit with weights that are drawn."""
    return lambda rng: network(draw(rng)[None])


def _alike(rng: np.random.Generator) -> np.ndarray:
    return rng.choice([-1.0, 1.0], TERMS)


def _gaussian(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(TERMS)


def _few(rng: np.random.Generator) -> np.ndarray:
    """Five weights that are four times the others' size."""
    return _gaussian(rng) * rng.permutation(np.repeat([4.0, 1.0], [5, TERMS - 5]))


def _hidden(idle: bool) -> Callable[[np.random.Generator], tuple[Network, ...]]:
    """Units with weights of one norm in directions at random; ``idle``: half of them have a tenth of the others' say."""

    def make(rng: np.random.Generator) -> tuple[Network, ...]:
        into = rng.standard_normal((UNITS, INPUTS))
        into /= np.linalg.norm(into, axis=1, keepdims=True)
        out = rng.choice([-1.0, 1.0], (1, UNITS))
        if idle:
            out[:, rng.permutation(UNITS)[: UNITS // 2]] /= 10
        return network(into, out)

    return make


WORLDS = (
    World("terms alike", "a unit whose weights are all of one size", ("Network",), _unit(_alike), only=(FORMULA,)),
    World("Gaussian terms", "a unit with Gaussian weights", ("Network",), _unit(_gaussian), holds={FORMULA: (ERROR,)}),
    World("few terms", "a unit of whose weights five are four times the others' size", ("Network",), _unit(_few), holds={FORMULA: (ERROR, FEW)}),
    World("units of one size", "hidden units in directions at random, with weights of one size", ("Network",), _hidden(idle=False), only=(PRUNING,)),
    World("idle units", "half of the hidden units have a tenth of the others' say", ("Network",), _hidden(idle=True), holds={PRUNING: ("lost_by_effect", "lost_by_magnitude")}),
)  # fmt: skip
