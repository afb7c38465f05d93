"""Networks over the steps of a descent in which nothing was learned, or one thing was: what they answer, and how they curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from workbench.calibrating.world import World
from workbench.calibrating.worlds.descents import DESCENT
from workbench.numerics.objectives import Probe
from workbench.subjects.descents.record import Record
from workbench.subjects.descents.step_weights import ArrayWeights
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    from torch import nn

SAMPLES, UNITS = 40, 8
INPUTS, WIDTH, CLASSES = 4, 6, 3
ALIVE = 3  # units of each layer that have weights, where the others are idle
WALKED, FAR = (
    24,
    20,
)  # steps, and how far from the least loss they begin, so that they neither lead to it nor away

Make = Callable[[np.random.Generator], tuple[Trajectory, ...]]


def descent(
    network: nn.Module,
    steps: Mapping[int, Mapping[str, np.ndarray]],
    probe: Probe,
    training: Probe | None = None,
) -> tuple[Trajectory, ...]:
    """A descent of which the weights at some steps are known, and the samples that it is asked about."""
    import pandas as pd

    table = pd.DataFrame({"loss": np.ones(len(steps))}, index=sorted(steps))
    record = Record(
        ArrayWeights(steps, list(next(iter(steps.values())))),
        probe=probe,
        training=training,
        model=network.eval(),
    )
    return (Trajectory(table, record, name="world"),)


def _fresh(network: nn.Module, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights drawn anew, all entries of a tensor alike."""
    return {n: rng.uniform(-0.5, 0.5, p.shape).astype(np.float32) for n, p in network.named_parameters()}


def _perceptron() -> nn.Sequential:
    from torch import nn

    return nn.Sequential(
        nn.Linear(INPUTS, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES)
    )


