"""Synthetic series: a series that was never measured, made after one that was."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.parameters import Few, Seed
from workbench.core.registry import source
from workbench.numerics.medusa.reservoir import MOST, require_learnable
from workbench.numerics.synthesis.makers import MakerName, chosen, make
from workbench.numerics.threads import one_thread
from workbench.subjects.series import Series, TimeSeries


@source
def synthetic_series(
    series: Series,
    *,
    maker: Annotated[
        MakerName,
        Doc(
            "Who makes it: a reservoir; 'medusa', a world on a graph in its place; stretches of the series ('stationary_bootstrap'); what "
            "followed moments like the present one ('analogs'); 'var' or 'copula', which are linear; 'gru', a network trained by "
            "backpropagation."
        ),
    ] = "reservoir",
    steps: Annotated[
        int | None,
        Interval(ge=50, le=MOST),
        Few(60),
        Doc("Steps to make; None for as many as the series has."),
    ] = None,
    held_out: Annotated[
        float,
        Interval(ge=0, le=0.9),
        Few(0.1),
        Doc("Share of the series' end that isn't learnt from, so that it can judge what was made."),
    ] = 0.0,
    tuned: Annotated[
        bool,
        Doc("Whether settings are chosen inside what is learnt from; otherwise the usual ones are taken."),
    ] = False,
    random_state: Seed = 0,
) -> TimeSeries:
    """Make a series like one that is given, without gradients by default.

    The reservoir's channels become normal scores that drive 200 fixed random units; ridge regression forecasts, residuals of moments
    like the present one are added, it runs free, and ranks are mapped back to the channels' own values. With ``maker="medusa"`` the
    scores drive the rates of a world on a fixed graph instead, with noise; its wave, adapters and heads are off unless ``tuned`` finds
    that they forecast better inside what is learnt from. ``truth`` says what was learnt from, and the settings. Judge it by
    `synthetic_verdict`, or one by one by `usefulness`, `discriminator`, `copying` and `likeness`, with the same ``held_out`` here and
    there: steps that it was made from can't judge it.

    Raises
    ------
    DataError
        Fewer than 50 steps to learn from, a channel that is constant there, or numbers that aren't finite.
    MissingExtra
        ``maker='var'`` without statsmodels.
    """
    known = len(series.values) - round(held_out * len(series.values))
    x = series.values[:known].astype(np.float64)
    require_learnable(
        x, f"{series.name}, of which {known:,} steps are learnt from," if held_out else series.name
    )
    with one_thread():
        settings = chosen(x, maker, random_state) if tuned else {}
        made = make(x, maker, len(series.values) if steps is None else steps, random_state, settings)
    return TimeSeries(
        made.astype(np.float32),
        name=f"{series.name} · made by {maker}",
        channels=series.channels,
        interval=series.interval,
        truth={"maker": maker, "learnt_from": known, "settings": settings},
    )
