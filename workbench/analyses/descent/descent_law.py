"""Law of descent: which curve a loss follows, with what else fits nearly as well."""

from __future__ import annotations

import zlib
from functools import partial
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.descent._curves import FEWEST, require_curve
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.evidence.nulls.named import Null
from workbench.numerics.averages import averaged
from workbench.numerics.controls import draw_several_until_clear
from workbench.numerics.descent_laws import (
    WIDEST,
    Fit,
    fit_law,
    fit_laws,
    fit_many,
    misfit,
    misfits_by_chance,
    redrawn,
    settled,
    simplest,
    slower,
)
from workbench.numerics.threads import one_thread
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

MOST_POINTS = 1000  # longer curves are averaged over neighbouring steps
LEVEL = 0.05
UNEVEN = 2.0  # ratio of the noise in two halves from which on a reader is told
CONSTANTS = {
    "level": "level",
    "start": "start",
    "floor": "floor",
    "time scale": "time_scale",
    "exponent": "exponent",
    "stretch": "stretch",
}  # ids of what is asked about each parameter of a law
OTHER_NOISE = (
    "what the law leaves wavers more slowly than a first-order autoregression does (the sum of its autocorrelations), and so than "
    "curves that are redrawn as one"
)
NEARLY = 6.0  # of a criterion: 20 to 1 by the likelihood, beyond which a law is no longer drawn


@analysis(title="Law")
def descent_law(
    descent: Descent,
    *,
    column: Annotated[str, Doc("Which recorded curve: 'loss', 'grad_norm' or whatever was logged.")] = "loss",
    scale: Annotated[
        Literal["log", "linear"],
        Doc("Where the noise is even: on the curve's logarithm (it shrinks with the curve) or on the curve."),
    ] = "log",
    criterion: Annotated[
        Literal["bic", "aic"],
        Doc("What chooses: BIC finds the law if it is among them, AIC the one that predicts best."),
    ] = "bic",
    split_at: Annotated[
        int | None,
        Interval(ge=1),
        Doc("A step at which a second law starts anew, as after a renormalization; None fits one law."),
    ] = None,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
) -> Curve:
    """Fit the usual laws to a curve of a descent and say which it can follow, and with which constants.

    Laws: exponential, power of the step (counted from 1), stretched exponential, each to 0 or to a floor. The noise
    is a first-order autoregression fitted with each law, so that the likelihoods behind AIC and BIC, and the
    intervals (curves redrawn from the law with noise as correlated, fitted again), count a correlated curve for
    the few independent points that it is worth. Where noise isn't such a one, nothing is tested and no interval given; nor are
    there intervals of a law that isn't the only one left. A law is ruled out where wider laws fit better than they fit curves that
    it made itself (5 %); of those left the simplest are named, all of them where the curve doesn't tell. With ``split_at``
    the nulls are curves that one law made, and the same curve joined at other steps: no real descent follows one law for
    ever, so only the second says that something happened at that step.

    Returns
    -------
    Curve
        The curve, the best law with its interval, and each law within 6 of it by the criterion.

    Raises
    ------
    DataError
        Fewer than 16 points (on either side), values that never change, or values of 0 and less with scale="log".

    References
    ----------
    Burnham and Anderson 2004, Multimodel inference: understanding AIC and BIC in model selection, Sociol. Methods
    Res. 33; Williams 1970, Discrimination between regression models to determine the pattern of enzyme synthesis,
    Biometrics 26 (one law tested with curves that another made); Cochrane and Orcutt 1949, JASA 44.
    """
    steps, values = descent.curve(column)
    log = scale == "log"
    require_curve(steps, values, descent.name, column, log)
    x, y, k = averaged(steps, values, MOST_POINTS, log=log)
    with one_thread():
        whole = _ordered(fit_laws(x - x[0], y, log=log), criterion)
        parts = _halves(x, y, split_at, log, criterion, descent.name) if split_at is not None else ()
    evidence: list[Evidence] = []
    named = ""
    if parts:
        names = (parts[0][0][0].law.name, parts[1][0][0].law.name)
        evidence += joined_evidence(x, y, whole[0], names, len(parts[0][1]), n_null, random_state)
        for side, (fits, at) in zip(("before", "after"), parts, strict=True):
            evidence += constants(fits[0], at, n_boot, random_state, side, f"step {split_at}")[0]
        titles, columns = _drawn_parts(parts, whole[0])
        low = high = np.full((len(x), len(titles)), np.nan)
    else:
        told, left, why = _choice_evidence(x, y, whole, n_null, random_state)
        evidence += told
        best = whole[0].law.name
        if why:
            named = f"No law is ruled out and no constant has an interval: {why}. "
        elif n_null:
            named = f"The curve follows {_any_of(left)}, as far as it tells; a law holds with more parameters too. "
        if n_null and not why and left != (best,):
            named += f"Since it isn't known to follow {best}, the constants of that have no interval. "
            n_boot = 0
        found, bands = constants(whole[0], x - x[0], 0 if why else n_boot, random_state)
        evidence += found
        near = [f for f in whole[1:] if _worse(f, whole[0], criterion) < NEARLY]
        titles = [whole[0].law.name, *(f"{f.law.name} (nearly as good)" for f in near)]
        columns = [whole[0].curve, *(f.curve for f in near)]
        low, high = (np.full((len(x), len(titles)), np.nan) for _ in range(2))
        if bands is not None:
            low[:, 0], high[:, 0] = bands
    blank = np.full((len(x), 1), np.nan)
    return Curve(
        x=x,
        y=np.column_stack([y, *columns]),
        names=(column, *titles),
        low=np.hstack([blank, low]),
        high=np.hstack([blank, high]),
        x_title="step",
        y_title=column,
        log=log,
        evidence=tuple(evidence),
        caveat=named + _said(whole, criterion, k),
    )


