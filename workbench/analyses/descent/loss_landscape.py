"""Loss landscape: the loss over a plane through weight space, with the descent's path on it."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from typing_extensions import Doc

from workbench.analyses.descent._slices import (
    Chart,
    Extent,
    GridPoints,
    Normalization,
    chart_of,
    not_mapped,
    outside,
    random_directions,
    require_spread,
    rise_interval,
)
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.controls import draw_until_clear
from workbench.numerics.landscapes import Plane, plane_shares, walk_shares
from workbench.results.landscape import Landscape
from workbench.subjects.descents.trajectory import Descent

BORDER = 8  # points on the border of a plane at which it is compared with others


@analysis
def loss_landscape(
    descent: Descent,
    *,
    directions: Annotated[
        Literal["path", "random"],
        Doc("What spans the plane: the two principal axes of the descent's path, or two random directions."),
    ] = "path",
    normalization: Normalization = "filter",
    points: GridPoints = 25,
    extent: Extent = 1.0,
    n_null: NullDraws = 199,
    n_boot: BootstrapDraws = 200,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Landscape:
    """Evaluate the loss on the probe over a plane through the last weights of a descent, and draw its path in it.

    Many points are evaluated at once, their weights stacked, with 32 MiB at most for these and what the network makes
    of them (8 GiB on a GPU, or half of what is free). Two numbers come with the picture: how much of the path's variance the
    plane holds, beside random walks whose steps are as long (two axes of a long random walk hold 76 % of it, so a large
    share alone says nothing), and how much the loss rises to the plane's border, beside planes along random directions
    as long in every tensor.

    Returns
    -------
    Landscape
        Losses (points, points), rows along the second direction; ``path`` in the plane's coordinates.
        ``figure(surface=True)`` draws it in three dimensions.

    Raises
    ------
    ViewError
        Weights at fewer than three steps, no network, or no batch and loss.
    DataError
        The weights never change, or the loss at the last of them isn't finite.

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein 2018, Visualizing the loss landscape of neural nets, NeurIPS; Antognini and
    Sohl-Dickstein 2018, PCA of high dimensional random walks with comparison to neural network training, NeurIPS.
    """
    chart = chart_of(descent, directions, normalization, 2, random_state)
    plane = Plane(chart.network, descent.probe, chart.origin, chart.directions, device=device)
    low, high = chart.ranges(extent)
    axes = [np.linspace(a, b, points) for a, b in zip(low, high, strict=True)]
    at = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    values = plane.losses(at).reshape(points, points)
    along = plane.losses(chart.path)
    if not np.isfinite(along[-1]):
        raise DataError(
            f"{descent.name}: the loss on its probe isn't finite at its last weights, and the landscape about them has no level. "
            f"Ask about earlier steps: .select('step < {chart.steps[-1]}')."
        )
    caveat = (
        outside(values)
        + not_mapped(plane)
        + f" Seen through step {chart.steps[-1]}; points of the path lie off the plane, "
        f"and are drawn where they fall on it, at the loss there."
    )
    evidence = [
        _share(chart, directions, n_null, random_state),
        _rise(descent, plane, chart, (low, high), n_null, n_boot, random_state, device),
    ]
    finite = np.where(np.isfinite(values), values, np.nanmax(values[np.isfinite(values)]))
    return Landscape(
        values=finite,
        row_values=axes[1],
        column_values=axes[0],
        column_title=chart.titles[0],
        row_title=chart.titles[1],
        column_note=chart.notes[0],
        row_note=chart.notes[1],
        quantity="loss",
        path=chart.path,
        path_ids=chart.steps,
        path_values=along,
        log=require_spread(finite),
        evidence=tuple(evidence),
        caveat=caveat.strip(),
    )


def _share(chart: Chart, directions: str, n_null: int, random_state: int) -> Evidence:
    """How much of the path's variance the plane holds: two axes of a random walk, or another random plane."""

    def walk(rng: np.random.Generator) -> float:
        return walk_shares(chart.lengths, chart.dimensions, 2, rng)

    def plane(rng: np.random.Generator) -> float:
        return plane_shares(chart.variances, chart.dimensions, 2, rng)

    (drawn,) = draw_until_clear(
        walk if directions == "path" else plane,
        np.array([chart.share]),
        ("greater",),
        n_null,
        random_state,
        "loss_landscape: share",
    )
    null = {"path": "random walks of equal steps", "random": "other random planes"}[directions]
    return Evidence(
        id="share_of_path",
        question="Does the plane hold more of the path than chance would?",
        label="share of the path's variance in the plane",
        value=chart.share,
        n=len(chart.steps),
        unit="steps with weights",
        null=null,
        hypothesis={"path": "the path is a random walk", "random": "the plane is any plane"}[directions],
        null_values=tuple(drawn),
    )


def _rise(
    descent: Descent,
    plane: Plane,
    chart: Chart,
    ranges: tuple[np.ndarray, np.ndarray],
    n_null: int,
    n_boot: int,
    random_state: int,
    device: str,
) -> Evidence:
    """Mean rise of the loss from the last weights to an ellipse about them that spans the plane, over random planes."""
    turn = 2 * np.pi * np.arange(BORDER) / BORDER
    radius = (ranges[1] - ranges[0]) / 2
    circle = np.column_stack([np.cos(turn), np.sin(turn)]) * radius
    samples = plane.losses(np.vstack([np.zeros((1, 2)), circle]), samples=True)
    rises = samples[1:].mean(axis=0) - samples[0]

    def elsewhere(rng: np.random.Generator) -> float:
        other = Plane(
            chart.network, descent.probe, chart.origin, random_directions(chart, rng), device=device
        )
        found = other.losses(np.vstack([np.zeros((1, 2)), circle]))
        return float(found[1:].mean() - found[0])

    (drawn,) = draw_until_clear(
        elsewhere,
        np.array([rises.mean()]),
        ("two-sided",),
        n_null,
        random_state + 1,
        "loss_landscape: other planes",
    )
    return Evidence(
        id="mean_rise",
        question="Is the descent's plane steeper than others are?",
        label="mean rise of the loss on an ellipse that spans the plane",
        value=float(rises.mean()),
        n=len(rises),
        unit="samples",
        interval=rise_interval(rises, n_boot, random_state),
        interval_method="bootstrap over the probe's samples",
        null="random planes as long in every tensor",
        hypothesis="the plane is as steep as any",
        alternative="two-sided",
        null_values=tuple(drawn),
    )
