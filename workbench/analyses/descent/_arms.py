"""Arms of an experiment that goes on from one step of a descent: what each does there, and training them side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import DataError, MissingError, ParameterError, WorkbenchError
from workbench.core.progress import track
from workbench.numerics.objectives import Probe
from workbench.numerics.renormalizing import OPERATORS, Renormalized, Settings, act
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int

    from workbench.numerics.stacked_training import Group, Stack

CONTROL, OTHER, RESTART, RATE = "control", "other batches", "restart", "learning rate"
NAMES = {"shrink_perturb": "shrink and perturb"}
MEASURED = 512  # samples that moments, gradients and outputs are measured on
HELD_OUT = 2048  # samples that losses are evaluated on
RANKED = 256  # samples that the rank of activations is measured on
POINTS, APART = 13, 8  # of a curve, and updates between them
COSTLIER = 1.02  # times the control's operations, from which on equal operations are another question


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes
    ----------
    operators : names in `OPERATORS`; control, other batches and the restarts are run in any case.
    rate : learning rate of all arms; each of ``factors`` times it is where a learning-rate restart begins, and
        ``arm_factor`` times it where a renormalization does.
    make : makes the optimizer. state : what the control's goes on from, or None.
    """

    operators: tuple[str, ...]
    budget: int
    repeats: int
    batch_size: int
    settings: Settings
    rate: float
    factors: tuple[float, ...]
    arm_factor: float
    make: Callable[[Any, float], torch.optim.Optimizer]
    state: Mapping[str, Mapping[str, Any]] | None
    random_state: int
    device: str


@dataclass
class Arm:
    """One arm: its networks (one a seed), and what is known of it when it begins.

    Attributes
    ----------
    moved : by how much the outputs changed at the moment it acted, of the largest output.
    operations : of a step, over the control's. layers : that were acted on.
    operator : which it is of `OPERATORS`, or "". factor : of the learning rate at the beginning.
    losses : (points, seeds) on held-out data, once it is trained. rank : of the last layer's inputs, then and at the end.
    """

    name: str
    networks: list[torch.nn.Module]
    moved: float = 0.0
    operations: float = 1.0
    parameters: int = 0
    layers: tuple[str, ...] = ()
    refused: Mapping[str, str] | None = None
    operator: str = ""
    factor: float = 1.0
    losses: Float[np.ndarray, "t s"] | None = None
    rank: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Experiment:
    """What came out.

    Attributes
    ----------
    points : steps after the fork at which losses were taken. control : the untouched arm. arms : those that ended, in order.
    refused : arms that couldn't be run or diverged, with the reason.
    one_by_one : why networks weren't trained at once, or "".
    """

    points: Int[np.ndarray, " t"]
    control: Arm
    arms: list[Arm]
    refused: dict[str, str]
    one_by_one: str


def data_of(descent: Descent, random_state: int) -> tuple[Probe, Probe, str]:
    """What is trained on, what is held out, and what to say of it.

    Raises
    ------
    DataError
        The probe is too small to be split.
    """
    from workbench.numerics.per_sample import subset

    probe, training = descent.probe, descent.trajectory.training
    rng = np.random.default_rng([random_state, 0x68656C64])
    if training is None:
        if len(probe) < 4:
            raise DataError(
                f"{descent.name} has no training data beside its probe of {len(probe)} samples, which are too few to split. Record "
                f"with training=(x, y), or attach it: .with_training(x, y, loss)."
            )
        order = rng.permutation(len(probe))
        half = len(probe) // 2
        return (
            subset(probe, np.sort(order[half:])),
            subset(probe, np.sort(order[:half])),
            (
                f"The recording has no training data (training=): arms are trained on one half of the probe, {len(probe) - half} "
                f"samples, and judged on the other."
            ),
        )
    held = probe
    if len(probe) > HELD_OUT:
        held = subset(probe, np.sort(rng.choice(len(probe), HELD_OUT, replace=False)))
    same = training.digest == probe.digest
    return training, held, "The probe is the training data: nothing is held out." if same else ""


