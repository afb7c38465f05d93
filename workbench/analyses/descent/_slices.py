"""What slices and planes share: their directions, their extent, the path in their coordinates, and their controls."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import DataError
from workbench.core.parameters import Few
from workbench.numerics.gram import coordinates
from workbench.numerics.landscapes import Plane, principal_directions, random_direction, scaled_like
from workbench.numerics.resampling import bootstrap_interval

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int

    from workbench.subjects.descents.trajectory import Descent

Normalization = Annotated[
    Literal["filter", "layer", "none"],
    Doc(
        "Length of random directions: each filter's, each tensor's, or 1 in all. Axes of the path have theirs."
    ),
]
GridPoints = Annotated[int, Interval(ge=3, le=201), Few(5), Doc("Points along each axis.")]
Extent = Annotated[
    float,
    Interval(gt=0, le=100),
    Doc(
        "How far it reaches: in lengths of a random direction, or in half-widths of the path beyond its middle."
    ),
]
MARGIN = 1.25  # half-widths of the path that an extent of 1 shows


@dataclass(frozen=True)
class Chart:
    """A line or a plane through the last weights of a descent.

    Attributes
    ----------
    origin : the last weights. directions : each name to array.
    path : (k, c) the steps with weights in its coordinates, by least squares (the last is 0).
    share : of the path's variance that it holds. lengths : (k - 1,) of the path's steps.
    titles : of the axes. notes : what else is to be known of each.
    dimensions : how many numbers the weights are. variances : of the path along its principal axes.
    """

    network: torch.nn.Module
    origin: Mapping[str, np.ndarray]
    directions: list[dict[str, np.ndarray]]
    steps: Int[np.ndarray, " k"]
    path: Float[np.ndarray, "k c"]
    share: float
    lengths: Float[np.ndarray, " s"]
    dimensions: int
    titles: tuple[str, ...]
    notes: tuple[str, ...]
    of_path: bool
    variances: Float[np.ndarray, " v"]

    def ranges(self, extent: float) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest coordinate of each axis; about the path, or about the last weights."""
        if not self.of_path:
            reach = np.full(self.path.shape[1], extent)
            return -reach, reach
        low, high = self.path.min(axis=0), self.path.max(axis=0)
        half = np.maximum((high - low) / 2, 0.1 * (high - low).max()) * MARGIN * extent
        return (low + high) / 2 - half, (low + high) / 2 + half


def chart_of(descent: Descent, directions: str, normalization: str, count: int, random_state: int) -> Chart:
    """The slice that is asked for.

    Raises
    ------
    ViewError, DataError
        What it needs isn't there, or the weights never change.
    """
    descent.require(weights=3 if directions == "path" else 2, network=True, probe=True)
    steps = descent.weight_steps
    weights = [descent.weights(s) for s in steps]  # each read when it is asked for
    names = descent.parameter_names
    origin = {n: np.asarray(a) for n, a in weights[-1].items()}
    if not all(np.isfinite(origin[n]).all() for n in names):
        raise DataError(
            f"{descent.name}: its last weights (step {steps[-1]}) aren't finite. Ask about the steps before: "
            f".select('step < {steps[-1]}')."
        )
    placed = coordinates(weights, names)
    variances = np.square(placed).sum(axis=0)
    if not np.isfinite(variances).all() or variances.sum() == 0:
        raise DataError(
            f"{descent.name}: its weights are the same at all of {len(steps)} steps, or not finite at some; there is no path."
        )
    lengths = np.array([_distance(a, b) for a, b in itertools.pairwise(weights)])
    size = sum(int(np.size(origin[n])) for n in names)
    network = descent.network(int(steps[-1]))
    if directions == "path":
        share = float(variances[:count].sum() / variances.sum())
        axes = principal_directions(weights, placed, names, count)
        shares = variances / variances.sum()
        titles = tuple(f"principal axis {j + 1} of the path" for j in range(count))
        notes = tuple(f"{shares[j]:.1%} of its variance" for j in range(count))
        path = placed[:, :count] - placed[-1:, :count]
        if count > placed.shape[1] or variances[count - 1] <= 1e-12 * variances[0]:
            raise DataError(
                f"{descent.name}: its path lies on a line, so that there is no second axis. Use directions='random'."
            )
    else:
        rng = np.random.default_rng([random_state, 0x6C616E64])
        axes = [random_direction(origin, normalization, rng) for _ in range(count)]
        frame, stretch = np.linalg.qr(np.column_stack([_flat(a, names) for a in axes]))
        if np.abs(np.diag(stretch)).min() < 1e-9 * max(np.abs(stretch).max(), 1e-300):
            raise DataError(
                f"{descent.name}: directions with normalization={normalization!r} don't span {'a line' if count == 1 else 'a plane'} "
                f"here (weights of 0, or a single number). Use normalization='none'."
            )
        along = np.stack([_flat(w, names) @ frame for w in weights])
        share = float(np.square(along - along.mean(axis=0)).sum() / variances.sum())
        path = np.linalg.solve(stretch, (along - along[-1]).T).T
        unit = {"filter": "the filters' lengths", "layer": "the tensors' lengths", "none": "1"}[normalization]
        titles = tuple(f"random direction {j + 1}" for j in range(count))
        notes = (f"in units of {unit}",) * count
    return Chart(
        network,
        origin,
        axes,
        np.asarray(steps),
        path,
        share,
        lengths,
        size,
        titles,
        notes,
        directions == "path",
        variances,
    )


def random_directions(chart: Chart, rng: np.random.Generator) -> list[dict[str, np.ndarray]]:
    """Gaussian directions, each as long in every tensor as the chart's own."""
    return [
        {n: scaled_like(rng.standard_normal(np.shape(d)), np.asarray(d), "layer") for n, d in along.items()}
        for along in chart.directions
    ]


def rise_interval(
    rises: Float[np.ndarray, " n"], n_boot: int, random_state: int
) -> tuple[float, float] | None:
    """Interval of a mean over the probe's samples."""
    return bootstrap_interval(lambda rows: float(rises[rows].mean()), len(rises), n_boot, random_state)


def require_spread(values: np.ndarray) -> bool:
    """Whether a landscape is told better by its logarithm: all positive, over more than a decade."""
    return bool(values.min() > 0 and values.max() > 10 * values.min())


def outside(values: np.ndarray) -> str:
    """What to say of points whose loss isn't finite."""
    bad = int((~np.isfinite(values)).sum())
    return (
        f"{bad:,} of {values.size:,} points have no finite loss and are drawn as high as the highest. "
        if bad
        else ""
    )


def not_mapped(plane: Plane) -> str:
    """What to say of a network that is evaluated point by point."""
    if not plane.one_by_one:
        return ""
    return f"Points were evaluated one by one, since torch can't map this network over its weights ({plane.one_by_one}). "


def _flat(of: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([np.asarray(of[n], np.float64).ravel() for n in names])


def _distance(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(np.square(np.asarray(a[n], np.float64) - b[n]).sum() for n in a)))
