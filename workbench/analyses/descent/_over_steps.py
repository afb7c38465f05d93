"""What measures over a descent share: which steps and samples, intervals over samples, the control, and the curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError, ParameterError, ViewError, suggest
from workbench.core.evidence import Alternative, Evidence
from workbench.core.parameters import Few
from workbench.core.patterns import layer_said, matching
from workbench.numerics.objectives import Probe
from workbench.numerics.resampling import null_draws, percentile_interval, subsample_intervals
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int

MaxSteps = Annotated[
    int,
    Interval(ge=1, le=1000),
    Few(3),
    Doc("Steps with weights that are looked at, evenly chosen among those kept, first and last with them."),
]
MaxSamples = Annotated[
    int,
    Interval(ge=4, le=100_000),
    Doc("Samples of the probe that are looked at, drawn by the seed; a rank is at most this."),
]
Layers = Annotated[
    str,
    Doc(
        "Which layers, a pattern of their names (encoder.*); * is all, of which at most 8 are looked at, evenly chosen."
    ),
]
MAX_LAYERS = 8
BETWEEN = 19  # draws at steps between the first and the last, where they are a band and no test


@dataclass(frozen=True)
class Wording:
    """How a measure is spoken of.

    Attributes
    ----------
    id : that of what is asked at the last step; what has changed since the first has the id ``change``.
    measure : what it is ("effective rank of gradients"); a column's name follows it.
    null : what was destroyed to make the null draws. hypothesis : what is true where the null is.
    alternative : in which direction it would be contradicted.
    question : about one column at the last step, with ``{name}`` in it.
    interval : how intervals were made. unit : of what there are n.
    """

    id: str
    measure: str
    question: str
    null: str
    hypothesis: str
    alternative: Alternative
    interval: str = "half of the samples at a time"
    unit: str = "samples"


@dataclass(frozen=True)
class Measured:
    """A measure at each step (t) and in each column (m), with intervals, and draws of the null.

    Attributes
    ----------
    changes : intervals of last minus first, one a column; None where there are none.
    draws : (d, t, m), NaN at steps without a null. A draw makes the same random choices at every step, so that what it
        changes by from step to step is a draw too.
    """

    values: Float[np.ndarray, "t m"]
    low: Float[np.ndarray, "t m"]
    high: Float[np.ndarray, "t m"]
    changes: Sequence[tuple[float, float] | None]
    draws: Float[np.ndarray, "d t m"]


def chosen_steps(descent: Descent, max_steps: int) -> Int[np.ndarray, " t"]:
    """Steps with weights, evenly chosen in their order; with a single one, the last."""
    kept = descent.weight_steps
    at = np.linspace(len(kept) - 1, 0, min(max_steps, len(kept))).round().astype(int)[::-1]
    return kept[at]


def network_at(descent: Descent, step: int) -> torch.nn.Module:
    """The network with a step's weights; refused where they are not finite.

    Raises
    ------
    DataError
        The descent has diverged by then.
    """
    network = descent.network(step)
    for name, p in network.named_parameters():
        require_finite_weights(descent, step, p.detach().cpu().numpy(), name)
    return network


def require_finite_weights(descent: Descent, step: int, values: np.ndarray, name: str) -> None:
    """Refuse weights that are not finite, with the steps before them.

    Raises
    ------
    DataError
        The descent has diverged by then.
    """
    if not np.isfinite(values).all():
        diverged = descent.trajectory.diverged
        before = diverged if diverged is not None else step
        raise DataError(
            f"{descent.name} has weights at step {step} that are not finite (in {name}): it has diverged by then. "
            f"Ask about the steps before: .select('step < {before}')."
        )


def some_samples(probe: Probe, max_samples: int, random_state: int, least: int = 4) -> Probe:
    """The probe, or some of its samples.

    Raises
    ------
    DataError
        It has fewer samples than any interval could rest on.
    """
    from workbench.numerics.per_sample import subset

    n = len(probe)
    if n < least:
        raise DataError(
            f"The probe has {n} samples; this takes at least {least}. Give more with trajectory.with_probe(x, y, loss)."
        )
    if n <= max_samples:
        return probe
    rng = np.random.default_rng([random_state, 0x73616D])
    return subset(probe, np.sort(rng.choice(n, max_samples, replace=False)))


def chosen_layers(names: Sequence[str], pattern: str) -> tuple[list[str], str]:
    """The layers that match a pattern, evenly chosen where they are many, and what to say of those left out.

    Raises
    ------
    ParameterError
        None matches.
    """
    found = matching(names, pattern)
    if not found:
        raise ParameterError(f"layers={pattern!r} matches no layer. {suggest(pattern, names)}")
    at = np.unique(np.linspace(0, len(found) - 1, min(MAX_LAYERS, len(found))).round().astype(int))
    said = (
        f"{len(at)} of {len(found)} layers, evenly chosen; name others with layers=."
        if len(at) < len(found)
        else ""
    )
    return [found[i] for i in at], said


def trained_parameters(descent: Descent) -> tuple[str, ...]:
    """The trained parameters that the network has as such: no buffers, and of tied weights the first name.

    Raises
    ------
    ViewError
        There are none.
    """
    held = {n for n, _ in descent.trajectory.model.named_parameters()} if descent.trajectory.model else set()
    found = tuple(n for n in descent.parameter_names if n in held)
    if not found:
        raise ViewError(
            f"None of the weights of {descent.name} ({', '.join(descent.parameter_names[:5])}) is a parameter of its network: "
            f"attach the one that was trained with .with_model(module)."
        )
    return found


def layers_of(names: Sequence[str]) -> dict[str, list[str]]:
    """Modules that own parameters, and the parameters' names; a parameter of the whole network is its own layer."""
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(name.rpartition(".")[0] or name, []).append(name)
    return layers


