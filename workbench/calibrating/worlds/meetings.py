"""Networks that are near or far from each other, in known orders of their neurons, and networks that learn and meet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.calibrating.world import World
from workbench.subjects.descents.siblings import Siblings
from workbench.subjects.descents.trajectory import Trajectory

INPUTS, IDLE, UNITS, CLASSES = 6, 6, 16, 3
SAMPLES, LABELLED, MOMENTS = 60, 120, 10
APART = 3.0  # deviations that a class lies from the origin
SIZE = 0.15  # of what differs between moments and between networks
BARRIER, ENSEMBLE = "interpolation_barrier", "ensemble"

Make = Callable[[np.random.Generator], tuple[Siblings, ...]]


def _of_one(reordered: bool, idle: float) -> Make:
    """Two networks that are one, but for noise that each moment has too.

    ``reordered``: the second has its neurons in another order; ``idle``: size of each network's own weights from inputs that are
    always zero, by which its neurons are matched and nothing is answered.
    """

    def make(rng: np.random.Generator) -> tuple[Siblings, ...]:
        from torch import nn

        from workbench.calibrating.worlds.networks import descent
        from workbench.numerics.objectives import Probe

        into, out = rng.standard_normal((UNITS, INPUTS)), rng.standard_normal((CLASSES, UNITS))
        x = np.c_[rng.standard_normal((SAMPLES, INPUTS)), np.zeros((SAMPLES, IDLE))].astype(np.float32)
        y = (np.maximum(x[:, :INPUTS] @ into.T, 0) @ out.T).argmax(1)
        probe = Probe.of(x, y, "cross_entropy")
        members: list[Trajectory] = []
        for again in (False, True):
            order = rng.permutation(UNITS) if again and reordered else np.arange(UNITS)
            own = idle * rng.standard_normal((UNITS, IDLE))
            steps = {
                t: {
                    "0.weight": np.c_[into[order] + _noise(into, rng), own].astype(np.float32),
                    "2.weight": (out[:, order] + _noise(out, rng)).astype(np.float32),
                }
                for t in range(MOMENTS, 2 * MOMENTS + 1)
            }
            network = nn.Sequential(
                nn.Linear(INPUTS + IDLE, UNITS, bias=False), nn.ReLU(), nn.Linear(UNITS, CLASSES, bias=False)
            )
            members += descent(network, steps, probe)
        return (Siblings(members, name="world"),)

    return make


def _noise(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return SIZE * rng.standard_normal(weights.shape)


def _three(rng: np.random.Generator) -> tuple[Siblings, ...]:
    """Three small networks as they were initialized, and samples of classes that lie apart."""
    from torch import nn

    from workbench.calibrating.worlds.networks import descent
    from workbench.numerics.objectives import Probe

    y = rng.integers(0, CLASSES, LABELLED)
    x = rng.standard_normal((LABELLED, INPUTS)).astype(np.float32)
    x[:, :CLASSES] += APART * np.eye(CLASSES, dtype=np.float32)[y]
    probe = Probe.of(x, y, "cross_entropy")
    members: list[Trajectory] = []
    for _ in range(3):
        network = nn.Sequential(nn.Linear(INPUTS, UNITS), nn.ReLU(), nn.Linear(UNITS, CLASSES))
        first = {n: _start(p.shape, rng) for n, p in network.named_parameters()}
        members += descent(network, {0: first}, probe)
    return (Siblings(members, name="world"),)


def _start(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    bound = shape[-1] ** -0.5
    return rng.uniform(-bound, bound, shape).astype(np.float32)


AS_THEY_ARE, MATCHED = "barrier@as they are", "barrier@neurons matched"
FEW = {BARRIER: {"points": 5}}
ROUNDS = {"rounds": 2, "steps": 5, "repeats": 9, "draws": 1, "false_positive_rate": 0.5, "n_null": 199}
MEETING = {ENSEMBLE: {**ROUNDS, "source": "random"}}
LEARNT = (
    *(f"accuracy_of_one@{arm}" for arm in ("no interaction", "plain averaging", "averaging after alignment")),
    *("accuracy_of_ensemble", "disagreement"),
)  # merging by random tethers is merging at random
MODELS = ("Models",)
WORLDS = (
    World(
        "moments of one network",
        "networks as near to each other as one is to itself",
        MODELS,
        _of_one(False, 0.0),
        holds={BARRIER: (MATCHED,)},
        parameters=FEW,
    ),
    World(
        "reordered networks",
        "networks that are one but for the order of their neurons",
        MODELS,
        _of_one(True, 0.0),
        holds={BARRIER: (AS_THEY_ARE, MATCHED)},
        parameters=FEW,
    ),
    World(
        "matched by what is idle",
        "the same, with neurons that are alike by inputs that are always zero",
        MODELS,
        _of_one(True, 20.0),
        holds={BARRIER: (AS_THEY_ARE,)},
        parameters=FEW,
    ),
    World(
        "networks that learn",
        "networks from starts without a relation, tethered at random",
        MODELS,
        _three,
        holds={ENSEMBLE: LEARNT},
        parameters=MEETING,
        own=(ENSEMBLE,),
    ),
)
