"""A barcode's figure says what its test says: the null's ticks, bars without end, and what landmarks leave open."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.results.diagram import Diagram

FEW = {"n_null": 19, "n_boot": 0}


def drawn(result: Diagram, name: str) -> Any:
    return next(t for t in result.figure().data if t.name.startswith(name))


def beyond(result: Diagram, dimension: int) -> bool:
    """Whether a bar with an end reaches beyond its tick."""
    bars = drawn(result, f"H{dimension}:")
    traces = result.figure().data
    ticks = traces[[t.name for t in traces].index(bars.name) + (2 if dimension == 0 else 1)]
    return bool((np.array(bars.x[1::3], float) > np.array(ticks.x)).any())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["circle", "lump", "two lumps"])
@pytest.mark.parametrize("tested_on", [200, 30], ids=lambda n: f"tested on {n}")
def test_bars_pass_their_ticks_where_the_statistic_passes_the_null(
    kind: str, seed: int, tested_on: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("workbench.analyses.topology._longest_bars")
    monkeypatch.setattr(module, "CONTROL_LANDMARKS", (tested_on,) * 6)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((60, 3)) * [3, 1, 1]
    if kind == "circle":
        x = np.asarray(wb.circle(n=60, noise=0.1, random_state=seed).values)
    if kind == "two lumps":
        x[:30, 1] += 12
    result = wb.persistence(wb.PointCloud(x), random_state=seed, **FEW)
    assert np.isnan(result.noise[0])  # what is tested of components is no bar
    loops = result.evidence[1]
    assert beyond(result, 1) == (loops.value > np.quantile(loops.null_values, 0.95))


def test_a_bar_without_end_is_drawn_as_one_and_is_no_evidence() -> None:
    result = wb.persistence(wb.circle(n=60), **FEW)
    endless, pieces = drawn(result, "H0, without end"), drawn(result, "H0:")
    assert (endless.line.dash, pieces.line.dash) == ("dot", "solid")
    assert endless.x[1] == pytest.approx(result.figure().layout.xaxis.range[1])
    assert len(pieces.x) == 3 * 59
    assert "no end" in endless.hovertext[0]


def test_a_bound_that_says_nothing_is_not_given() -> None:
    rng = np.random.default_rng(0)
    far = wb.persistence(wb.PointCloud(rng.standard_normal((120, 60))), max_points=40, **FEW)
    assert "barcode of 40 landmarks" in far.caveat
    assert "off by more" not in far.caveat
    near = wb.persistence(wb.circle(n=200), max_points=100, **FEW)
    assert "off by more" in near.caveat
