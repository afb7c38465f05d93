"""Distances of barcodes: known ones, their peer, and halves of one shape."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from helpers import assert_calibrated
from scipy.optimize import linear_sum_assignment

import workbench as wb
from workbench.analyses.topology.barcode_distance import _blocks, _exchanged
from workbench.core.errors import DataError
from workbench.subjects.activations import Aligned

NO_CONTROL = {"n_null": 0, "n_boot": 0}


def layers(**arrays: np.ndarray) -> wb.Activations:
    n = len(next(iter(arrays.values())))
    sites = {name: x.astype(np.float32) for name, x in arrays.items()}
    return wb.Activations(sites, pd.DataFrame(index=range(n)), name="layers")


def ring(n: int, radius: float = 1.0, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    return radius * np.column_stack([np.cos(angle), np.sin(angle)]) + noise * rng.standard_normal((n, 2))


def test_known_answer_squares_of_two_sizes() -> None:
    """Loops from 1 to the square root of 2, and from 3 times that to 3 times this: each goes to no bar at all."""
    corners = np.array([[0.0, 0], [0, 1], [1, 1], [1, 0]])
    square = np.vstack([corners, 10 + 0.001 * np.arange(4)[:, None] * np.ones(2)])
    pair = layers(small=square, large=3 * square)
    bar = np.sqrt(2) - 1
    far = wb.barcode_distance(pair, normalize=False, **NO_CONTROL)
    assert far.values[0, 1] == pytest.approx(3 * bar / 2, rel=1e-4)
    both = wb.barcode_distance(pair, metric="wasserstein", normalize=False, p=1.0, **NO_CONTROL)
    assert both.values[0, 1] == pytest.approx(bar / 2 + 3 * bar / 2, rel=0.02)
    assert wb.barcode_distance(pair, **NO_CONTROL).values[0, 1] == pytest.approx(0, abs=1e-5)


def test_known_answer_a_ring_becomes_a_blob() -> None:
    rng = np.random.default_rng(1)
    found = wb.barcode_distance(
        layers(a=ring(100, noise=0.05), b=ring(100, 7, noise=0.35, seed=4), c=rng.standard_normal((100, 2)))
    )
    same, changed, ends = found.evidence
    assert same.p_value > 0.05
    assert changed.p_value <= 0.05 and ends.p_value <= 0.05
    assert found.values[0, 1] < found.values[1, 2]
    assert (found.low <= found.values).all() and (found.values <= found.high).all()


@pytest.mark.parametrize("metric", ["bottleneck", "wasserstein"])
def test_peer_assignment(metric: str) -> None:
    """Every bar is matched with one of the other side or with its own place on the diagonal."""
    rng = np.random.default_rng(3)
    arrays = {"a": rng.standard_normal((50, 3)), "b": rng.uniform(-2, 2, (50, 3))}
    found = wb.barcode_distance(layers(**arrays), metric=metric, normalize=False, **NO_CONTROL)
    a, b = (
        wb.persistence(x.astype(np.float32), homology_dimensions=(1,), **NO_CONTROL).bars(1).astype(float)
        for x in arrays.values()
    )
    cost = np.zeros((len(a) + len(b),) * 2)
    cost[: len(a), : len(b)] = np.abs(a[:, None] - b).max(axis=2)
    cost[: len(a), len(b) :] = ((a[:, 1] - a[:, 0]) / 2)[:, None]
    cost[len(a) :, : len(b)] = (b[:, 1] - b[:, 0]) / 2
    if metric == "wasserstein":
        i, j = linear_sum_assignment(cost**2)
        assert found.values[0, 1] == pytest.approx(np.sqrt((cost[i, j] ** 2).sum()), rel=0.011)
    else:
        for limit in np.unique(cost):  # the least for which a perfect matching exists
            i, j = linear_sum_assignment(cost > limit + 1e-12)
            if not (cost > limit + 1e-12)[i, j].any():
                break
        assert found.values[0, 1] == pytest.approx(limit, rel=1e-5)


def test_a_layer_is_no_way_from_itself() -> None:
    x = ring(60, noise=0.1)
    found = wb.barcode_distance(layers(a=x, b=x), n_null=5, n_boot=5)
    assert not found.values.any()
    assert wb.barcode_distance(layers(a=x, b=np.arange(60.0)[:, None]), **NO_CONTROL).values[0, 1] > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["turned", "apart"])
def test_calibrated_for_layers_of_one_shape(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer and itself turned round, and two clouds that have nothing to do with each other."""
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")

    def p_value(seed: int) -> float:
        rng = np.random.default_rng([seed, 10])
        x = rng.standard_normal((64, 2))
        pair = layers(a=x, b=x[:, ::-1] * [1, -1] if kind == "turned" else rng.standard_normal((64, 2)))
        return wb.barcode_distance(pair, n_null=99, n_boot=0, random_state=seed).evidence[0].p_value

    assert_calibrated(p_value, exact=False)


def test_whole_texts_are_dealt_into_blocks() -> None:
    texts = np.repeat(np.arange(20), 5)
    table = pd.DataFrame({"text_id": texts})
    rng = np.random.default_rng(5)
    arrays = {name: rng.standard_normal((100, 3)) for name in "ab"}
    aligned = wb.Activations(arrays, table, name="layers").view(Aligned)
    blocks = _blocks(aligned, "euclidean", 64, 0)
    assert sorted(blocks.rows.tolist()) == list(range(100))
    assert len(blocks.at) == 8
    assert sum(len(np.unique(texts[at])) for at in blocks.at) == 20
    found = wb.barcode_distance(wb.Activations(arrays, table, name="layers"), n_boot=4).evidence[0]
    assert found.groups == "20 texts" and found.p_value is not None


def test_what_can_not_be_dealt_into_six_blocks_is_not_tested() -> None:
    rng = np.random.default_rng(6)
    arrays = {name: rng.standard_normal((60, 3)) for name in "ab"}
    few = wb.barcode_distance(layers(**{k: x[:40] for k, x in arrays.items()}), n_boot=0).evidence[0]
    for texts in (1, 4):
        table = pd.DataFrame({"text_id": np.arange(60) * texts // 60})
        found = wb.barcode_distance(wb.Activations(arrays, table, name="layers"), n_boot=4).evidence[0]
        assert found.p_value is None and "fewer than 6 blocks" in found.untested
    assert few.p_value is None and "fewer than 6 blocks" in few.untested


def test_all_exchanges_are_drawn_and_no_more() -> None:
    excess = np.arange(15.0)  # of six blocks
    drawn = _exchanged(excess, 999, 0)
    assert len(drawn) == 31
    signs = np.array([[1 - 2 * (w >> b & 1) for b in range(6)] for w in range(1, 32)])
    pairs = np.array(list(combinations(range(6), 2)))
    every = (signs[:, pairs[:, 0]] * signs[:, pairs[:, 1]] * excess).mean(axis=1)
    assert np.allclose(np.sort(drawn), np.sort(every))


def test_refuses_few_rows_and_equal_rows() -> None:
    with pytest.raises(DataError, match="at least 8"):
        wb.barcode_distance(layers(a=ring(7), b=ring(7)))
    with pytest.raises(DataError, match="equal"):
        wb.barcode_distance(layers(a=ring(20), b=np.ones((20, 2))))