def shuffled_weights(network: torch.nn.Module, names: Sequence[str], rng: np.random.Generator) -> None:
    """Permute the entries of each named parameter, in place: its sizes stay, what training wrote into their order goes."""
    import torch

    held = dict(network.named_parameters())
    with torch.no_grad():
        for name in names:
            p = held[name]
            order = torch.from_numpy(rng.permutation(p.numel())).to(p.device)
            p.copy_(p.reshape(-1)[order].reshape(p.shape))


def null_at(
    draw: Callable[[np.random.Generator], np.ndarray],
    step: int,
    steps: Int[np.ndarray, " t"],
    n_null: int,
    random_state: int,
    what: str,
) -> Float[np.ndarray, "d m"]:
    """Draw the null of a measure at a step, with the same random choices at each; NaN where it has fewer than ``n_null``.

    The first and the last step are tested, and have all draws; those between have a band.

    Parameters
    ----------
    draw : gives (m,) values. what : the method's name.
    """
    many = n_null if step in (steps[0], steps[-1]) else min(n_null, BETWEEN)
    drawn = null_draws(draw, many, random_state, f"{what}: null at step {step}")
    if not many:
        return np.empty((0, 0))
    return np.pad(drawn, ((0, n_null - many), (0, 0)), constant_values=np.nan)


def over_samples(
    statistic: Callable[[Int[np.ndarray, " s"]], Float[np.ndarray, "t m"]],
    n: int,
    n_boot: int,
    random_state: int,
    draws: Float[np.ndarray, "d t m"] | Sequence[Float[np.ndarray, "d m"]],
    least: float = -np.inf,
) -> Measured:
    """Measure on all samples, and get the intervals of each value and of each change from random halves of them.

    Parameters
    ----------
    statistic : of positions of samples, (t, m). least : the smallest value that it can take.
    draws : of the null, or those at each step.
    """

    def both(at: np.ndarray) -> np.ndarray:
        found = statistic(at)
        return np.concatenate([found.ravel(), found[-1] - found[0]])

    values = statistic(np.arange(n))
    intervals = subsample_intervals(
        both, np.concatenate([values.ravel(), values[-1] - values[0]]), n, n_boot, random_state
    )
    t, m = values.shape
    nan = (np.nan, np.nan)
    band = np.array([i or nan for i in intervals[: t * m]]).reshape(t, m, 2)
    if not isinstance(draws, np.ndarray):
        draws = np.stack(draws, axis=1) if len(draws[0]) else np.empty((0, t, m))
    return Measured(values, np.maximum(band[..., 0], least), band[..., 1], intervals[t * m :], draws)