def _ordered(fits: list[Fit], criterion: str) -> list[Fit]:
    return sorted(fits, key=lambda f: f.bic if criterion == "bic" else f.aic)


def _worse(fit: Fit, best: Fit, criterion: str) -> float:
    return fit.bic - best.bic if criterion == "bic" else fit.aic - best.aic


def _halves(
    x: np.ndarray, y: np.ndarray, split_at: int, log: bool, criterion: str, owner: str
) -> tuple[tuple[list[Fit], np.ndarray], ...]:
    """The laws of either side, each with its clock set to 0 where it starts."""
    sides = (x < split_at, x >= split_at)
    if min(side.sum() for side in sides) < FEWEST:
        raise DataError(
            f"{owner}: split_at={split_at} leaves {sides[0].sum()} points before it and {sides[1].sum()} from it on; either "
            f"law takes {FEWEST} or more. The steps run from {x[0]:.0f} to {x[-1]:.0f}."
        )
    return tuple(
        (_ordered(fit_laws(x[s] - x[s][0], y[s], log=log), criterion), x[s] - x[s][0]) for s in sides
    )


def _choice_evidence(
    x: np.ndarray, y: np.ndarray, fits: list[Fit], n_null: int, random_state: int
) -> tuple[list[Evidence], tuple[str, ...], str]:
    """Which laws is the curve told from, and which are left, or why that can't be said?"""
    t = x - x[0]
    by_name = {f.law.name: f for f in fits}
    widest = [by_name[name] for name in WIDEST]
    likeliest = max(fits, key=lambda f: f.log_likelihood)
    why = OTHER_NOISE if slower(likeliest.innovations) else ""
    asked, left = [], []
    for fit in fits:
        name, value = fit.law.name, misfit(fit, widest)
        rng = np.random.default_rng([random_state, zlib.crc32(name.encode())])
        draws = np.empty(0)
        if n_null and not why:
            draws = draw_several_until_clear(
                partial(misfits_by_chance, settled(fit, t, rng), t, rng),
                value,
                n_null,
                f"descent_law: {name}",
            )
        null = Null(
            "linear_process",
            f"the curve follows {name}, with linear noise about it",
            f"curves that {name} made",
        )
        told = Evidence(
            id="misfit",
            of=name,
            question=f"Is the curve told from those that {name} makes?",
            label=f"log-likelihood by which wider laws fit better than {name}",
            value=value,
            n=len(x),
            unit="points",
            **(
                null.refused(why)
                if why
                else null.said(draws.tolist(), details="with noise as correlated as the data's")
            ),
        )
        asked.append(told)
        if told.p_value is not None and told.p_value > LEVEL:
            left.append(name)
    held = simplest(left)
    if n_null and not why:
        asked.append(
            Evidence(
                id="laws_left",
                question="How many laws can't be told apart by the curve?",
                label=f"laws that are left ({_any_of(held)})",
                value=len(held),
                n=len(x),
                unit="points",
                untested="it counts the laws that aren't ruled out at 5 %",
            )
        )
    return asked, held, why


def _any_of(names: tuple[str, ...]) -> str:
    """The laws that are left, in words."""
    return (
        "none of those tried" if not names else names[0] if len(names) == 1 else f"any of {', '.join(names)}"
    )


