"""Plateaus: where a descent changes its pace, and where it has stopped."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.descent._curves import require_curve
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence, Outcome
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.linear_process import NULL
from workbench.evidence.nulls.named import Null
from workbench.numerics.averages import averaged
from workbench.numerics.joinpoints import (
    TWO,
    Joined,
    MoreJoints,
    noise_size,
    refitted,
    sequence,
    unlikely,
)
from workbench.numerics.resampling import percentile_interval
from workbench.numerics.slow_noise import family
from workbench.numerics.threads import one_thread
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

MOST_POINTS = 400  # longer curves are averaged over neighbouring steps
FEWEST = 5  # points of a stretch


@analysis
def plateaus(
    descent: Descent,
    *,
    column: Annotated[str, Doc("Which recorded curve: 'loss', 'grad_norm' or whatever was logged.")] = "loss",
    scale: Annotated[
        Literal["log", "linear"],
        Doc("Whether paces are those of the curve's logarithm (per cent a step) or of the curve itself."),
    ] = "log",
    clock: Annotated[
        Literal["auto", "step", "log step"],
        Doc(
            "In which time a steady descent is a straight line: step (exponential), log step (power law); auto takes the likelier."
        ),
    ] = "auto",
    level: Annotated[
        float,
        Interval(gt=0, le=0.5),
        Doc("False-alarm rate: how often a steady descent may be given a change."),
    ] = 0.05,
    flat: Annotated[
        float,
        Interval(gt=0, le=1),
        Doc("A plateau is surely slower than this share of the whole descent's average pace."),
    ] = 0.25,
    most: Annotated[int, Interval(ge=1, le=12), Doc("Changes that are looked for at most.")] = 6,
    shortest: Annotated[
        float, Interval(ge=0.01, le=0.4), Doc("Shortest stretch, as a share of the curve.")
    ] = 0.06,
    n_null: NullDraws = 199,
    n_boot: BootstrapDraws = 100,
    random_state: Seed = 0,
) -> Curve:
    """Cut a descent into stretches of steady pace, at changes that noise would seldom feign, and name the plateaus.

    Joined straight lines in independent noise on a slow one, whose share and memory, up to a random walk's, are fitted. A
    change, or two as where a rest begins and ends, is taken where it gains more likelihood than ``1 - level`` of curves
    redrawn without it; then more are asked for beside it. Slow noise feigns rests: one that is no larger than what slow
    noise of the curve's own size could do is not found, be it there or not. A plateau is a stretch whose pace, to the upper
    end of its interval, is less than ``flat`` of the average. A law that bends in the chosen clock is cut into pieces too,
    which then says that the law doesn't hold, not that something happened.

    Returns
    -------
    Curve
        The curve and its lines; plateaus are shaded. ``spans`` has their steps.

    Raises
    ------
    DataError
        Fewer than 16 points, values that never change, or values of 0 and less with scale="log".

    References
    ----------
    Kim, Fay, Feuer, Midthune 2000, Permutation tests for joinpoint regression with applications to cancer rates,
    Statist. Med. 19; Bai and Perron 1998, Estimating and testing linear models with multiple structural changes,
    Econometrica 66; Perron and Yabu 2009, Testing for shifts in trend with an integrated or stationary noise component, J.
    Bus. Econ. Stat. 27; Müller and Watson 2008, Testing models of low-frequency variability, Econometrica 76.
    """
    steps, values = descent.curve(column)
    log = scale == "log"
    require_curve(steps, values, descent.name, column, log)
    x, averages, k = averaged(steps, values, MOST_POINTS, log=log)
    y = np.log(averages) if log else averages
    length = max(FEWEST, round(shortest * len(x)))
    if len(x) < 2 * length + 1:
        raise DataError(
            f"{descent.name} has {len(x)} points of column {column}, and shortest={shortest} takes {length} for either stretch."
        )
    with one_thread():
        named, time = _clock(x, y, clock)
        fit, tests = sequence(
            time, y, shortest=length, most=most, level=level, n_null=n_null, random_state=random_state
        )
        rng = np.random.default_rng([random_state, 0x70616365])
        redrawn = np.array([_paces(time, again) for again in refitted(time, fit, length, n_boot, rng)])
    paces = _paces(time, fit)
    intervals = [percentile_interval(redrawn[:, j]) if n_boot > 1 else None for j in range(len(paces))]
    stalled = [_stalled(p, i, flat, len(paces)) for p, i in zip(paces, intervals, strict=True)]
    spans = _spans(x, fit, stalled)
    evidence = _tested(tests, x, fit)
    evidence += _paced(x, fit, paces, stalled, named, k)
    made = np.exp(fit.curve) if log else fit.curve
    return Curve(
        x=x,
        y=np.column_stack([averages, made]),
        names=(column, "steady stretches"),
        x_title="step",
        y_title=column,
        log=log,
        spans=np.array(spans).reshape(-1, 2),
        span_names=("plateau",) * len(spans),
        evidence=tuple(evidence),
        outcome=_outcome(fit, most, level, n_null),
        caveat=_caveat(named, fit, flat, k),
    )


def _clock(x: np.ndarray, y: np.ndarray, clock: str) -> tuple[str, np.ndarray]:
    """The clock's name and its time, from 0 to 1."""
    since = x - x[0]
    clocks = {"step": since / since[-1], "log step": np.log1p(since) / np.log1p(since[-1])}
    if clock != "auto":
        return clock, clocks[clock]

    models = family(noise_size(y))
    best = min(clocks, key=lambda name: unlikely(clocks[name], y, models))
    return best, clocks[best]