def curve(
    descent: Descent,
    steps: Int[np.ndarray, " t"],
    names: Sequence[str],
    measured: Measured,
    n: int,
    wording: Wording,
    **more: Any,
) -> Curve:
    """The curve over steps; its evidence is, for each column, the last step beside the null and the change since the first."""
    w, asked, said_of = wording, [], [layer_said(n) for n in names]
    last, first = int(steps[-1]), int(steps[0])
    for j, name in enumerate(said_of):
        value, draws = measured.values[-1, j], measured.draws[:, -1, j]
        interval = (float(measured.low[-1, j]), float(measured.high[-1, j]))
        draws = draws[np.isfinite(draws)]
        said = f"{w.measure}{', ' if name else ''}{name}"
        asked.append(
            Evidence(
                id=w.id,
                of=names[j],
                question=w.question.format(name=name),
                label=f"{said} at step {last}",
                value=value,
                n=n,
                unit=w.unit,
                interval=interval if np.isfinite(interval).all() else None,
                interval_method=w.interval if np.isfinite(interval).all() else "",
                null=w.null if len(draws) else "",
                hypothesis=w.hypothesis,
                null_values=tuple(draws),
                alternative=w.alternative,
            )
        )
        if len(steps) > 1:
            asked.append(_change(names[j], said, measured, j, (first, last), n, w))
    t, m = measured.values.shape
    null = np.empty((2, 0, 0))
    if np.isfinite(measured.draws).any(axis=(0, 2)).sum() > 1 or (t == 1 and len(measured.draws)):
        bands = [[_band(measured.draws[:, i, j]) for j in range(m)] for i in range(t)]
        null = np.array(bands).transpose(2, 0, 1)
    banded = bool(np.isfinite(measured.low).any())
    empty = np.empty((0, 0))
    return Curve(
        x=steps.astype(np.float64),
        y=measured.values,
        names=tuple(n or w.measure for n in said_of),
        low=measured.low if banded else empty,
        high=measured.high if banded else empty,
        null_low=null[0],
        null_high=null[1],
        x_title="step",
        evidence=tuple(asked),
        **more,
    )


def _change(
    name: str, said: str, measured: Measured, j: int, steps: tuple[int, int], n: int, w: Wording
) -> Evidence:
    """What a column changed by, beside what the null's draws did, each from the same random choices at both steps."""
    first, last = steps
    draws = measured.draws[:, -1, j] - measured.draws[:, 0, j]
    draws = draws[np.isfinite(draws)]
    interval = measured.changes[j]
    return Evidence(
        id="change",
        of=name,
        question=f"Did it change from step {first} to step {last} otherwise than {w.null} would have it ({said})?"
        if len(draws)
        else f"Did it change from step {first} to step {last} ({said})?",
        label=f"change of {said} from step {first} to {last}",
        value=measured.values[-1, j] - measured.values[0, j],
        n=n,
        unit=w.unit,
        interval=interval,
        interval_method=w.interval if interval else "",
        null=w.null if len(draws) else "",
        null_details="at both steps alike" if len(draws) else "",
        hypothesis=f"{w.hypothesis}, at both steps" if len(draws) else "",
        null_values=tuple(draws),
        alternative="two-sided",
        untested="" if len(draws) else "the interval answers it",
    )


def _band(draws: np.ndarray) -> tuple[float, float]:
    drawn = draws[np.isfinite(draws)]
    return percentile_interval(drawn) if len(drawn) else (np.nan, np.nan)