def _samples(rng: np.random.Generator, n: int = SAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """Noise, each sample of a class by chance."""
    return rng.standard_normal((n, INPUTS)).astype(np.float32), rng.integers(0, CLASSES, n)


def _unlearned(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    network = _perceptron()
    probe, training = (Probe.of(*_samples(rng), "cross_entropy") for _ in range(2))
    return descent(network, {s: _fresh(network, rng) for s in (0, 9)}, probe, training)


def _by_heart(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """A network whose answers lean towards the classes of the samples that it was trained on, by one of its inputs."""
    network = _perceptron()
    (x, y), held = _samples(rng), _samples(rng)
    x[:, 0] = y - 1
    steps = {s: _fresh(network, rng) for s in (0, 9)}
    for name, weight in steps[9].items():
        if weight.ndim == 2:
            weight[0] = 0
            weight[0, 0] = -1.0 if name == "4.weight" else 1.0
    steps[9]["4.weight"][-1, 0] = 1.0
    return descent(network, steps, Probe.of(*held, "cross_entropy"), Probe.of(x, y, "cross_entropy"))


def _one_path(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """Small weights but for those of one unit: all inputs come to it, and all outputs come from it."""
    network = _perceptron()
    weights = {n: 0.2 * w for n, w in _fresh(network, rng).items()}
    weights["0.weight"][0] = weights["2.weight"][0, 0] = weights["4.weight"][:, 0] = 2.0
    x, _ = _samples(rng)
    return descent(network, {9: weights}, Probe.of(x, np.zeros((SAMPLES, CLASSES), np.float32), "mse"))


def _idle(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """Units but for three have no weights, neither in nor out: nothing changes along those."""
    weights = _fresh(network := _perceptron(), rng)
    for name, weight in weights.items():
        weight *= 2
        if name[0] in "02":
            weight[ALIVE:] = 0
        if weight.ndim == 2 and name[0] in "24":
            weight[:, ALIVE:] = 0
    return descent(network, {9: weights}, Probe.of(*_samples(rng), "cross_entropy"))


def _passed_on(draw: Callable[[np.random.Generator], np.ndarray]) -> Make:
    """A layer whose units are the columns that it is given, at the second step each with a weight of its own."""

    def make(rng: np.random.Generator) -> tuple[Trajectory, ...]:
        from torch import nn

        x = draw(rng).astype(np.float32)
        network = nn.Sequential(nn.Linear(UNITS, UNITS, bias=False))
        scales = {0: np.ones(UNITS), 9: 1 / np.arange(1, UNITS + 1)}
        steps = {s: {"0.weight": np.diag(by).astype(np.float32)} for s, by in scales.items()}
        return descent(network, steps, Probe.of(x, np.zeros(len(x)), "output"))

    return make


def _as_gradients(draw: Callable[[np.random.Generator], np.ndarray]) -> Make:
    """A linear network that averages its output: a sample's gradient is the sample."""

    def make(rng: np.random.Generator) -> tuple[Trajectory, ...]:
        from torch import nn

        x = draw(rng).astype(np.float32)
        network = nn.Linear(UNITS, 1, bias=False)
        weights = {"weight": rng.standard_normal((1, UNITS)).astype(np.float32)}
        return descent(network, {9: weights}, Probe.of(x, np.zeros(len(x)), "output"))

    return make


def _alone(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((SAMPLES, UNITS))


def _heavy(rng: np.random.Generator) -> np.ndarray:
    return _alone(rng) ** 3


def _sized(rng: np.random.Generator) -> np.ndarray:
    """Samples of different size, by a factor of two or so."""
    return rng.standard_normal((SAMPLES, UNITS)) * np.exp(0.7 * rng.standard_normal((SAMPLES, 1)))


def _shared(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((SAMPLES, 1)) + rng.standard_normal((SAMPLES, UNITS))


def _walk(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    import torch
    from torch import nn

    path = FAR * rng.standard_normal((1, 1, UNITS)) + np.cumsum(
        rng.standard_normal((WALKED, 1, UNITS)), axis=0
    )
    x = rng.standard_normal((SAMPLES, UNITS)) * np.geomspace(0.1, 3, UNITS)
    network = nn.Linear(UNITS, 1, bias=False, dtype=torch.float64)
    probe = Probe.of(x, np.zeros((SAMPLES, 1)), "mse")
    return descent(network, {s: {"weight": w} for s, w in enumerate(path)}, probe)


def _bowl(size: float) -> Make:
    """A linear network at ``size`` times the weights that answer best, with noise in the answers."""

    def make(rng: np.random.Generator) -> tuple[Trajectory, ...]:
        from torch import nn

        best = 3 * rng.standard_normal((1, UNITS))
        x = rng.standard_normal((4 * SAMPLES, UNITS))
        y = x @ best.T + rng.standard_normal((4 * SAMPLES, 1))
        probe = Probe.of(x.astype(np.float32), y.astype(np.float32), "mse")
        weights = {"weight": (size * best).astype(np.float32)}
        return descent(nn.Linear(UNITS, 1, bias=False), {9: weights}, probe)

    return make


ANSWERS = ("output_entropy", "sameness", "neural_collapse", "memorization")
RANKS, GRADIENTS, LINES = ("activation_rank",), ("gradient_rank",), ("loss_slice", "loss_landscape")
TOGETHER, SHARED = {"activation_rank": ("rank", "change")}, {"gradient_rank": ("rank",)}
KNOWN = {"memorization": ("told_apart", "change")}
SPECTRUM, DENSITY = "hessian_spectrum", "hessian_density"
ORDERED, IDLE = {SPECTRUM: ("curvature",)}, {DENSITY: ("share_flat", "share_curved_down")}
FEW = {SPECTRUM: {"lanczos_steps": 8, "trace_draws": 4}, DENSITY: {"lanczos_steps": 8, "starts": 3}}
RENEWING = {
    "arm": "shrink_perturb",
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "rate_factors": (1.0,),
    "repeats": 9,
    "batch_size": 16,
    "n_null": 199,
    "step": 9,
}
FORGOTTEN = {"renormalize": {**RENEWING, "shrink": 1.0, "noise": 0.3, "budget": 50}}
SHRUNK = {"renormalize": {**RENEWING, "shrink": 0.5, "noise": 0.0, "budget": 3}}
NEARER = {"renormalize": ("below_control@shrink and perturb", "below_best_restart@shrink and perturb")}
WALK = {"loss_landscape": {"points": 3}, "loss_slice": {"points": 5}}
WORLDS = (
    World(
        "unlearned",
        "weights drawn anew at each step, and samples with classes at random",
        DESCENT,
        _unlearned,
        only=(*ANSWERS, SPECTRUM, DENSITY),
        parameters=FEW,
        own=(SPECTRUM, DENSITY),
    ),
    World(
        "one path",
        "small weights but for those from all inputs to one unit, and from it to all outputs",
        DESCENT,
        _one_path,
        holds=ORDERED,
        parameters=FEW,
        own=(SPECTRUM, DENSITY),
    ),
    World(
        "by heart", "weights that hold the classes of what was trained on", DESCENT, _by_heart, holds=KNOWN
    ),
    World(
        "half idle",
        "units but for three of each layer have no weights, neither in nor out",
        DESCENT,
        _idle,
        holds=IDLE,
        parameters=FEW,
        own=(SPECTRUM, DENSITY),
    ),
    World(
        "units alone",
        "units that have nothing in common",
        DESCENT,
        _passed_on(_alone),
        only=RANKS,
        covers=True,
    ),
    World(
        "heavy units",
        "units with heavy tails that have nothing in common",
        DESCENT,
        _passed_on(_heavy),
        only=RANKS,
    ),
    World(
        "samples of sizes",
        "units that share the size of samples alone",
        DESCENT,
        _passed_on(_sized),
        holds=TOGETHER,
    ),
    World(
        "units together",
        "units that share half of their variance",
        DESCENT,
        _passed_on(_shared),
        holds=TOGETHER,
        covers=True,
    ),
    World(
        "gradients alone",
        "gradients with sizes and no directions",
        DESCENT,
        _as_gradients(_sized),
        only=GRADIENTS,
        covers=True,
    ),
    World(
        "gradients together",
        "gradients that share half of their variance",
        DESCENT,
        _as_gradients(_shared),
        holds=SHARED,
        covers=True,
    ),
    World("walk", "weights on a random walk", DESCENT, _walk, only=LINES, parameters=WALK),
    World(
        "forgotten noise",
        "noise in the weights that the descent forgets",
        DESCENT,
        _bowl(1.0),
        only=("renormalize",),
        parameters=FORGOTTEN,
        own=("renormalize",),
    ),
    World(
        "shrunk to the best",
        "weights of twice the best size, which are halved",
        DESCENT,
        _bowl(2.0),
        holds=NEARER,
        parameters=SHRUNK,
        own=("renormalize",),
    ),
)