def _paces(time: np.ndarray, fit: Joined) -> np.ndarray:
    """How fast each stretch falls, as a share of the average over all; with one stretch, of what it falls."""
    fall = (fit.curve[0] - fit.curve[-1]) / (time[-1] - time[0])
    return -fit.slopes / (abs(fall) if len(fit.slopes) > 1 and fall else 1.0)


def _stalled(pace: float, interval: tuple[float, float] | None, flat: float, stretches: int) -> bool:
    """Whether a stretch is a plateau: surely slow, and not surely rising as fast as that.

    A curve of one stretch has no other to be slower than: it is one if its interval has 0 in it.
    """
    low, high = interval if interval is not None else (pace, pace)
    return low <= 0 <= high if stretches == 1 else high < flat and high > -flat


def _spans(x: np.ndarray, fit: Joined, stalled: list[bool]) -> list[tuple[float, float]]:
    ends = x[fit.bounds]
    return [(float(a), float(b)) for a, b, s in zip(ends[:-1], ends[1:], stalled, strict=True) if s]


def _tested(tests: list[tuple[int, MoreJoints]], x: np.ndarray, fit: Joined) -> list[Evidence]:
    """One question a test, and where each change is.

    Neither steps nor paces have intervals: those of curves redrawn along the lines covered what they should in 20 to 82 of
    100, since a change that is found lies where noise helped it.
    """
    found = [
        Evidence(
            question=f"Is there a change of pace{f' beside the {j} found' if j else ''}?",
            n=len(x),
            unit="points",
            id="gain_of_change",
            of=str(j + 1),
            label=f"log-likelihood gained by a change{f' beside {j}' if j else ''}, or by two times {TWO:.2g}",
            value=test.value,
            **Null(
                NULL.name,
                ("the pace is steady" if not j else f"the pace changes {j} times and no more")
                + ", the rest being linear noise",
                "curves of steady pace" if not j else f"curves of {j} change{'s' if j > 1 else ''}",
            ).said(test.draws.tolist(), details=f"in noise like theirs, {test.noise}"),
        )
        for j, test in tests
    ]
    for j, knot in enumerate(fit.knots):
        found.append(
            Evidence(
                question=f"At which step does the pace change ({j + 1} of {len(fit.knots)})?",
                id="step_of_change",
                of=str(j + 1),
                label=f"step of change {j + 1}",
                value=x[knot],
                n=len(x),
                unit="points",
            )
        )
    return found


def _paced(
    x: np.ndarray,
    fit: Joined,
    paces: np.ndarray,
    stalled: list[bool],
    named: str,
    averaged_over: int,
) -> list[Evidence]:
    ends = x[fit.bounds]
    share = ", as a share of the average" if len(paces) > 1 else f" (fall over the whole {named})"
    return [
        Evidence(
            id="pace",
            of=f"stretch {j}",
            question=f"Is the descent at rest from step {a:.0f} to {b:.0f}?",
            label=f"pace from step {a:.0f} to {b:.0f}{share}{', a plateau' if rest else ''}",
            value=pace,
            n=int((b - a) / max(x[1] - x[0], 1)) or 1,
            unit="points",
        )
        for j, (a, b, pace, rest) in enumerate(zip(ends[:-1], ends[1:], paces, stalled, strict=True), start=1)
    ]


def _outcome(fit: Joined, most: int, level: float, n_null: int) -> Outcome:
    if n_null and 1 / (1 + n_null) > level:
        return Outcome(
            "stopped",
            f"n_null={n_null} draws can't reach level={level:g}: raise n_null to {int(np.ceil(1 / level)) - 1} or more.",
        )
    if len(fit.knots) == most:
        return Outcome("stopped", f"stopped at {most} changes: raise most to look for more.")
    return Outcome()


def _caveat(named: str, fit: Joined, flat: float, averaged_over: int) -> str:
    law = "an exponential" if named == "step" else "a power law"
    said = (
        f"A steady pace is a straight line in the {named}, as of {law}; a plateau is surely slower than {flat:.0%} of the "
        f"average. The noise about the lines is likeliest {fit.noise}."
    )
    if np.isinf(fit.noise.memory):
        said += " A random walk feigns changes: one that is not found may be there all the same."
    if averaged_over > 1:
        said += f" Each point is the mean of {averaged_over} steps."
    return said
