"""Usefulness: what a forecaster learns from a synthetic series, tried on real steps, beside what it learns from real ones."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.synthetic._parts import HeldOut, Parts, parts_of
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.no_order import NULL
from workbench.numerics.controls import Draw, hardest
from workbench.numerics.likeness.forecasters import Forecast, Kind, learn, rows, stretches
from workbench.numerics.resampling import null_draws
from workbench.numerics.threads import one_thread
from workbench.results.estimate import Estimate
from workbench.subjects.series import Series

KINDS: tuple[Kind, ...] = ("boosted", "linear")
FEWEST = 20  # forecasts of a part
MOST = 3000  # steps of a part, its last


@analysis
def usefulness(
    real: Series,
    synthetic: Annotated[Series, Unpaired],
    *,
    held_out: HeldOut = 1 / 3,
    lags: Annotated[int, Interval(ge=1, le=32), Doc("Last steps that a forecaster sees.")] = 4,
    ahead: Annotated[
        int, Interval(ge=1, le=100), Doc("The farther of two horizons, in steps; the nearer is one step.")
    ] = 4,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 20,
    random_state: Seed = 0,
) -> Estimate:
    """Say how well forecasters that learnt from a synthetic series forecast real steps, beside those that learnt from real ones.

    Boosted trees and ridge regression are learnt from the synthetic series, and again from the real one before what is held out;
    both forecast what is held out, one step and ``ahead`` steps ahead. The number is the root mean squared error of the first over
    that of the second: 1 is as good as real data, above is worse. The interval draws stretches of all three parts anew and learns
    again. The null is that one of the two has no order: forecasts of the held-out steps in random order, and forecasts learnt from
    the synthetic steps in random order, which have their values and nothing else; both have to err more. The last 3,000 steps of
    a part count.

    Returns
    -------
    Estimate
        ``boosted`` and ``linear``, each of ``1 step ahead`` and ``k steps ahead``.

    Raises
    ------
    DataError
        Other channels, too few steps, or a constant channel.

    References
    ----------
    Esteban, Hyland and Rätsch 2017, Real-valued (medical) time series generation with recurrent conditional GANs, arXiv:1706.02633
    (train on synthetic, test on real); Jordon et al. 2022, Synthetic data: what, why and how?, arXiv:2205.03257.
    """
    parts = parts_of(real, synthetic, held_out)
    shortest = min(len(p) for p in (parts.known, parts.held, parts.made))
    if shortest - lags - ahead + 1 < FEWEST:
        raise DataError(
            f"lags={lags} and ahead={ahead} take {FEWEST + lags + ahead - 1} steps of each part, and the shortest has {shortest}: "
            f"{len(parts.known):,} real ones to learn from, {len(parts.held):,} held out, {len(parts.made):,} synthetic. "
            "Lower them, or give more steps."
        )
    with one_thread():
        asked = [
            _asked(parts, kind, lags, horizon, n_null, n_boot, random_state)
            for kind in KINDS
            for horizon in dict.fromkeys((1, ahead))
        ]
    return Estimate(evidence=tuple(asked))


def _asked(
    parts: Parts, kind: Kind, lags: int, ahead: int, n_null: int, n_boot: int, random_state: int
) -> Evidence:
    known, held, made = (rows(p[-MOST:], lags, ahead) for p in (parts.known, parts.held, parts.made))

    def off(forecast: Forecast, test: tuple[np.ndarray, np.ndarray]) -> float:
        return float(np.sqrt(np.square(forecast(test[0]) - test[1]).mean()))

    def error(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
        return off(learn(*train, kind, random_state), test)

    by_real, forecast = error(known, held), learn(*made, kind, random_state)
    value = off(forecast, held) / by_real

    def real_out_of_order() -> Draw:
        return lambda rng: np.array(
            [off(forecast, rows(rng.permutation(parts.held[-MOST:]), lags, ahead)) / by_real]
        )

    def made_out_of_order() -> Draw:
        return lambda rng: np.array(
            [error(rows(rng.permutation(parts.made[-MOST:]), lags, ahead), held) / by_real]
        )

    def anew(rng: np.random.Generator) -> float:
        length = max(lags + ahead, parts.memory)
        some = [
            (past[at], future[at])
            for past, future in (known, held, made)
            for at in [stretches(len(past), min(length, len(past) // 4), rng)]
        ]
        return np.log(error(some[2], some[1]) / error(some[0], some[1]))

    members = {
        "real steps in random order": real_out_of_order,
        "synthetic steps in random order": made_out_of_order,
    }
    (null,) = hardest(
        members,
        lambda errors: errors,
        np.array([value]),
        ("less",),
        n_null,
        random_state,
        f"usefulness: null of {kind}",
    )
    drawn = null_draws(anew, n_boot, random_state, f"usefulness: interval of {kind}")
    steps = f"{ahead} step{'s' * (ahead > 1)} ahead"
    return Evidence(
        id=kind,
        of=steps,
        question=f"Does a {kind} forecaster learn from the synthetic steps' order what comes {steps} in the real series?",
        label=f"error of a {kind} forecaster {steps} that learnt from synthetic steps, over that of one that learnt from real ones",
        value=value,
        n=len(held[0]),
        unit="forecasts",
        interval=_around(value, drawn),
        interval_method=f"stretches of all parts drawn anew {n_boot} times" if n_boot > 1 else "",
        **(NULL.said(null, "less") if n_null else NULL.refused("no null was drawn", "less")),
    )


def _around(value: float, drawn: np.ndarray) -> tuple[float, float] | None:
    """An interval of the ratio from the spread of its logarithm (Student's, since the draws are few)."""
    from scipy.stats import t

    if len(drawn) < 2 or not np.isfinite(drawn).all():
        return None
    half = t.ppf(0.975, len(drawn) - 1) * drawn.std(ddof=1)
    return float(value * np.exp(-half)), float(value * np.exp(half))
