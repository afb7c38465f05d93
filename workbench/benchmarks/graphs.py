"""Spectral clustering beside cuML and scikit-learn, and spanning trees beside scipy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from workbench.benchmarks import quality
from workbench.benchmarks.contests import Contender, Contest, Skipped
from workbench.benchmarks.rows import Setting, made

CLUSTERS = 20
ALL_PAIRS = 6000  # rows whose distances scipy is asked for
FACTORED = 6000  # rows whose graph scikit-learn can factor in seconds


def spectral(setting: Setting, n: int) -> Iterator[Contest]:
    """Spectral clustering into 20 clusters, k = 15."""
    import torch

    from workbench.numerics import spectral_clustering as primitives
    from workbench.numerics.neighbours_torch import k_nearest

    name, held = setting.rows(n)
    x = torch.from_numpy(held).to(setting.device)
    graph = primitives.neighbour_graph(k_nearest(x, quality.K, recall_rows=0).indices)

    def judge(labels: Any) -> dict[str, float]:
        labels = quality.tensor(labels, setting.device).long()
        sizes = torch.bincount(labels, minlength=CLUSTERS)
        cut = primitives.normalized_cut(graph, labels, CLUSTERS)
        return {"normalized cut": cut, "largest": int(sizes.max()), "clusters": int((sizes > 0).sum())}

    def ours() -> Callable[[], Any]:
        if setting.device != "cpu":
            return lambda: primitives.spectral_clustering(x, CLUSTERS, n_neighbors=quality.K).labels
        from workbench.numerics.walks import walk

        return lambda: walk(held, CLUSTERS, quality.K).cluster(CLUSTERS)

    yield Contest(
        f"spectral clustering, {name}, {len(x):,} × {x.shape[1]}, {CLUSTERS} clusters",
        (
            Contender("ours", ours, ours=True),
            Contender("cuML", lambda: _cuml(setting, x)),
            Contender("scikit-learn", lambda: _scikit(held)),
        ),
        judge,
    )


def _cuml(setting: Setting, x: Any) -> Callable[[], Any]:
    if setting.device == "cpu":
        raise Skipped("needs a GPU")
    import cupy
    from cuml.cluster import SpectralClustering

    xg = cupy.asarray(x)
    return lambda: SpectralClustering(
        n_clusters=CLUSTERS, n_neighbors=quality.K, affinity="nearest_neighbors"
    ).fit_predict(xg)


def _scikit(held: np.ndarray) -> Callable[[], Any]:
    from sklearn.cluster import SpectralClustering

    if len(held) > FACTORED:
        raise Skipped(f"factors its graph, which takes minutes beyond {FACTORED:,} rows")
    return lambda: SpectralClustering(
        CLUSTERS, n_neighbors=quality.K + 1, affinity="nearest_neighbors", random_state=0
    ).fit_predict(held)


def tree(setting: Setting, n: int) -> Iterator[Contest]:
    """Exact minimum spanning tree, whose lengths are H0."""
    import torch

    name, held = setting.rows(n)
    low = np.random.default_rng(0).standard_normal((len(held), 3), dtype=np.float32)
    for which, rows in {name: held, "normal": low, "made rows": made(len(held), 32)}.items():
        x = torch.from_numpy(rows).to(setting.device)

        def ours(x: Any = x) -> Callable[[], Any]:
            from workbench.numerics.spanning_tree import minimum_spanning_tree

            return lambda: minimum_spanning_tree(x).lengths

        yield Contest(
            f"spanning tree, {which}, {len(rows):,} × {rows.shape[1]}",
            (
                Contender("ours", ours, ours=True),
                Contender("scipy", partial(_scipy, rows)),
                Contender("giotto-ph", partial(_giotto, rows)),
            ),
            lambda lengths: {"total length": float(np.asarray(lengths, np.float64).sum())},
        )


def _all_pairs(n: int) -> None:
    if n > ALL_PAIRS:
        raise Skipped(f"holds all distances, which is too much beyond {ALL_PAIRS:,} rows")


def _scipy(rows: np.ndarray) -> Callable[[], Any]:
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import cdist

    _all_pairs(len(rows))
    distinct = np.unique(rows, axis=0)  # scipy takes a distance of 0 for no edge
    return lambda: minimum_spanning_tree(cdist(distinct, distinct)).data


def _giotto(rows: np.ndarray) -> Callable[[], Any]:
    from workbench.benchmarks.topology import giotto_bars

    _all_pairs(len(rows))
    bars = giotto_bars()
    return lambda: (found := bars(rows, 0))[np.isfinite(found[:, 1]), 1]
