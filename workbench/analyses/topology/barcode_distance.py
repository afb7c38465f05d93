"""How far the barcodes of several layers lie from each other: where in depth the shape changes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.topology._barcodes import AnyMetric, Shape, all_equal, check_size, noun
from workbench.analyses.topology._giotto import giotto
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.numerics.distances import PRECOMPUTED, among, from_centre, require_distances
from workbench.numerics.resampling import NORMAL, null_draws, percentile_interval
from workbench.numerics.threads import one_thread
from workbench.results.matrix import MatrixResult
from workbench.subjects.activations import Aligned

Kind = Literal["bottleneck", "wasserstein"]
Distance = Callable[[np.ndarray, np.ndarray], float]
LEAST = 8  # rows


@analysis
def barcode_distance(
    aligned: Aligned,
    *,
    metric: Annotated[
        Kind, Doc("Between barcodes: the largest shift of a bar's end, or all shifts together.")
    ] = "bottleneck",
    p: Annotated[
        float, Interval(ge=1, le=10), Doc("Power that shifts are summed with (Wasserstein only).")
    ] = 2.0,
    homology_dimension: Annotated[
        int,
        Interval(ge=0, le=5),
        Doc("0 components, 1 loops, 2 voids, 3 to 5 hollows of so many dimensions."),
    ] = 1,
    row_metric: Annotated[
        AnyMetric, Doc("Distance between rows; 'precomputed': the layers are distances.")
    ] = "euclidean",
    normalize: Annotated[
        bool, Doc("Divide layers by their rows' mean distance from the centre: shape counts, not size.")
    ] = True,
    max_points: Annotated[
        int, Interval(ge=LEAST, le=1000), Doc("Rows drawn where there are more, the same in every layer.")
    ] = 128,
    n_null: NullDraws = 39,
    n_boot: BootstrapDraws = 20,
    random_state: Seed = 0,
) -> MatrixResult:
    """Compare every two layers by the distance between their barcodes.

    Barcodes match bar with bar, or with no bar at all; bars without end (one component) are left out. Two
    samples of one shape differ too, so the evidence asks, of each layer and the next and of the first and the
    last, whether one layer at a random half of the rows lies farther from the other layer at the other half
    than a layer at one half lies from itself at the other. Where both layers have one shape, the test is
    exact. Its interval is that of other random halves. All this takes no more than distances
    (``row_metric="precomputed"``), whose mean distance from the centre is what euclidean ones imply.

    Returns
    -------
    MatrixResult
        ``values`` (k, k) at all rows drawn, zeros on the diagonal; ``low`` and ``high`` from subsamples of half
        of them.

    Raises
    ------
    DataError
        Fewer than 8 rows, a layer in which all rows are equal, or one given as distances that isn't.
    ParameterError
        More rows than the dimension allows.
    MissingError
        giotto-tda is not installed.

    References
    ----------
    Cohen-Steiner, Edelsbrunner and Harer 2007, Stability of persistence diagrams, Discrete Comput. Geom. 37;
    Kerber, Morozov and Nigmetov 2017, Geometry helps to compare persistence diagrams, JEA 22; Robinson and
    Turner 2017, Hypothesis testing for topological data analysis, J. Appl. Comput. Topol. 1.
    """
    names, n = list(aligned.arrays), len(aligned.ids)
    if n < LEAST:
        raise DataError(
            f"{aligned.name} has {n} rows; comparing barcodes takes at least {LEAST}. Give more rows."
        )
    check_size(homology_dimension, min(n, max_points), max_points)
    rng = np.random.default_rng([random_state, 0x626172])
    at = np.arange(n) if n <= max_points else np.sort(rng.choice(n, max_points, replace=False))
    layers = [_layer(aligned, name, at, row_metric, normalize) for name in names]
    shape = Shape(homology_dimension, row_metric, max_points, aligned.name)
    between = _between(metric, p)
    asked = list(dict.fromkeys([*pairwise(range(len(names))), (0, len(names) - 1)]))
    with one_thread():
        whole = [shape.bars(x) for x in layers]
        values = _all_pairs(whole, between)
        halves = [
            _halves(layers, shape, rng) for _ in track(range(max(n_boot, 1)), "barcode_distance: halves")
        ]
    low, high = _intervals(values, halves if n_boot > 1 else [], between)
    observed = np.array([[between(a[i], b[j]) for i, j in asked] for a, b in halves])

    def draw(rng: np.random.Generator) -> np.ndarray:
        a, b = _halves(layers, shape, rng)
        return np.array([between(a[k], b[k]) for k in (rng.choice(pair) for pair in asked)])

    null = null_draws(draw, n_null, random_state, "barcode_distance: null").reshape(n_null, len(asked))
    return MatrixResult(
        values=values,
        low=low,
        high=high,
        row_names=tuple(names),
        column_names=tuple(names),
        quantity=f"{metric} distance",
        evidence=tuple(
            Evidence(
                question=f"Do the {noun(homology_dimension)}s of {names[i]} and {names[j]} differ by more than two halves of a layer's?",
                id="distance",
                of=f"{names[i]} and {names[j]}",
                label=f"H{homology_dimension}, {metric} distance of {names[i]} and {names[j]}, half the rows each",
                value=observed[0, k],
                n=len(at),
                interval=percentile_interval(observed[:, k]) if n_boot > 1 else None,
                interval_method="other random halves",
                null="two halves of one layer" if n_null else "",
                hypothesis="both layers have one shape",
                null_values=tuple(null[:, k]),
            )
            for k, (i, j) in enumerate(asked)
        ),
    )


def _layer(aligned: Aligned, name: str, at: np.ndarray, metric: AnyMetric, normalize: bool) -> np.ndarray:
    """A layer's rows in float64, of length one for the cosine metric; or its distances."""
    x = aligned.arrays[name]
    if metric == PRECOMPUTED:
        x = require_distances(x, f"{aligned.name} at {name}", "row_metric='precomputed'")
    x = among(x, at, metric).astype(np.float64)
    if metric == "cosine":
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(float).tiny)
    if all_equal(x):
        raise DataError(
            f"All rows of {aligned.name} at {name} are equal: there is no shape to compare. Leave that layer out."
        )
    if not normalize or metric == "cosine":
        return x
    far = from_centre(x) if metric == PRECOMPUTED else np.linalg.norm(x - x.mean(axis=0), axis=1)
    return x / far.mean()


