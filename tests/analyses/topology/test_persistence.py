"""Barcodes of shapes whose holes are known, their representatives, and their control."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import cdist
from scipy.stats import binom

import workbench as wb
from workbench.analyses.topology._barcodes import Engine, bars_of, distances_of
from workbench.core.errors import DataError, ParameterError
from workbench.results.diagram import Diagram

NO_CONTROL = {"n_null": 0, "n_boot": 0}


def long_bars(result: Diagram, dimension: int) -> int:
    """Bars before the widest gap in length: what an eye counts as long."""
    bars = result.bars(dimension)
    lengths = np.append(np.log(bars[:, 1] / bars[:, 0]), 0)
    return int((lengths[:-1] - lengths[1:]).argmax()) + 1


def test_known_answer_circle_has_one_component_and_one_loop() -> None:
    result = wb.persistence(wb.circle(n=300, noise=0.05, dimensions=10), max_points=100)
    assert np.isinf(result.bars(0)[:, 1]).sum() == 1
    assert long_bars(result, 1) == 1
    birth, death = result.bars(1)[0]
    assert birth < 0.5
    assert death == pytest.approx(np.sqrt(3), abs=0.25)  # the largest equilateral triangle in the circle
    components, loops = result.evidence
    assert components.p_value > 0.05
    assert loops.p_value == pytest.approx(1 / 40)
    assert loops.null_name == "one_lump"
    assert loops.interval[0] > max(loops.null_values)


def test_known_answer_sphere_has_a_void_and_no_loop() -> None:
    result = wb.persistence(
        wb.sphere(n=600, noise=0.02), homology_dimensions=(0, 1, 2), max_points=100, n_null=19, n_boot=5
    )
    assert long_bars(result, 2) == 1
    assert result.bars(2)[0, 1] == pytest.approx(np.sqrt(8 / 3), abs=0.2)  # the regular tetrahedron's edge
    components, loops, voids = result.evidence
    assert components.p_value > 0.05
    assert loops.p_value > 0.05
    assert voids.p_value == pytest.approx(1 / 20)


def test_known_answer_torus_has_two_loops_and_a_void() -> None:
    result = wb.persistence(
        wb.torus(n=4000, noise=0), homology_dimensions=(0, 1, 2), max_points=200, **NO_CONTROL
    )
    assert np.isinf(result.bars(0)[:, 1]).sum() == 1
    assert long_bars(result, 1) == 2
    assert long_bars(result, 2) == 1


def test_known_answer_far_groups_are_components() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((90, 4)) + 30 * np.eye(4)[np.arange(90) % 3]
    result = wb.persistence(rows, homology_dimensions=(0,))
    bars = result.bars(0)
    assert (bars[:3, 1] > 20).all()
    assert (bars[3:, 1] < 10).all()
    assert result.evidence[0].p_value == pytest.approx(1 / 40)
    merged = np.argsort(-np.where(np.isinf(result.pairs[:, 1]), 0, result.pairs[:, 1]))[:2]
    groups = [set((result.cycle(bar) % 3).tolist()) for bar in merged]
    assert all(len(g) == 1 for g in groups)
    assert sorted(len(result.cycle(bar)) for bar in merged) == [30, 30]


def test_known_answer_projective_plane_depends_on_coefficients() -> None:
    """One class of order two: a loop modulo 2, none modulo 3."""
    rng = np.random.default_rng(1)
    x, y, z = (v := rng.standard_normal((3, 3000))) / np.linalg.norm(v, axis=0)
    plane = np.column_stack([x * x, y * y, z * z, *(np.sqrt(2) * p for p in (x * y, y * z, z * x))])
    two, three = (wb.persistence(plane, max_points=90, coeff=c, **NO_CONTROL) for c in (2, 3))
    assert long_bars(two, 1) == 1
    assert np.diff(two.bars(1)[0])[0] > 2 * np.diff(three.bars(1)[0])[0]
    assert "modulo 3" in three.caveat


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "cosine"])
@pytest.mark.parametrize("limit", [None, 0.7])
def test_peer_giotto_ph(metric: str, limit: float | None) -> None:
    from gph import ripser_parallel
    from sklearn.metrics import pairwise_distances

    rows = np.random.default_rng(2).standard_normal((60, 3))
    result = wb.persistence(
        rows, metric=metric, homology_dimensions=(0, 1, 2), max_edge_length=limit, **NO_CONTROL
    )
    peer = ripser_parallel(
        pairwise_distances(rows, metric=metric), metric="precomputed", maxdim=2, thresh=limit or np.inf
    )
    for dimension, theirs in enumerate(peer["dgms"]):
        ours = result.pairs[result.pairs[:, 2] == dimension, :2]
        assert ours.shape == theirs.shape
        assert np.allclose(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)], atol=1e-5)


def test_peer_single_linkage() -> None:
    rows = np.random.default_rng(3).standard_normal((80, 5))
    deaths = wb.persistence(rows, homology_dimensions=(0,), **NO_CONTROL).bars(0)[1:, 1]
    assert np.allclose(deaths[::-1], linkage(rows, "single")[:, 2], rtol=1e-6)


def test_loops_are_cycles_born_with_their_bars() -> None:
    cloud = wb.torus(n=120, noise=0.05)
    result = wb.persistence(cloud, **NO_CONTROL)
    d = cdist(cloud.values, cloud.values)
    found = 0
    for bar in np.flatnonzero(result.pairs[:, 2] == 1):
        cycle = result.cycle(bar)
        if not len(cycle):
            continue
        found += 1
        edges = d[cycle, np.roll(cycle, -1)]
        assert len(cycle) >= 4
        assert len(set(cycle.tolist())) == len(cycle)
        assert edges[-1] == pytest.approx(result.pairs[bar, 0], rel=1e-5)
        assert (edges[:-1] < edges[-1]).all()
    assert found == min(60, (result.pairs[:, 2] == 1).sum())


def test_the_circle_s_loop_goes_round_once() -> None:
    cloud = wb.circle(n=500, noise=0.08)
    kept = cloud.select(cloud.ids % 2 == 1)  # ids that aren't positions
    result = wb.persistence(kept, max_points=120, **NO_CONTROL)
    bar = int(np.argmax(np.where(result.pairs[:, 2] == 1, result.pairs[:, 1] - result.pairs[:, 0], 0)))
    cycle = result.cycle(bar)
    assert set(cycle.tolist()) <= set(kept.ids.tolist())
    angle = np.arctan2(*kept.select(cycle).values.T)
    steps = np.diff(np.append(angle, angle[0]))
    winding = ((steps + np.pi) % (2 * np.pi) - np.pi).sum() / (2 * np.pi)
    assert abs(winding) == pytest.approx(1)


def test_landmarks_move_no_bar_by_more_than_they_say() -> None:
    cloud = wb.circle(n=400, noise=0.03)
    full = wb.persistence(cloud, max_points=400, **NO_CONTROL).bars(1)[0]
    few = wb.persistence(cloud, max_points=40, **NO_CONTROL)
    bound = float(few.caveat.split("more than ")[1].split(" ")[0])
    moved = few.bars(1)[0] - full
    assert 0 < bound < 0.5
    assert (moved >= -1e-6).all()  # fewer rows: born and filled later
    assert (moved <= bound).all()
    assert moved[0] > 0


def test_scale_and_place_do_not_matter() -> None:
    rows = wb.circle(n=80, dimensions=4).values.astype(float)
    plain, other = (wb.persistence(x, n_null=9, n_boot=0) for x in (rows, 1e3 * rows + 50))
    for a, b in zip(plain.evidence, other.evidence, strict=True):
        assert b.value == pytest.approx(a.value, rel=1e-2)
        assert b.null_values == pytest.approx(a.null_values, rel=1e-2)


def test_correlated_noise_has_no_loop() -> None:
    """Where shuffled columns, a null of another dimension, would find one."""
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 60)) + 0.1 * rng.standard_normal((300, 60))
    assert wb.persistence(rows, n_boot=0).evidence[1].p_value > 0.05


def test_outliers_are_no_components() -> None:
    """Of heavy tails the longest bar of H0 is long, and says nothing of groups."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((200, 4)) / np.sqrt(rng.chisquare(2, (200, 1)) / 2)
    result = wb.persistence(rows, homology_dimensions=(0,), n_boot=0)
    deaths = result.bars(0)[1:, 1]
    assert deaths[0] > 5 * np.median(deaths)
    assert result.evidence[0].p_value > 0.1


