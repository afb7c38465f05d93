"""Aligned UMAP: one layout a layer, in which every row can be followed from layer to layer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.analyses.embedding._beyond_lumps import NEIGHBOURS
from workbench.analyses.embedding._layouts import ASKED, CHANCE, ROW_BY_ROW, require_rows
from workbench.core.early import show_early
from workbench.core.errors import DataError, ParameterError
from workbench.core.evidence import Evidence
from workbench.core.parameters import Few, OnDevice, Seed
from workbench.core.registry import analysis
from workbench.numerics.layout_alignment import Alignment, measure_alignment
from workbench.numerics.preservation import Scores, trustworthiness
from workbench.results.layouts import Layouts
from workbench.subjects.activations import Aligned
from workbench.subjects.points import Points

if TYPE_CHECKING:
    from workbench.analyses.embedding._aligned_estimator import AlignedUMAP

CAVEAT = (
    "Related rows are pulled together when the layouts are made: that they stay together says that the layouts can be "
    "compared. Whether layers hold the same rows to be similar, ask cka or neighbourhood_preservation."
)


def estimator(
    n_neighbors: int,
    n_components: int,
    metric: str,
    min_dist: float,
    spread: float,
    n_epochs: int | None,
    init: str,
    negative_sample_rate: int,
    alignment_regularisation: float,
    alignment_window_size: int,
    random_state: int,
    device: str,
) -> AlignedUMAP:
    """Return the estimator, whose ``fit`` takes several arrays and their relations."""
    from workbench.analyses.embedding._aligned_estimator import AlignedUMAP

    return AlignedUMAP(
        n_neighbors=n_neighbors,
        n_components=n_components,
        metric=metric,
        min_dist=min_dist,
        spread=spread,
        n_epochs=n_epochs,
        init=init,
        negative_sample_rate=negative_sample_rate,
        alignment_regularisation=alignment_regularisation,
        alignment_window_size=alignment_window_size,
        random_state=random_state,
        device=device,
    )


@analysis(estimator=estimator, title="Aligned UMAP")
def aligned_umap(
    layers: Aligned,
    *,
    n_neighbors: Annotated[
        int, Interval(ge=2, le=1000), Doc("Neighbours of a row: few show detail, many the whole.")
    ] = 15,
    n_components: Annotated[int, Interval(ge=1, le=64), Doc("Dimensions of the layouts.")] = 2,
    metric: Annotated[
        Literal["euclidean", "cosine", "correlation"], Doc("Distance between rows.")
    ] = "euclidean",
    min_dist: Annotated[
        float, Interval(ge=0, le=5), Doc("Least distance of rows in a layout; at most spread.")
    ] = 0.1,
    spread: Annotated[float, Interval(ge=0.3, le=5), Doc("Scale of the layouts' clumps.")] = 1.0,
    n_epochs: Annotated[
        Annotated[int, Interval(ge=1, le=2000)] | None,
        Few(20),
        Doc("Passes over the graphs' edges; None: 200."),
    ] = None,
    init: Annotated[Literal["spectral", "pca", "random"], Doc("Where rows start.")] = "spectral",
    negative_sample_rate: Annotated[
        int, Interval(ge=1, le=50), Doc("Rows pushed away for each one that is drawn near.")
    ] = 5,
    alignment_regularisation: Annotated[
        float,
        Interval(ge=0, le=10),
        Doc("How strongly a row is pulled to where it is in other layers; 0 only turns layouts alike."),
    ] = 0.01,
    alignment_window_size: Annotated[
        int,
        Interval(ge=0, le=16),
        Doc("How many layers before and after pull at one, each less than the nearer one."),
    ] = 3,
    n_null: Annotated[
        int,
        Interval(ge=0, le=9999),
        Few(3),
        Doc("0 leaves out what it costs to be aligned, for which all is laid out once more."),
    ] = 99,
    random_state: Seed = 0,
    device: OnDevice = "auto",
) -> Layouts:
    """Lay out every layer so that a row can be followed from one to the next (aligned UMAP).

    Each layer gets the layout that UMAP would give it, and every row is also pulled towards where it is in
    the layers before and after, the more so the more neighbours it shares with itself there. A row that
    moves is a row whose neighbours change. How far rows move is measured in units of rows related at random, and what
    trustworthiness the pull costs against the same layouts without it. Neither that rows move less than at random nor
    that layouts are trustworthier than chance is tested: the first is what they are pulled to, the second nobody doubts.

    Returns
    -------
    Layouts
        ``frames`` (layers, n, n_components) float32, ``values`` the last of them; ``quality`` is each row's
        trustworthiness, the mean over layers (empty above 5,000 rows); ``displacement()`` says who moves.

    Raises
    ------
    DataError
        No more rows than ``n_neighbors`` or than ``n_components`` + 1, or a layer in which all rows are equal.
    ParameterError
        ``min_dist`` above ``spread``.

    References
    ----------
    Dadu, Satone, Kaur, Koretsky, Iwaki, Qi, Ramos, Avants, Hesterman, Gunn, Cookson, Ward, Singleton, Campbell,
    Nalls and Faghri 2023, Application of Aligned-UMAP to longitudinal biomedical studies, Patterns 4; McInnes,
    Healy and Melville 2018, UMAP, arXiv:1802.03426.
    """
    _require(layers, n_neighbors, n_components, metric, min_dist, spread, init)
    chosen = {
        "n_neighbors": n_neighbors,
        "n_components": n_components,
        "metric": metric,
        "min_dist": min_dist,
        "spread": spread,
        "n_epochs": n_epochs,
        "init": init,
        "negative_sample_rate": negative_sample_rate,
        "alignment_window_size": alignment_window_size,
        "random_state": random_state,
        "device": device,
    }
    names, xs = list(layers.arrays), list(layers.arrays.values())
    frames = _fit(xs, {**chosen, "alignment_regularisation": alignment_regularisation}, layers.name)
    result = Layouts(
        values=frames[-1],
        frames=frames,
        frame_names=tuple(names),
        ids=layers.ids,
        axes=tuple(f"UMAP {i + 1}" for i in range(n_components)),
        caveat=CAVEAT,
    )
    show_early(result)
    n = len(layers.ids)
    k, queries = min(NEIGHBOURS, (n - 1) // 2), None
    if n > ROW_BY_ROW:
        queries = np.sort(np.random.default_rng([random_state, 0x61736B]).choice(n, ASKED, replace=False))
    asked: dict[str, Any] = {"k": k, "metric": metric, "queries": queries, "device": device}
    scores = [trustworthiness(x, y, **asked) for x, y in zip(xs, frames, strict=True)]
    same = [np.arange(n)] * (len(xs) - 1)
    evidence = _moves(layers, measure_alignment(list(frames), same), names, random_state)
    evidence += [_trust(s, name, k) for s, name in zip(scores, names, strict=True)]
    if n_null and alignment_regularisation and alignment_window_size:
        apart = _fit(xs, {**chosen, "alignment_regularisation": 0.0}, layers.name)
        alone = [trustworthiness(x, y, **asked) for x, y in zip(xs, apart, strict=True)]
        evidence.append(_cost(scores, alone, k))
    return replace(
        result,
        quality=np.mean([s.rows for s in scores], axis=0).astype(np.float32)
        if queries is None
        else np.empty(0, np.float32),
        quality_name="trustworthiness" if queries is None else "",
        evidence=tuple(evidence),
    )


def _require(
    layers: Aligned,
    n_neighbors: int,
    n_components: int,
    metric: Any,
    min_dist: float,
    spread: float,
    init: str,
) -> None:
    if min_dist > spread:
        raise ParameterError(
            f"aligned_umap: min_dist={min_dist:g} is above spread={spread:g}: rows can't be kept further apart than the "
            f"scale of the layouts. Lower min_dist or raise spread."
        )
    for name, x in layers.arrays.items():
        points = Points(f"{layers.name} at {name}", layers.digest, layers.space, layers.ids, layers.table, x)
        require_rows(
            points,
            ("n_neighbors", n_neighbors, n_neighbors + 1),
            ("n_components", n_components, n_components + 2),
            metric=metric,
        )
        if init == "pca" and n_components > x.shape[1]:
            raise DataError(
                f"{points.name} has {x.shape[1]:,} columns: init='pca' can start at most that many components, not "
                f"n_components={n_components}. Use init='spectral'."
            )


def _fit(xs: list[np.ndarray], chosen: dict[str, Any], name: str) -> np.ndarray:
    from workbench.numerics.aligned_umap import fit_aligned

    frames = np.stack([y.cpu().numpy() for y in fit_aligned(xs, **chosen).embeddings])
    if not np.isfinite(frames).all():
        raise DataError(
            f"The layouts of {name} ran off to infinity. Take these parameters nearer to their defaults, or scale the "
            f"columns of the layers alike."
        )
    return frames


def _moves(layers: Aligned, found: Alignment, names: list[str], random_state: int) -> list[Evidence]:
    return [
        Evidence(
            question=f"How far do rows move from {a} to {b}?",
            id="displacement",
            of=f"{a} to {b}",
            label=f"displacement from {a} to {b} (1: that of rows related at random)",
            value=found.displacement[p],
            n=len(found.rows[p]),
            untested="related rows are pulled together when the layouts are made: that they stay near is no finding",
            alternative="less",
        )
        for p, (a, b) in enumerate(pairwise(names))
    ]


def _trust(scores: Scores, name: str, k: int) -> Evidence:
    return Evidence(
        question=f"Do rows that lie together in the layout of {name} lie together in the data?",
        id="trustworthiness",
        of=name,
        label=f"trustworthiness of {name} ({k} neighbours)",
        value=scores.rows.mean(),
        n=len(scores.rows),
        untested=CHANCE,
    )


def _cost(scores: list[Scores], alone: list[Scores], k: int) -> Evidence:
    """What the pull of related rows costs; without an interval, since these layouts don't show how those of other rows vary."""
    value = float(np.mean([s.rows.mean() - o.rows.mean() for s, o in zip(scores, alone, strict=True)]))
    return Evidence(
        question="What does it cost the layouts to be aligned?",
        id="cost_of_alignment",
        label=f"trustworthiness ({k} neighbours) above that of layouts that aren't pulled together, mean of the layers",
        value=value,
        n=len(scores[0].rows),
        untested="it is a comparison of these rows' own layouts, which don't show how those of other rows vary",
    )
