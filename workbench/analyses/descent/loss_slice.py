"""Loss slice: the loss along a line through the last weights, beside lines along random directions."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from typing_extensions import Doc

from workbench.analyses.descent._slices import (
    Extent,
    GridPoints,
    Normalization,
    chart_of,
    not_mapped,
    random_directions,
    rise_interval,
)
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.landscapes import Plane
from workbench.results.curve import Curve
from workbench.subjects.descents.trajectory import Descent

PLACES = 9  # at which a line is compared with others
DRAWN = 39  # other lines behind the band


@analysis
def loss_slice(
    descent: Descent,
    *,
    directions: Annotated[
        Literal["path", "random"],
        Doc("Along the first principal axis of the descent's path, or along a random direction."),
    ] = "path",
    normalization: Normalization = "filter",
    points: GridPoints = 51,
    extent: Extent = 1.0,
    n_null: NullDraws = 199,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Curve:
    """Evaluate the loss on the probe along a line through the last weights, and along random lines beside it.

    The random lines are as long in every tensor as the line itself. Flatness along a random line alone says
    little: the question is whether this line differs from others, at nine places of it. The interval is over the probe's samples.

    Returns
    -------
    Curve
        The loss at each place, its interval over samples, and the band of the random lines.

    Raises
    ------
    ViewError
        Weights at fewer than two steps (three for the path), no network, or no batch and loss.
    DataError
        The weights never change, or the loss isn't finite somewhere on the line.

    References
    ----------
    Goodfellow, Vinyals, Saxe 2015, Qualitatively characterizing neural network optimization problems, ICLR; Li, Xu,
    Taylor, Studer, Goldstein 2018, Visualizing the loss landscape of neural nets, NeurIPS.
    """
    chart = chart_of(descent, directions, normalization, 1, random_state)
    (low,), (high,) = chart.ranges(extent)
    x = np.linspace(low, high, points)
    at = np.append(x, 0.0)[:, None]
    line = Plane(chart.network, descent.probe, chart.origin, chart.directions, device=device)
    samples = line.losses(at, samples=True)
    if not np.isfinite(samples).all():
        raise DataError(
            f"{descent.name}: the loss isn't finite at {int((~np.isfinite(samples).all(axis=1)).sum())} of {len(at)} places on the "
            f"line. Lower extent={extent:g}."
        )
    few = np.unique(np.linspace(0, points - 1, min(points, PLACES)).round().astype(int))
    rises = samples[few].mean(axis=0) - samples[-1]
    lines: list[np.ndarray] = []

    def elsewhere(rng: np.random.Generator) -> float:
        other = Plane(
            chart.network, descent.probe, chart.origin, random_directions(chart, rng), device=device
        )
        if len(lines) < DRAWN:  # the band needs every place, the test a few
            losses = other.losses(at)
            lines.append(losses[:-1])
            return float(losses[few].mean() - losses[-1])
        losses = other.losses(at[[*few, points]])
        return float(losses[:-1].mean() - losses[-1])

    (drawn,) = draw_until_clear(
        elsewhere, np.array([rises.mean()]), ("two-sided",), n_null, random_state, "loss_slice: other lines"
    )
    evidence = Evidence(
        id="mean_rise",
        question="Does the loss rise along this line as it does along others?",
        label=f"mean rise of the loss at {len(few)} places along the line",
        value=float(rises.mean()),
        n=len(rises),
        unit="samples",
        interval=rise_interval(rises, n_boot, random_state),
        interval_method="bootstrap over the probe's samples",
        null="random lines as long in every tensor",
        hypothesis="the line is as steep as any",
        alternative="two-sided",
        null_values=tuple(drawn),
    )
    band = _band(samples[:-1], n_boot, random_state)
    nulls = np.quantile(lines, [0.025, 0.975], axis=0)[..., None] if lines else np.empty((2, 0, 0))
    return Curve(
        x=x,
        y=samples[:-1].mean(axis=1)[:, None],
        names=("loss",),
        low=band[0],
        high=band[1],
        null_low=nulls[0],
        null_high=nulls[1],
        x_title=f"{chart.titles[0]} ({chart.notes[0]})",
        y_title="loss",
        evidence=(evidence,),
        caveat=(not_mapped(line) + f"0 is step {chart.steps[-1]}."),
    )


def _band(samples: np.ndarray, n_boot: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the mean loss at each place: (points, 1) twice, or empty."""
    if n_boot < 2:
        return np.empty((0, 0)), np.empty((0, 0))
    rng = np.random.default_rng([random_state, 0x62616E64])
    n = samples.shape[1]
    weights = rng.multinomial(n, np.full(n, 1 / n), n_boot) / n
    low, high = np.quantile(samples @ weights.T, [0.025, 0.975], axis=1)
    return low[:, None], high[:, None]