def learning_rate_at(descent: Descent, step: int) -> float:
    """The learning rate that the descent had at a step.

    Raises
    ------
    ParameterError
        It isn't recorded, or there are several.
    """
    several = [c for c in descent.table.columns if str(c).startswith("lr_")]
    if several:
        raise ParameterError(
            f"{descent.name} has {len(several) + 1} learning rates, and arms are trained with one: choose it with learning_rate=."
        )
    if "lr" in descent.table.columns:
        before = descent.table["lr"].to_numpy(np.float64)[descent.steps <= max(step, descent.steps[0])]
        before = before[np.isfinite(before) & (before > 0)]
        if len(before):
            return float(before[-1])
    raise ParameterError(
        f"{descent.name} has no learning rate at step {step}: choose one with learning_rate=."
    )


def optimizer_for(
    descent: Descent, name: str, step: int
) -> tuple[Callable[[Any, float], torch.optim.Optimizer], Mapping[str, Any] | None]:
    """What makes the arms' optimizer, and the state that the control's goes on from (None: there is none)."""
    from workbench.numerics.optimizers import optimizer_like, optimizer_of

    if name != "recorded":
        return partial(optimizer_of, name), None
    about = descent.trajectory.record.about
    recorded, settings = str(about.get("optimizer", "")), dict(about.get("settings", {}))
    try:
        state: Mapping[str, Any] | None = descent.trajectory.optimizer_state(step)
    except MissingError:
        state = None
    return partial(optimizer_like, recorded, settings), state


def run(network: torch.nn.Module, training: Probe, held: Probe, plan: Plan) -> Experiment:
    """Train all arms from a network on.

    Raises
    ------
    DataError
        The control diverges, or the only operator asked for can't act.
    """
    import torch

    from workbench.numerics.stacked_training import batches, structure

    arms, refused = _arms(network, training, plan)
    costs = {a.name: round(plan.budget / a.operations) for a in arms if a.operations > COSTLIER}
    many = min(POINTS, 3 + plan.budget // APART)
    points = np.unique([*np.linspace(0, plan.budget, many).round().astype(int), *costs.values()])
    usual = [
        batches(len(training), plan.batch_size, plan.budget, (plan.random_state, s))
        for s in range(plan.repeats)
    ]
    other = [
        batches(len(training), plan.batch_size, plan.budget, (plan.random_state, s, 1))
        for s in range(plan.repeats)
    ]
    together: dict[Any, list[Arm]] = {}
    for arm in arms:
        key = (arm.name == OTHER, structure(arm.networks[0]))
        together.setdefault(key, []).append(arm)
    one_by_one = ""
    total = plan.budget * len(together)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.random_state)  # what dropout draws from
        steps = iter(track(range(total), "renormalize"))
        for (by_others, _), some in together.items():
            stack = _stack(some, held.loss, plan)
            _train(
                stack,
                some,
                training,
                held,
                torch.stack(other if by_others else usual, 1),
                points,
                steps,
                refused,
            )
            one_by_one = one_by_one or stack.one_by_one
    for _ in steps:  # what diverged arms have left
        pass
    control = arms[0]
    if CONTROL in refused:
        raise DataError(
            f"The control itself {refused[CONTROL]}: fork at an earlier step (step=), or lower learning_rate."
        )
    return Experiment(points, control, [a for a in arms[1:] if a.name not in refused], refused, one_by_one)


# -- what each arm does -------------------------------------------------------------------------------


def _arms(network: torch.nn.Module, training: Probe, plan: Plan) -> tuple[list[Arm], dict[str, str]]:
    from workbench.numerics.per_sample import subset

    rng = np.random.default_rng([plan.random_state, 0x6D656173])
    some = training
    if len(training) > MEASURED:
        some = subset(training, np.sort(rng.choice(len(training), MEASURED, replace=False)))
    same = [network] * plan.repeats
    arms = [Arm(CONTROL, same), Arm(OTHER, same)]
    refused: dict[str, str] = {}
    if plan.state is None:
        refused[RESTART] = (
            "nothing to forget, since the optimizer keeps no state, or none was recorded (optimizer_state=True)"
        )
    else:
        arms.append(Arm(RESTART, same))
    arms += [Arm(f"{RATE} ×{f:g}", same, factor=f) for f in dict.fromkeys(plan.factors)]
    for name in plan.operators:
        try:
            if name == "batch_norm" and plan.batch_size < 2:
                raise DataError(
                    "normalizes by a batch's own moments, which one sample hasn't: raise batch_size"
                )
            made = _acted(name, network, some, plan)
        except WorkbenchError as e:
            if len(plan.operators) == 1 or isinstance(e, ParameterError):
                raise
            refused[name] = str(e).rstrip(".")
            continue
        arms.append(
            Arm(
                NAMES.get(name, name.replace("_", " ")),
                [m.network for m in made],
                max(m.moved for m in made),
                layers=made[0].acted,
                refused=made[0].refused,
                operator=name,
                factor=plan.arm_factor,
            )
        )
    _count(arms, some, plan)
    return arms, refused