def test_rows_of_one_text_are_no_component() -> None:
    """Texts that lie apart are groups, unless it is known that they are texts."""
    rng = np.random.default_rng(6)
    rows = np.repeat(rng.standard_normal((12, 3)), 12, axis=0) * 10 + rng.standard_normal((144, 3))
    free, of_texts = (
        wb.persistence(
            wb.PointCloud(rows, table=pd.DataFrame({column: np.repeat(np.arange(12), 12)})),
            homology_dimensions=(0,),
            n_boot=5,
        ).evidence[0]
        for column in ("other", "text_id")
    )
    assert free.p_value <= 0.05 < of_texts.p_value
    assert (free.groups, of_texts.groups) == ("", "12 texts")
    assert of_texts.interval is None


def test_fewer_than_six_texts_are_not_tested() -> None:
    rows = np.random.default_rng(7).standard_normal((60, 3))
    cloud = wb.PointCloud(rows, table=pd.DataFrame({"text_id": np.repeat(np.arange(4), 15)}))
    for ask in (wb.persistence, wb.landscape, wb.persistence_image, wb.mapper):
        assert all("4 texts" in e.untested and not e.null_values for e in ask(cloud).evidence)


@cache
def p_values(seed: int, kind: str) -> tuple[float, ...]:
    rng = np.random.default_rng([seed, 7])
    if kind == "gaussian":
        rows = rng.standard_normal((25, 3)) * [1, 2, 3]
    else:
        rows = rng.uniform(size=(40, 3))
    result = wb.persistence(rows, n_null=19, n_boot=0, random_state=seed)
    return tuple(e.p_value for e in result.evidence)