def joined_evidence(
    x: np.ndarray, y: np.ndarray, one: Fit, names: tuple[str, str], cut: int, n_null: int, random_state: int
) -> list[Evidence]:
    """Do two laws joined at a point say more than one does: than curves of one law would, and than at other points?

    Parameters
    ----------
    one : the law that is fitted to all. names : the laws before and after the point ``cut``.
    """

    def gain(values: np.ndarray, cut: int) -> np.ndarray:
        alone = fit_many(one.law.name, x - x[0], values, log=one.log).log_likelihoods
        sides = zip(names, (slice(cut), slice(cut, None)), strict=True)
        two = (fit_many(n, x[s] - x[s][0], values[:, s], log=one.log).log_likelihoods for n, s in sides)
        return np.asarray(sum(two) - alone)

    split_at = int(np.ceil(x[cut]))
    label = f"log-likelihood gain of two laws joined at step {split_at} over one"
    others = [c for c in range(FEWEST, len(x) - FEWEST + 1) if abs(c - cut) >= max(2, len(x) // 20)]
    value = float(gain(y[None], cut)[0])
    asked = {
        "value": value,
        "n": len(x),
        "unit": "points",
    }
    rng = np.random.default_rng([random_state, 0x6A6F696E])
    sides = zip(names, (slice(cut), slice(cut, None)), strict=True)
    new = np.concatenate([fit_law(n, x[s] - x[s][0], y[s], log=one.log).innovations for n, s in sides])
    why = OTHER_NOISE if slower(new) else ""
    with one_thread():
        draws = (
            gain(redrawn(settled(one, x - x[0], rng), n_null, rng), cut)
            if n_null and not why
            else np.empty(0)
        )
    # each other joint once: drawn over and over, a best of sixty would pass for a best of four hundred
    some = np.random.default_rng([random_state, 0x6F746872]).permutation(others)[:n_null]
    with one_thread():
        elsewheres = [float(gain(y[None], int(c))[0]) for c in track(some, "descent_law: other steps")]
    return [
        Evidence(
            id="gain_of_joint",
            question="Does one law fail where two that are joined hold?",
            label=label,
            null="" if why else "curves that one law made",
            null_details="" if why else one.law.name,
            null_values=() if why else tuple(draws),
            untested=why,
            hypothesis=f"the curve follows one law ({one.law.name})",
            **asked,  # type: ignore[arg-type]
        ),
        Evidence(
            id="gain_beside_other_joints",
            question=f"Is step {split_at} a better joint than other steps of the same curve are?",
            label=f"{label}, beside other joints",
            null="the joint at other steps" if others else "",
            null_values=tuple(elsewheres),
            hypothesis="the laws join as well elsewhere" if others else "",
            untested=""
            if others
            else f"the curve is too short for another joint with {FEWEST} points on either side",
            **asked,  # type: ignore[arg-type]
        ),
    ]


def constants(
    fit: Fit, t: np.ndarray, n_boot: int, random_state: int, side: str = "", joint: str = ""
) -> tuple[list[Evidence], tuple[np.ndarray, np.ndarray] | None]:
    """The law's parameters with intervals, and the band of its curve, from curves redrawn and fitted again.

    Parameters
    ----------
    side : "before" or "after" a ``joint`` of two laws; "" where there is one.
    """
    rng = np.random.default_rng([random_state, 0x6C6177])
    where = f" {side} {joint}" if side else ""
    intervals: list[tuple[float, float] | None] = [None] * len(fit.parameters)
    bands = None
    if n_boot > 1 and not slower(fit.innovations):
        with one_thread():
            made = settled(fit, t, rng)
            again = fit_many(fit.law.name, t, redrawn(made, n_boot, rng), log=fit.log)
        intervals = [_middle(p) for p in again.parameters.T]
        low, high = np.quantile(again.curves, [0.025, 0.975], axis=0)
        bands = (low, high)
    found = [
        Evidence(
            id=CONSTANTS[name],
            of=", ".join(filter(None, (fit.law.name, side))),
            question=f"What is the {name} of the {fit.law.name}{where}?",
            label=f"{name}{' in steps' if name == 'time scale' else ''} of the {fit.law.name}{where}",
            value=value,
            n=max(1, round(fit.effective_n)),
            unit="independent points' worth",
            interval=interval,
            interval_method="curves redrawn from the law with correlated noise, fitted again"
            if interval
            else "",
        )
        for name, value, interval in zip(fit.law.parameters, fit.parameters, intervals, strict=True)
    ]
    return found, bands


def _middle(values: np.ndarray) -> tuple[float, float]:
    """Middle 95 % of where one more draw would fall; the plain quantiles of a few dozen draws are too narrow."""
    low, high = np.quantile(values, [0.025, 0.975], method="weibull")
    return float(low), float(high)


def _drawn_parts(
    parts: tuple[tuple[list[Fit], np.ndarray], ...], one: Fit
) -> tuple[list[str], list[np.ndarray]]:
    """One column for the two laws joined, one for the single law."""
    joined = np.concatenate([fits[0].curve for fits, _ in parts])
    names = " then ".join(fits[0].law.name for fits, _ in parts)
    return [names, f"one law ({one.law.name})"], [joined, one.curve]


def _said(fits: list[Fit], criterion: str, averaged_over: int) -> str:
    others = ", ".join(f"{f.law.name} {_worse(f, fits[0], criterion):.1f}" for f in fits[1:])
    said = (
        f"Behind {fits[0].law.name} by {criterion.upper()}: {others}. The noise's correlation from one point to the next is "
        f"{fits[0].correlation:.2f}, so that {len(fits[0].curve)} points are worth {max(1, round(fits[0].effective_n))}."
    )
    new, half = fits[0].innovations, len(fits[0].innovations) // 2
    uneven = float(new[half:].std() / max(new[:half].std(), 1e-300))
    if not 1 / UNEVEN < uneven < UNEVEN:
        said += (
            f" On this scale the noise of the second half is {uneven:.2g} times that of the first, and the fit takes both for "
            f"equally sure: compare scale='{'linear' if fits[0].log else 'log'}'."
        )
    if averaged_over > 1:
        said += f" Each point is the mean of {averaged_over} steps."
    return said