def _acted(name: str, network: torch.nn.Module, data: Probe, plan: Plan) -> list[Renormalized]:
    """One for every seed; what doesn't depend on the seed is made once."""
    random = plan.settings.source == "random" if name == "tethering" else OPERATORS[name].random
    if random:
        seeds = [plan.random_state * 7919 + s for s in range(plan.repeats)]
        return [act(name, network, data, plan.settings, s) for s in seeds]
    return [act(name, network, data, plan.settings, plan.random_state)] * plan.repeats


def _count(arms: list[Arm], data: Probe, plan: Plan) -> None:
    """Operations of a step and parameters of every arm."""
    import torch

    from workbench.numerics.stacked_training import gathered, operations, structure

    at = torch.arange(plan.batch_size) % len(data)
    known: dict[Any, int] = {}
    for arm in arms:
        net = arm.networks[0]
        key = structure(net)
        if key not in known:
            x, y = gathered(data, net)(at)
            known[key] = operations(net, data.loss, x, y)
        arm.operations = known[key] / max(known[structure(arms[0].networks[0])], 1)
        arm.parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)


# -- training -----------------------------------------------------------------------------------------


def _stack(arms: list[Arm], loss: str, plan: Plan) -> Stack:
    from workbench.numerics.stacked_training import Stack

    return Stack([_group(a, plan) for a in arms], loss, plan.make, plan.rate, device=plan.device)


def _group(arm: Arm, plan: Plan) -> Group:
    from workbench.numerics.stacked_training import Group

    def warm(step: int) -> float:
        return 1 + (arm.factor - 1) * 0.5 * (1 + math.cos(math.pi * step / plan.budget))

    goes_on = arm.name in (CONTROL, OTHER)
    return Group(arm.networks, rates=warm if arm.factor != 1 else None, state=plan.state if goes_on else None)


def _train(
    stack: Stack,
    arms: list[Arm],
    training: Probe,
    held: Probe,
    order: torch.Tensor,
    points: np.ndarray,
    steps: Any,
    refused: dict[str, str],
) -> None:
    """Train a stack, evaluate it at the points, and leave losses and ranks with the arms."""
    take, judged = gathered_of(training, stack), held.tensors(stack.template)
    found = []
    for t in range(points[-1] + 1):
        if t in points:
            found.append(stack.evaluate(*judged).cpu().numpy())
        if t < points[-1]:
            next(steps)
            stack.step(*take(order[t]))
    losses = np.array(found, np.float64)  # (points, arms, seeds)
    for i, arm in enumerate(arms):
        arm.losses = losses[:, i]
        bad = int((~np.isfinite(arm.losses)).any(0).sum())
        if bad:
            refused[arm.name] = f"diverged with {bad} of {arm.losses.shape[1]} seeds"
            continue
        trained = [stack.network(i, s) for s in range(arm.losses.shape[1])]
        arm.rank = (room(arm.networks[0], held), float(np.mean([room(n, held) for n in trained])))


def gathered_of(training: Probe, stack: Stack) -> Callable[[torch.Tensor], tuple[Any, torch.Tensor]]:
    """Batches of the training data on the stack's device."""
    from workbench.numerics.stacked_training import gathered

    return gathered(training, stack.template)


def room(network: torch.nn.Module, held: Probe) -> float:
    """Effective rank of what the last layer is given, centred: in how many directions answers can still be told apart."""
    from workbench.numerics.per_sample import subset
    from workbench.numerics.renormalizing.layers import last_layer
    from workbench.numerics.spectra import effective_rank

    x = last_layer(network, subset(held, np.arange(min(len(held), RANKED)))).inputs
    rows = x.reshape(-1, x.shape[-1]).double().numpy()[: 4 * RANKED]
    s = np.linalg.svd(rows - rows.mean(0), compute_uv=False)
    return float(effective_rank(s)) if s.any() else 0.0
