"""What a call computes, counted: time can't be tested on a busy machine, and what is counted can't fall back unseen."""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.numerics import heldout, neighbours
from workbench.subjects.points import PointCloud

N, D = 1200, 24


@pytest.fixture(autouse=True)
def computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked up."""
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")


@pytest.fixture(scope="module")
def cloud() -> PointCloud:
    """Two groups far apart, so that all draws are made."""
    rng = np.random.default_rng(0)
    side = np.arange(N) % 2
    x = rng.standard_normal((N, D)) * np.exp(-np.arange(D) / 8) + 6 * side[:, None] * (np.arange(D) == 0)
    return PointCloud(x.astype(np.float32), name="two groups", table=pd.DataFrame({"side": side.astype(str)}))


def calls(work: Callable[[], Any]) -> Counter[str]:
    """How often functions were called, by their file's and their own name."""
    profile = cProfile.Profile()
    profile.runcall(work)
    counted: Counter[str] = Counter()
    for (file, _, name), (_, many, *_) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        counted[f"{Path(file).stem}.{name}"] += many
    return counted


SHARED = {
    "linear_probe": ("_decomp.eigh", "heldout.products"),
    "pca": ("exchangeable.repeats", "_pca.fit"),
    "spectral_clustering": ("_clusters.silhouettes", "exchangeable.repeats", "laplacian.slowest_modes"),
    "intrinsic_dimension": ("exchangeable.repeats", "neighbours._by_library"),
    "mapper": ("_dbscan.fit", "exchangeable.repeats"),
    "persistence": ("exchangeable.repeats", "persistence._representatives"),
}
"""What all draws of a method's null have in common, and is computed once however many there are."""


@pytest.mark.parametrize("method", SHARED)
def test_what_draws_share_is_computed_once(cloud: PointCloud, method: str) -> None:
    asked = wb.method(method)
    given = {"label": "side"} if method == "linear_probe" else {}
    without = {"n_boot": 0} if "n_boot" in asked.parameters else {}
    few, more = (calls(lambda n=n: asked(cloud, n_null=n, **given, **without)) for n in (2, 6))  # type: ignore[misc]
    for name in SHARED[method]:
        assert few[name] == more[name] > 0, name


def test_draws_of_lumps_are_as_many_as_were_asked_for(cloud: PointCloud) -> None:
    counted = calls(lambda: wb.spectral_clustering(cloud, n_null=12, n_boot=0))
    assert counted["_clusters.least_cut_of"] == 1 + 3 * 12  # the rows' own, and of each kind of lump
    assert counted["surrogates._turned"] == 3 * 12
    unclear = calls(lambda: wb.spectral_clustering(cloud, n_null=4, n_boot=0))
    assert (
        unclear["_clusters.least_cut_of"] == 1 + 4
    )  # four draws can't contradict a lump: no other kind is asked


def test_a_probes_rows_are_multiplied_once_and_not_in_every_fold(
    cloud: PointCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    real = heldout._Cells.__init__

    def counting(self: Any, x: np.ndarray, of: np.ndarray) -> None:
        rows.append(len(x))
        real(self, x, of)

    monkeypatch.setattr(heldout._Cells, "__init__", counting)
    counted = calls(lambda: wb.linear_probe(cloud, label="side", n_null=3, n_boot=4))
    assert rows == [N, *[N // 2] * 4]
    assert counted["heldout.products"] == len(rows)
    assert counted["_decomp.eigh"] == 5 + 10  # of each fold held out, and of each two
    assert counted["heldout._gather"] == 15 + 4 * 5
    # for the labels themselves: each penalty of each two folds, then each fold's own; and each fold's of every resample
    assert counted["heldout._factored"] == 10 * len(heldout.ALPHAS) + 5 + 4 * 5


@pytest.mark.parametrize(("n_boot", "listed"), [(0, 20), (3, 160)])
def test_neighbour_lists_are_as_long_as_what_is_asked_of_them(
    cloud: PointCloud, monkeypatch: pytest.MonkeyPatch, n_boot: int, listed: int
) -> None:
    searched = []

    def counting(x: np.ndarray, k: int, *args: Any, **more: Any) -> Any:
        searched.append((len(x), k))
        return neighbours.k_nearest(x, k, *args, **more)

    monkeypatch.setattr(
        import_module("workbench.analyses.geometry.intrinsic_dimension"), "k_nearest", counting
    )
    wb.intrinsic_dimension(cloud, n_neighbors=20, n_null=2, n_boot=n_boot, device="cpu")
    whole, *control = searched
    assert whole == (N, listed)
    assert control == [(400, 20)] * (1 + 2)  # the control's own rows, and two lumps
