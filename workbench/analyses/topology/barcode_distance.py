"""How far the barcodes of several layers lie from each other: where in depth the shape changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.topology._barcodes import AnyMetric, Shape, all_equal, check_size, noun
from workbench.analyses.topology._giotto import giotto
from workbench.core.early import show_early
from workbench.core.errors import DataError
from workbench.core.evidence import Evidence
from workbench.core.parameters import BootstrapDraws, NullDraws, Seed
from workbench.core.progress import track
from workbench.core.registry import analysis
from workbench.evidence.nulls.sampling import grouping
from workbench.numerics.distances import PRECOMPUTED, among, from_centre, require_distances
from workbench.numerics.exchangeable import FEWEST_GROUPS, sample
from workbench.numerics.resampling import subsample_intervals
from workbench.numerics.threads import one_thread
from workbench.numerics.unit_rows import SideBySide, UnitRows
from workbench.results.matrix import MatrixResult
from workbench.subjects.activations import Aligned

if TYPE_CHECKING:
    from jaxtyping import Float

Kind = Literal["bottleneck", "wasserstein"]
Distance = Callable[[np.ndarray, np.ndarray], float]
LEAST = 8  # rows, of the whole and of a block
BLOCKS = 8  # of rows, in which layers are exchanged
FEW = f"fewer than {FEWEST_GROUPS} blocks of {LEAST} rows can be made, in which layers could be exchanged"


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
    n_null: NullDraws = 99,
    n_boot: BootstrapDraws = 20,
    random_state: Seed = 0,
) -> MatrixResult:
    """Compare every two layers by the distance between their barcodes.

    Barcodes match bar with bar, or with no bar at all; bars without end (one component) are left out. Two samples of one
    shape differ too, so the evidence asks, of each layer and the next and of the first and the last, whether two layers lie
    farther apart than two parts of one. The rows, whole texts and one of each token where the table says so, are dealt into
    8 blocks of up to half of ``max_points`` rows (6 or 7 where there are few), and each block has a barcode of every layer.
    The number is the mean distance of a block's barcode in one layer to another block's in the other, less that of two
    blocks' barcodes in one layer. Its null exchanges the two layers in some of the blocks. Where layers have one shape, as
    far as barcodes see it, the test is exact, for layers of the same rows as for clouds that have nothing to do with each
    other. There is no interval for it. All this takes no more than distances (``row_metric="precomputed"``), whose mean
    distance from the centre is what euclidean ones imply.

    Returns
    -------
    MatrixResult
        ``values`` (k, k) at all rows drawn, zeros on the diagonal; ``low`` and ``high`` from subsamples of half
        of them, or of the texts.

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
    groups = None if aligned.groups is None else np.unique(aligned.groups[at], return_inverse=True)[1]
    with one_thread():
        whole = _all_pairs([shape.bars(x) for x in layers], between)
    result = MatrixResult(
        values=whole, row_names=tuple(names), column_names=tuple(names), quantity=f"{metric} distance"
    )
    show_early(result)
    intervals = subsample_intervals(
        lambda some: _all_pairs([shape.bars(among(x, some, row_metric)) for x in layers], between).ravel(),
        whole.ravel(),
        len(at),
        n_boot,
        random_state,
        least=0,
        groups=groups,
    )
    bounds = np.array(intervals, dtype=np.float64) if intervals[0] else np.empty((0, 2))
    low, high = (side.reshape(whole.shape) if len(side) else np.empty((0, 0)) for side in bounds.T)
    blocks = _blocks(aligned, row_metric, max_points // 2, random_state)
    with one_thread():
        every = [_layer(aligned, name, np.sort(blocks.rows), row_metric, normalize) for name in names]
        place = [np.searchsorted(np.sort(blocks.rows), b) for b in blocks.at]
        bars = [
            [shape.bars(among(x, b, row_metric)) for b in place]
            for x in track(every, "barcode_distance: blocks")
        ]
        excess = [_excess(bars[i], bars[j], between) for i, j in asked]
    null = [_exchanged(e, n_null if blocks.enough else 0, random_state) for e in excess]
    return replace(
        result,
        low=low,
        high=high,
        evidence=tuple(
            Evidence(
                question=f"Do the {noun(homology_dimension)}s of {names[i]} and {names[j]} differ by more than two parts of a layer's?",
                id="excess_distance",
                of=f"{names[i]} and {names[j]}",
                label=f"H{homology_dimension}, {metric} distance of {names[i]} and {names[j]}, beyond that of two parts of one",
                value=excess[k].mean() if excess[k].size else np.nan,
                n=len(blocks.rows),
                null="layers exchanged in some blocks of rows" if len(null[k]) else "",
                null_details=f"{len(blocks.at)} blocks" if len(null[k]) else "",
                hypothesis="both layers have one shape",
                null_values=tuple(null[k]),
                groups=blocks.groups,
                untested="" if blocks.enough or not n_null else FEW,
            )
            for k, (i, j) in enumerate(asked)
        ),
    )


class _Blocks(NamedTuple):
    """Rows dealt into blocks.

    Attributes
    ----------
    at : positions of each block's rows. groups : what was kept whole, in words.
    """

    at: list[np.ndarray]
    groups: str

    @property
    def rows(self) -> np.ndarray:
        """All blocks' rows."""
        return np.concatenate(self.at)

    @property
    def enough(self) -> bool:
        """Whether they can be told from chance."""
        return len(self.at) >= FEWEST_GROUPS


def _blocks(aligned: Aligned, metric: AnyMetric, most: int, random_state: int) -> _Blocks:
    """Deal whole groups into blocks of about as many rows each, at most ``most``."""
    given = metric == PRECOMPUTED
    # repeats in one layer count like those in another
    x = None if given else SideBySide([UnitRows(a) for a in aligned.arrays.values()])
    kinds = np.arange(aligned.n) if given and aligned.kinds is None else aligned.kinds
    some = sample(x, aligned.groups, kinds, rows=BLOCKS * most, random_state=random_state)
    codes = np.arange(len(some.at)) if some.groups is None else some.groups
    many = min(BLOCKS, some.units, len(some.at) // LEAST)
    rng = np.random.default_rng([random_state, 0x626C6B])
    sizes = np.bincount(codes)
    filled, block = np.zeros(max(many, 2)), np.empty(len(sizes), np.int64)
    for group in rng.permutation(len(sizes)):
        block[group] = int(filled.argmin())
        filled[block[group]] += sizes[group]
    dealt = block[codes]
    return _Blocks(
        [some.at[dealt == b] for b in range(len(filled)) if (dealt == b).any()], grouping(aligned, some)
    )


def _excess(first: list[np.ndarray], second: list[np.ndarray], between: Distance) -> Float[np.ndarray, " p"]:
    """Of every two blocks, the mean distance across layers less the mean distance within them."""
    return np.array(
        [
            (
                between(first[b], second[c])
                + between(second[b], first[c])
                - between(first[b], first[c])
                - between(second[b], second[c])
            )
            / 2
            for b, c in combinations(range(len(first)), 2)
        ]
    )


def _exchanged(excess: Float[np.ndarray, " p"], n_null: int, random_state: int) -> Float[np.ndarray, " m"]:
    """The mean excess with layers exchanged in some blocks: all ways but the one that is there, or so many of them.

    Exchanging a block's layers turns what is across into what is within, in all pairs that it is in.
    """
    if not n_null:
        return np.empty(0)
    many = round((1 + np.sqrt(1 + 8 * len(excess))) / 2)
    ways = np.random.default_rng([random_state, 0x73776170]).permutation(2 ** (many - 1) - 1)[:n_null] + 1
    signs = 1 - 2 * (ways[:, None] >> np.arange(many) & 1)
    b, c = np.array(list(combinations(range(many), 2))).T
    return np.asarray((signs[:, b] * signs[:, c]) @ excess / len(excess))


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


def _all_pairs(bars: list[np.ndarray], between: Distance) -> np.ndarray:
    out = np.zeros((len(bars), len(bars)))
    for i, j in combinations(range(len(bars)), 2):
        out[i, j] = out[j, i] = between(bars[i], bars[j])
    return out