def _between(metric: Kind, p: float) -> Distance:
    """The distance of two sets of bars, by giotto-tda (which has it from Hera)."""
    if metric == "bottleneck":
        bottleneck = giotto("externals.modules.gtda_bottleneck").bottleneck_distance
        return lambda a, b: float(bottleneck(a, b, 0.0)) if len(a) and len(b) else _alone(a, b, np.inf)
    wasserstein = giotto("externals.modules.gtda_wasserstein").wasserstein_distance
    return lambda a, b: float(wasserstein(a, b, p, 0.01)) if len(a) and len(b) else _alone(a, b, p)


def _alone(a: np.ndarray, b: np.ndarray, p: float) -> float:
    """Where one side has no bars, every bar of the other goes to none: half its length."""
    bars = np.concatenate([a, b])
    return float(np.linalg.norm((bars[:, 1] - bars[:, 0]) / 2, p)) if len(bars) else 0.0


def _halves(
    layers: list[np.ndarray], shape: Shape, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Every layer's bars at a random half of the rows, and at the other half."""
    order = rng.permutation(len(layers[0]))
    half = len(order) // 2
    parts = (np.sort(order[:half]), np.sort(order[half : 2 * half]))
    a, b = ([shape.bars(among(x, at, shape.metric)) for x in layers] for at in parts)
    return a, b


def _all_pairs(bars: list[np.ndarray], between: Distance) -> np.ndarray:
    out = np.zeros((len(bars), len(bars)))
    for i, j in combinations(range(len(bars)), 2):
        out[i, j] = out[j, i] = between(bars[i], bars[j])
    return out


def _intervals(
    values: np.ndarray, halves: list[tuple[list[np.ndarray], list[np.ndarray]]], between: Distance
) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals of all cells; see `resampling.subsample_interval`, half of the rows being left out."""
    if not halves:
        return np.empty((0, 0)), np.empty((0, 0))
    half = NORMAL * np.std([_all_pairs(a, between) for a, _ in halves], axis=0, ddof=1)
    return np.maximum(values - half, 0), values + half
