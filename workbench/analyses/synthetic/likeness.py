"""Likeness: how far values, correlations and tails of a synthetic series are from those of real steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.synthetic._parts import HeldOut, parts_of
from workbench.core.evidence import Evidence
from workbench.core.inputs import Unpaired
from workbench.core.parameters import NullDraws, Seed
from workbench.core.registry import analysis
from workbench.evidence.nulls.same_process import beside_exchanged
from workbench.numerics.likeness.blocks import FEWEST_LEFT, Pairs, jackknife, student
from workbench.numerics.likeness.statistics import AUTO, BETWEEN, MARGINAL, TAILS, Statistics
from workbench.numerics.threads import one_thread
from workbench.results.estimate import Estimate
from workbench.subjects.series import Series

SAID = {
    MARGINAL: (
        "Are the values distributed otherwise?",
        "distance of distributions (Kolmogorov-Smirnov), mean over channels",
    ),
    AUTO: (
        "Does the series depend on its past otherwise?",
        "difference of autocorrelations, mean over lags and channels",
    ),
    BETWEEN: (
        "Do the channels depend on each other otherwise?",
        "difference of correlations between channels, mean",
    ),
    TAILS: (
        "Are high and low values of another size?",
        "difference of the means of the highest and lowest 5 %, in spreads",
    ),
}


@analysis
def likeness(
    real: Series,
    synthetic: Annotated[Series, Unpaired],
    *,
    held_out: HeldOut = 1 / 3,
    lags: Annotated[int, Interval(ge=1, le=32), Doc("Lags at which autocorrelations are compared.")] = 8,
    n_null: NullDraws = 99,
    random_state: Seed = 0,
) -> Estimate:
    """Say how far a synthetic series' values, autocorrelations, correlations between channels and tails are from real ones.

    It is compared with the real steps that are held out, in stretches of both, side by side. Each number is 0 where both are alike
    and never is in a sample; what it is by chance is what it is with stretches exchanged between the two.

    Returns
    -------
    Estimate
        ``marginal``, ``autocorrelation``, ``between_channels`` (of two channels and more) and ``tails``.

    Raises
    ------
    DataError
        Other channels, too few steps, or a constant channel.

    References
    ----------
    Stenger, Leppich, Foster, Kounev and Bauer 2024, Evaluation is key: a survey on evaluation measures for synthetic time series,
    J. Big Data 11.
    """
    parts = parts_of(real, synthetic, held_out)
    pairs = parts.pairs(lags, real, synthetic, random_state)
    with one_thread():
        measured = Statistics(pairs, lags)
        ask: Callable[[np.ndarray], np.ndarray] = measured.of
        values = ask(np.zeros(len(pairs), bool))
        said = beside_exchanged(
            pairs, ask, values, ["greater"] * len(values), n_null, random_state, "likeness"
        )
        intervals = _intervals(pairs, values, lags)
    return Estimate(
        caveat=pairs.why_untested if n_null else "",
        evidence=tuple(
            Evidence(
                id=name,
                question=SAID[name][0],
                label=SAID[name][1],
                value=value,
                n=len(pairs) * pairs.length,
                unit="steps of each",
                groups=f"{len(pairs)} stretches",
                interval=interval,
                interval_method="stretches left out one by one, by the root of the number"
                if interval
                else "",
                conservative=interval is not None,
                **fields,
            )
            for name, value, fields, interval in zip(measured.names, values, said, intervals, strict=True)
        ),
    )


def _intervals(pairs: Pairs, values: np.ndarray, lags: int) -> list[tuple[float, float] | None]:
    """Of each distance, by its root, whose spread depends less on its size."""
    many = len(pairs)
    if many < FEWEST_LEFT:
        return [None] * len(values)

    def roots(at: np.ndarray) -> np.ndarray:
        return np.sqrt(Statistics(pairs.some(at), lags).of(np.zeros(len(at), bool)))

    half = student(many) * np.sqrt(jackknife(roots, many))
    root = np.sqrt(values)
    return list(zip((np.maximum(root - half, 0) ** 2).tolist(), ((root + half) ** 2).tolist(), strict=True))