@pytest.mark.slow
@pytest.mark.parametrize("dimension", [0, 1])
def test_claims_no_shape_in_correlated_gaussian_rows(dimension: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most as often as its level says: the nearest of several lumps is contradicted less often than each."""
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    rejected = sum(p_values(seed, "gaussian")[dimension] <= 0.05 for seed in range(200))
    assert rejected <= binom.ppf(0.9995, 200, 0.05)


@pytest.mark.slow
def test_claims_no_loop_in_rows_that_are_not_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    rejected = sum(p_values(seed, "uniform")[1] <= 0.05 for seed in range(120))
    assert rejected <= binom.ppf(0.9995, 120, 0.05)


def test_few_and_repeated_rows_answer() -> None:
    two = wb.persistence(np.array([[0.0], [3.0]]), n_null=3, n_boot=3)
    assert two.bars(0)[1].tolist() == [0, 3]
    square = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    repeated = wb.persistence(np.repeat(square, 20, axis=0), max_points=30, n_null=5, n_boot=5)
    assert np.allclose(repeated.bars(1), [[1, np.sqrt(2)]])
    every = wb.persistence(np.repeat(square, 3, axis=0), n_null=5, n_boot=5)
    assert np.allclose(every.bars(1), [[1, np.sqrt(2)]])
    assert sorted(len(every.cycle(b)) for b in range(4)) == [3, 3, 3, 12]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.ones((1, 3)), "at least 2"),
        (np.ones((9, 3)), "equal"),
        (np.eye(3) * 1e39, "single precision"),
        (np.eye(3) * 1e-45, "single precision"),
    ],
)
def test_refuses_what_has_no_shape(rows: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        wb.persistence(rows)


def test_refuses_rows_without_direction_and_too_many_voids() -> None:
    with pytest.raises(DataError, match="euclidean"):
        wb.persistence(np.vstack([np.eye(3), np.zeros(3)]), metric="cosine")
    with pytest.raises(DataError, match="direction"):
        wb.persistence(np.outer(np.arange(1, 9), np.ones(3)), metric="cosine")
    rows = np.random.default_rng(0).standard_normal((500, 3))
    with pytest.raises(ParameterError, match="max_points=450 to at most 400"):
        wb.persistence(rows, homology_dimensions=(2,), max_points=450)
    with pytest.raises(ParameterError, match=r"modulo 3.*at most 300"):
        wb.persistence(rows, homology_dimensions=(2,), max_points=400, coeff=3)
    with pytest.raises(ParameterError, match=r"5-dimensional hollows.*at most 64"):
        wb.persistence(rows, homology_dimensions=(1, 5))


SHAPES = {
    "circle": (lambda: wb.circle(n=90, noise=0.1).values, (0, 1)),
    "torus": (lambda: wb.torus(n=100, noise=0.02).values, (0, 1, 2)),
    "sphere": (lambda: wb.sphere(n=70, noise=0).values, (2,)),
    "gaussian": (lambda: np.random.default_rng(0).standard_normal((60, 5)), (0, 1, 2, 3)),
    "duplicates": (
        lambda: np.repeat(np.random.default_rng(1).standard_normal((25, 3)), 3, axis=0),
        (0, 1, 2),
    ),
    "grid": (lambda: np.argwhere(np.ones((4, 4, 3))).astype(float), (0, 1, 2)),
    "two": (lambda: np.eye(2), (0, 1)),
}


@pytest.mark.parametrize("limit", [None, 0.8, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_engines_give_the_same_bars(shape: str, limit: float | None) -> None:
    """Loops and components too: both engines order simplices alike, so that they pair them alike."""
    rows, dimensions = SHAPES[shape]
    distances = distances_of(rows(), "euclidean", shape)
    ours, theirs = (bars_of(distances, dimensions, Engine(own, "cpu", 2, limit), 60) for own in (True, False))
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        np.testing.assert_array_equal(a.values, b.values)
        if k < 2:
            np.testing.assert_array_equal(a.rows, b.rows)


def test_the_answer_is_the_same_by_either_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    cloud = wb.torus(n=300, noise=0.05)
    answers = []
    for rows in (1000, 0):  # giotto-ph's up to so many
        monkeypatch.setattr("workbench.analyses.topology._barcodes.OWN_ROWS", rows)
        monkeypatch.setattr("workbench.analyses.topology._barcodes.LOADED_ROWS", rows)
        answers.append(wb.persistence(cloud, n_null=5, n_boot=5))
    theirs, ours = answers
    np.testing.assert_array_equal(ours.pairs, theirs.pairs)
    np.testing.assert_array_equal(ours.cycle_ids, theirs.cycle_ids)
    np.testing.assert_array_equal(ours.cycle_starts, theirs.cycle_starts)
    np.testing.assert_array_equal(ours.noise, theirs.noise)
    assert ours.evidence == theirs.evidence


def test_our_engine_takes_smaller_barcodes_once_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "workbench.numerics.rips", raising=False)
    assert not Engine.choose("cpu", 1, 256).own
    assert Engine.choose("cpu", 2, 20).own
    square = np.float32([[0, 1, 2, 1], [1, 0, 1, 2], [2, 1, 0, 1], [1, 2, 1, 0]])
    bars_of(square, (0, 1), Engine(True, "cpu", 2, None))
    assert Engine.choose("cpu", 1, 256).own
    assert not Engine.choose("cpu", 1, 100).own


def test_nobody_waits_for_a_compiler_where_the_library_answers_sooner(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
import workbench as wb
from workbench.analyses.topology._barcodes import Engine
from workbench.numerics.kernels.rips_columns import reduce_columns
assert not Engine.choose("cpu", 1, 900).own
assert Engine.choose("cpu", 1, 1100).own and Engine.choose("cpu", 2, 50).own
wb.persistence(wb.circle(n=600), max_points=600, n_null=0, n_boot=0)
assert not reduce_columns.signatures
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "WORKBENCH_NO_CACHE": "1"}
    subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, check=True)


def test_known_answer_spheres_of_higher_dimension_have_one_hollow() -> None:
    for d, n in ((3, 60), (4, 40), (5, 32)):
        x = np.random.default_rng(d).standard_normal((4000, d + 1))
        result = wb.persistence(
            x / np.linalg.norm(x, axis=1, keepdims=True),
            homology_dimensions=(1, d),
            max_points=n,
            n_null=19 if d == 3 else 2,
            n_boot=2,
        )
        assert long_bars(result, d) == 1
        hollow = result.evidence_of("longest_bar", f"H{d}")
        assert hollow.question.startswith(f"Is there a {d}-dimensional hollow that lasts longer")
        assert hollow.value > max(hollow.null_values)
        assert len(result.noise) == d + 1


def test_a_void_s_cycle_surrounds_it() -> None:
    cloud = wb.sphere(n=400, noise=0)
    kept = cloud.select(cloud.ids % 3 != 0)  # ids that aren't positions
    result = wb.persistence(kept, homology_dimensions=(2,), max_points=60, **NO_CONTROL)
    bar = int(np.argmax(result.pairs[:, 1] - result.pairs[:, 0]))
    cycle = result.cycle(bar)
    assert set(cycle.tolist()) <= set(kept.ids.tolist())
    rows = kept.select(cycle).values
    directions = np.random.default_rng(0).standard_normal((500, 3))
    assert ((rows @ directions.T).max(axis=0) > 0).all()  # some row on every side
    assert max(cdist(rows, rows).max(axis=1)) > result.pairs[bar, 1]
    three = wb.persistence(kept, homology_dimensions=(2,), max_points=60, coeff=3, **NO_CONTROL)
    assert len(three.cycle_ids) == 0
    np.testing.assert_array_equal(three.pairs, result.pairs)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_sparse_filtration_stands_for_all_rows_within_its_factor(metric: str) -> None:
    cloud = wb.circle(n=400, noise=0.03)
    exact = wb.persistence(cloud, metric=metric, max_points=400, **NO_CONTROL)
    sparse = wb.persistence(cloud, metric=metric, max_points=20, sparse=0.5, n_null=3, n_boot=3)
    factor = float(sparse.caveat.split("factor of at most ")[1].split(",")[0])
    assert factor == pytest.approx(1.5 if metric == "euclidean" else 2.25, rel=1e-2)
    moved = sparse.bars(1)[0] / exact.bars(1)[0]
    assert (moved >= 1 - 1e-5).all() and (moved <= factor * (1 + 1e-5)).all()
    assert len(sparse.bars(0)) == 400
    assert len(sparse.cycle_ids) == 0 and len(sparse.cycle_starts) == len(sparse.pairs) + 1
    assert sparse.evidence == wb.persistence(cloud, metric=metric, n_null=3, n_boot=3).evidence


def test_sparse_refusals_say_what_to_do() -> None:
    rows = np.random.default_rng(0).standard_normal((4001, 2))
    with pytest.raises(ParameterError, match="sparse=0 for landmarks"):
        wb.persistence(rows, sparse=1.0)
    with pytest.raises(ParameterError, match="coeff=2"):
        wb.persistence(rows[:50], sparse=1.0, coeff=3)


def test_fewer_cycles_leave_the_bars_as_they_are() -> None:
    cloud = wb.torus(n=120, noise=0.05, random_state=0)
    whole, few, none = (
        wb.persistence(cloud, homology_dimensions=(0, 1, 2), n_null=0, n_boot=0, cycles=c) for c in (60, 2, 0)
    )
    assert np.array_equal(whole.pairs, few.pairs)
    assert np.array_equal(whole.pairs, none.pairs)
    lengths = [np.diff(r.cycle_starts) for r in (whole, few, none)]
    loops = whole.pairs[:, 2] == 1
    assert (lengths[1][loops] > 0).sum() == 2 < (lengths[0][loops] > 0).sum()
    assert lengths[2].sum() == 0
    assert len(none.evidence) == 3
    assert all(e.interval is None and not e.null for e in none.evidence)
    lives = np.sort(np.log(whole.bars(1)[:, 1] / whole.bars(1)[:, 0]))
    assert none.evidence[1].value == pytest.approx(lives[-1] / lives[:-1].mean(), rel=1e-5)


def test_a_curve_is_in_one_piece() -> None:
    """Of which one lump would say that there are groups: its valleys are deeper than a lump's by chance."""
    found = []
    for seed in range(8):
        t = np.random.default_rng(seed).uniform(0, 4 * np.pi, 200)
        rows = np.column_stack([np.cos(t), np.sin(t), t / 3])
        found.append(wb.persistence(rows, homology_dimensions=(0,), n_boot=0, cycles=0).evidence[0])
    assert {e.null_name for e in found} == {"one_piece"}
    assert any("inside the rows' own pieces" in e.null_details for e in found)
    assert sum(e.p_value <= 0.05 for e in found) <= 2
