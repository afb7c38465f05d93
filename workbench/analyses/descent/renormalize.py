"""Renormalizations: what laying a new matrix over a network in mid-descent does to the descent that follows."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.descent._arms import (
    CONTROL,
    COSTLIER,
    OTHER,
    Arm,
    Experiment,
    Plan,
    data_of,
    learning_rate_at,
    optimizer_for,
    run,
)
from workbench.analyses.descent._over_steps import network_at
from workbench.core.device import resolve
from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Evidence, Outcome
from workbench.core.parameters import Few, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.optimizers import OptimizerName
from workbench.numerics.paired import holm, out_of_reach, paired_interval, sign_flips
from workbench.numerics.renormalizing import OPERATORS, Settings, in_words
from workbench.results.paths import Paths
from workbench.subjects.descents.trajectory import Descent

LEVEL = 0.05
ArmName = Literal[
    "all", "whitening", "flattening", "weight_norm", "batch_norm", "widening", "shrink_perturb", "tethering"
]


@analysis(title="Renormalizations")
def renormalize(
    descent: Descent,
    *,
    arm: Annotated[
        ArmName, Doc("Which renormalizations; a control and mere restarts are run beside them in any case.")
    ] = "all",
    step: Annotated[
        int | None, Interval(ge=0), Doc("Where the descent is forked; None is where fork says.")
    ] = None,
    fork: Annotated[
        Literal["end", "plateau"],
        Doc(
            "Without a step: at the last step with weights before the end, or at the first in the last plateau that plateaus finds."
        ),
    ] = "end",
    budget: Annotated[int, Interval(ge=1, le=2000), Few(5), Doc("Updates of every arm.")] = 100,
    repeats: Annotated[
        int,
        Interval(ge=3, le=64),
        Few(3),
        Doc("Seeds: batches (the same for every arm) and what an arm draws."),
    ] = 12,
    batch_size: Annotated[
        int, Interval(ge=1, le=4096), Doc("Samples of an update, drawn with replacement.")
    ] = 64,
    layers: Annotated[
        str, Doc("Which layers are acted on, a pattern of their names (encoder.*); * is all.")
    ] = "*",
    strength: Annotated[
        float, Interval(ge=0, le=1), Doc("How far whitening, flattening and tethering go; 1 is all the way.")
    ] = 1.0,
    shrink: Annotated[
        float, Interval(gt=0, le=1), Doc("What shrink-and-perturb multiplies weights by.")
    ] = 0.5,
    noise: Annotated[
        float,
        Interval(ge=0, le=0.9),
        Doc(
            "Noise of shrink-and-perturb, of a tensor's own deviation; in widening, by how much the shares of copies differ."
        ),
    ] = 0.1,
    widening: Annotated[
        float, Interval(gt=1, le=4), Doc("Hidden units after widening, over those before.")
    ] = 1.5,
    tethered: Annotated[
        float, Interval(ge=0, le=1), Doc("Share of each layer's edges that is tethered and stays.")
    ] = 0.1,
    tether_source: Annotated[
        Literal["gradient_weight", "fisher", "magnitude", "random"],
        Doc("What edges are tethered by; random is the control."),
    ] = "gradient_weight",
    rate_factors: Annotated[
        tuple[Annotated[float, Interval(ge=1, le=100)], ...],
        Doc(
            "Learning rates at the start of learning-rate restarts, over the usual one; each is an arm, the best is compared with."
        ),
    ] = (2.0, 8.0, 32.0),
    arm_rate: Annotated[
        float,
        Interval(ge=1, le=100),
        Doc("Learning rate at the start of a renormalization, over the usual one, as in a restart."),
    ] = 1.0,
    learning_rate: Annotated[
        float | None,
        Interval(gt=0, le=100),
        Doc("Learning rate of all arms; None is the descent's own at that step."),
    ] = None,
    optimizer: Annotated[
        Literal["recorded", OptimizerName],
        Doc("What makes the updates; recorded is the descent's own, with its settings and state."),
    ] = "recorded",
    n_null: NullDraws = 999,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Paths:
    """Fork a descent at a step, renormalize the network in several ways, train on for the same budget, and compare.

    Every arm and the untouched control see the same batches within a seed, so that differences of held-out loss at the
    end of the budget are paired. *Other batches* is the control with other batches: what chance does. *Restart* forgets
    the optimizer's state and nothing else; every renormalization forgets it too, since it belongs to weights that are no
    more. *Learning rate ×f* also raises the rate and lowers it to the usual one by a cosine. A renormalization that doesn't
    end lower than the best of these restarts did nothing beyond a restart; with ``arm_rate`` it gets a restart of its own.

    The function that the network computes is preserved by whitening, flattening, weight and batch normalization and
    widening (to 1e-5 of the largest output, checked on the data at the moment they act, or refused), not by
    shrink-and-perturb and tethering. Whitening's matrix is fixed and flattening's is trained; both fold into a weight of
    the old shape. All networks of a structure are trained at once (`torch.func.vmap`).

    Intervals are Student's of the paired differences over seeds; the null changes their signs at random; p-values in
    the table are corrected for the number of arms (Holm). Seeds differ in batches and draws and share the forked network:
    the answer is about this descent.

    Returns
    -------
    Paths
        By how much each arm ended below the control; its table says the same of the better restart and at equal operations,
        by how much outputs moved, and the effective rank of the last layer's inputs at fork and end (the room that is left).
        ``figure(paths=True)`` draws the differences over steps.

    Raises
    ------
    ViewError, MissingError
        Weights, network or probe are missing, or there are no weights at this step.
    DataError
        The renormalization that was asked for can act on no layer (with the reason), the control diverged, or there is no
        plateau.
    ParameterError
        The learning rate or the optimizer is not recorded.

    References
    ----------
    Desjardins et al. 2015, Natural neural networks, NeurIPS; Salimans and Kingma 2016, Weight normalization, NeurIPS; Ioffe
    and Szegedy 2015, Batch normalization, ICML; Chen, Goodfellow and Shlens 2016, Net2Net, ICLR; Loshchilov and Hutter
    2017, SGDR, ICLR; Ash and Adams 2020, On warm-starting neural network training, NeurIPS; Holm 1979, Scand. J. Statist. 6.
    """
    descent.require(weights=1, network=True, probe=True)
    if step is None:
        step = _on_plateau(descent, random_state) if fork == "plateau" else int(descent.weight_steps[-2:][0])
    network = network_at(descent, step)
    for name, p in network.named_parameters():
        p.requires_grad_(name in descent.parameter_names)
    make, state = optimizer_for(descent, optimizer, step)
    training, held, said = data_of(descent, random_state)
    plan = Plan(
        operators=tuple(OPERATORS) if arm == "all" else (arm,),
        budget=budget,
        repeats=repeats,
        batch_size=batch_size,
        settings=Settings(layers, strength, shrink, noise, widening, tethered, tether_source),
        rate=learning_rate_at(descent, step) if learning_rate is None else learning_rate,
        factors=rate_factors,
        arm_factor=arm_rate,
        make=make,
        state=state,
        random_state=random_state,
        device=resolve(device),
    )
    found = run(network, training, held, plan)
    return _ranking(found, step, plan, n_null, said)


def _on_plateau(descent: Descent, random_state: int) -> int:
    """The first step with weights in the last plateau of the loss.

    Raises
    ------
    DataError
        There is none, or no weights were kept in it.
    """
    from workbench.analyses.descent.plateaus import plateaus

    found = plateaus.function(descent, n_boot=40, random_state=random_state)
    if not len(found.spans):
        raise DataError(
            f"{descent.name} has no plateau (workbench.plateaus finds none): choose where to fork with step=, "
            f"or fork='end'."
        )
    start, end = found.spans[-1]
    kept = descent.weight_steps[(descent.weight_steps >= start) & (descent.weight_steps <= end)]
    if not len(kept):
        raise DataError(
            f"{descent.name} has a plateau from step {start:.0f} to {end:.0f} and no weights in it: record with weights_at=, or choose "
            f"a step= that has weights."
        )
    return int(kept[0])


def _ranking(found: Experiment, step: int, plan: Plan, n_null: int, said: str) -> Paths:
    """Differences of every arm from the control, and from the better of the restarts."""
    arms = found.arms
    if not arms:
        raise ParameterError(
            f"Every arm diverged within budget={plan.budget}: lower learning_rate or rate_factors."
        )
    ends = {a.name: _losses(a)[-1] for a in [found.control, *arms]}
    restarts = [a.name for a in arms if not a.operator and a.name != OTHER]
    best = min(restarts, key=lambda n: ends[n].mean()) if restarts else CONTROL
    paths = np.stack([_losses(found.control) - _losses(a) for a in arms])  # (arms, points, seeds)
    beyond = np.stack([ends[best] - ends[a.name] for a in arms])
    low, high = paired_interval(np.moveaxis(paths, 2, 0))
    beyond_low, beyond_high = paired_interval(beyond.T)
    equal = np.array([_at_equal_operations(a, found, plan).mean() for a in arms])
    draws = n_null, plan.random_state
    evidence = [
        _evidence("below_control", a.name, CONTROL, paths[i, -1], (low[i, -1], high[i, -1]), *draws)
        for i, a in enumerate(arms)
    ]
    renewing = [i for i, a in enumerate(arms) if a.operator]
    more = [
        _evidence(
            "below_best_restart", arms[i].name, best, beyond[i], (beyond_low[i], beyond_high[i]), *draws
        )
        for i in renewing
    ]
    columns = {
        f"lower than {best}": beyond.mean(1),
        "low (against it)": beyond_low,
        "high (against it)": beyond_high,
        "at equal operations": equal,
        "operations": np.array([a.operations for a in arms]),
        "parameters": np.array([float(a.parameters) for a in arms]),
        "outputs moved by": np.array([a.moved for a in arms]),
        "rank at fork": np.array([a.rank[0] for a in arms]),
        "rank at end": np.array([a.rank[1] for a in arms]),
    }
    if n_null:
        ours = holm(np.array([e.p_value for e in evidence]))
        theirs = np.ones(len(arms))
        theirs[renewing] = holm(np.array([e.p_value for e in more]))
        columns = {"p (Holm)": ours, **columns, f"p against {best} (Holm)": theirs}
        against = _verdict(
            [arms[i] for i in renewing], beyond.mean(1)[renewing], theirs[renewing], f"mere {best}"
        )
        said = f"{_verdict(arms, paths[:, -1].mean(1), ours, CONTROL)} {against} {said}"
    ordered = _foremost(renewing, paths[:, -1].mean(1), evidence, more if restarts else [])
    few = out_of_reach(plan.repeats, n_null, len(arms))
    return Paths(
        names=tuple(a.name for a in arms),
        scores=paths[:, -1].mean(1),
        low=low[:, -1],
        high=high[:, -1],
        quantity="held-out loss below the control's",
        reference=best,
        columns=np.stack(list(columns.values()), 1),
        column_names=tuple(columns),
        paths=paths.mean(2),
        path_low=low,
        path_high=high,
        path_x=found.points.astype(np.float64) + step,
        path_title="step",
        evidence=tuple(ordered),
        outcome=Outcome("stopped", few) if few else Outcome(),
        caveat=" ".join([said.strip(), *_refusals(found)]),
    )


def _foremost(
    renewing: list[int], scores: np.ndarray, evidence: list[Evidence], more: list[Evidence]
) -> list[Evidence]:
    """All evidence, that of the renormalization that ended lowest first."""
    every = [*evidence, *more]
    if not renewing:
        return every
    foremost = evidence[max(renewing, key=lambda i: scores[i])].of
    return sorted(every, key=lambda e: e.of != foremost)


def _losses(arm: Arm) -> np.ndarray:
    assert arm.losses is not None
    return arm.losses


def _at_equal_operations(arm: Arm, found: Experiment, plan: Plan) -> np.ndarray:
    """The difference where the arm has made as many operations as the control has at the end."""
    spent = plan.budget if arm.operations <= COSTLIER else round(plan.budget / arm.operations)
    at = int(np.searchsorted(found.points, spent))
    return _losses(found.control)[-1] - _losses(arm)[at]


def _evidence(
    id: str,
    name: str,
    other: str,
    differences: np.ndarray,
    interval: tuple[float, float],
    n_null: int,
    random_state: int,
) -> Evidence:
    return Evidence(
        question=f"Does {name} end at another held-out loss than {other}?",
        id=id,
        of=name,
        label=f"{name}: held-out loss below that of {other}",
        value=float(differences.mean()),
        n=len(differences),
        unit="seeds",
        interval=interval,
        interval_method="Student's t of paired differences over seeds",
        null="signs of the differences drawn anew" if n_null else "",
        hypothesis=f"{name} and {other} end alike",
        null_values=tuple(sign_flips(differences, n_null, random_state)),
        alternative="two-sided",
    )


def _verdict(arms: list[Arm], means: np.ndarray, p: np.ndarray, other: str) -> str:
    """Which arms ended lower and higher, after correction, in a sentence."""
    if not arms:
        return ""
    better = [a.name for a, m, q in zip(arms, means, p, strict=True) if q <= LEVEL and m > 0]
    worse = [a.name for a, m, q in zip(arms, means, p, strict=True) if q <= LEVEL and m < 0]
    many = f"{len(arms)} arms" if len(arms) > 1 else "one arm"
    return f"Of {many}, corrected (Holm, {LEVEL:g}), lower than {other}: {_listed(better)}; higher: {_listed(worse)}."


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _refusals(found: Experiment) -> list[str]:
    out = [f"Not run, {name}: {why}." for name, why in found.refused.items()]
    for arm in found.arms:
        if arm.refused:
            out.append(f"{arm.name[0].upper()}{arm.name[1:]} left out: {in_words(arm.refused)}.")
    if found.one_by_one:
        out.append(f"Networks were trained one by one ({found.one_by_one}).")
    return out
