"""Intrinsic dimension of surfaces whose dimension is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import assert_calibrated

import workbench as wb
from workbench.analyses.geometry import intrinsic_dimension as module
from workbench.analyses.geometry.intrinsic_dimension import (
    likeliest,
    nearest_within,
    row_dimensions,
    two_nn,
)
from workbench.core.errors import DataError
from workbench.numerics.neighbours import k_nearest
from workbench.subjects.points import Points


def flat_torus(n: int, d: int, seed: int) -> np.ndarray:
    """d circles, one beside the other: dimension d without an edge, in 2 d columns."""
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, (n, d))
    return np.hstack([np.cos(angles), np.sin(angles)])


@pytest.mark.parametrize(
    ("rows", "dimension"),
    [
        (wb.circle(n=600, noise=0, dimensions=8).values, 1),
        (wb.swiss_roll(n=1200, dimensions=12).values, 2),
        (flat_torus(1500, 3, 0), 3),
        (
            np.random.default_rng(0).standard_normal((1500, 2))
            @ np.random.default_rng(1).standard_normal((2, 30)),
            2,
        ),
    ],
    ids=["circle", "swiss roll", "torus", "plane"],
)
def test_known_answer_of_surfaces(rows: np.ndarray, dimension: int) -> None:
    found = wb.intrinsic_dimension(rows, n_null=19, n_boot=20)
    for e in found.evidence:
        assert abs(e.value - dimension) < 0.15 * dimension
    assert abs(np.median(found.per_row) - dimension) < 0.2 * dimension
    bent = dimension < np.linalg.matrix_rank(rows - rows.mean(axis=0), tol=1e-3)
    for e in found.evidence:  # a plane is as flat as its covariance says; the others bend
        assert (e.p_value == 0.05) == bent, e


def test_peer_is_scikit_dimension() -> None:
    import skdim

    rows = np.random.default_rng(2).standard_normal((400, 6))
    distances = k_nearest(rows, 15)[1]
    found = wb.intrinsic_dimension(rows, n_neighbors=15, discard_fraction=0.2, n_null=0, n_boot=0)
    peer = skdim.id.TwoNN(discard_fraction=0.2, dist=True).fit(distances[:, :2])
    assert np.isclose(found.evidence[0].value, peer.dimension_)
    peer = skdim.id.MLE().fit(rows, n_neighbors=15, comb="mle")
    assert np.isclose(found.evidence[1].value, peer.dimension_)
    assert np.allclose(found.per_row[:, 0], peer.dimension_pw_, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(60, 4), (48, 40)], ids=["few columns", "nearly as many columns as rows"])
def test_calibrated_on_gaussian_rows(shape: tuple[int, int]) -> None:
    p = {}

    def asked(seed: int) -> list[float]:
        if seed not in p:
            rows = np.random.default_rng(seed).standard_normal(shape) * np.linspace(1, 3, shape[1])
            found = wb.intrinsic_dimension.function(
                wb.PointCloud(rows).view(Points), n_neighbors=8, n_null=19, n_boot=0, random_state=seed
            )
            p[seed] = [e.p_value for e in found.evidence]
        return p[seed]

    for i in range(2):
        assert_calibrated(lambda seed, i=i: asked(seed)[i], exact=False)


@pytest.mark.slow
def test_intervals_cover_the_dimension() -> None:
    hits = np.zeros(2)
    for seed in range(60):
        view = wb.PointCloud(flat_torus(400, 2, seed)).view(Points)
        found = wb.intrinsic_dimension.function(view, n_neighbors=10, n_null=0, n_boot=40, random_state=seed)
        hits += [e.interval[0] <= 2 <= e.interval[1] for e in found.evidence]
    assert (hits >= 51).all()  # 57 expected; below this with probability 0.005 at 95 % coverage


@pytest.mark.parametrize("groups", [None, "text"])
def test_an_interval_of_some_of_many_rows_is_as_wide_as_that_of_all(
    groups: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    rows = flat_torus(4000, 2, 5)
    table = pd.DataFrame({"text_id": np.arange(4000) // 8}) if groups else None
    points = wb.PointCloud(rows, name="torus", table=table)
    of_all = wb.intrinsic_dimension(points, n_null=0, device="cpu").evidence
    monkeypatch.setattr(module, "MOST_AGAIN", 1000)
    of_some = wb.intrinsic_dimension(points, n_null=0, device="cpu").evidence
    for a, b in zip(of_all, of_some, strict=True):
        assert a.value == b.value
        assert (
            a.interval
            and b.interval
            and f"{'texts' if groups else 'rows'} of 1,000 rows" in b.interval_method
        )
        wide, again = a.interval[1] - a.interval[0], b.interval[1] - b.interval[0]
        assert 0.6 < again / wide < 1.6
        assert b.interval[0] < b.value < b.interval[1]


def test_of_many_rows_that_come_again_the_interval_is_of_one_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    rows = np.repeat(flat_torus(300, 2, 6), 4, axis=0) + 1e-6 * np.random.default_rng(7).standard_normal(
        (1200, 4)
    )
    points = wb.PointCloud(rows, name="torus", table=pd.DataFrame({"token": np.arange(1200) // 4}))
    few = wb.intrinsic_dimension(points, n_null=0, device="cpu").evidence
    monkeypatch.setattr(module, "MOST_AGAIN", 1000)
    many = wb.intrinsic_dimension(points, n_null=0, device="cpu").evidence
    assert [e.n for e in few] == [300, 300]
    assert all(e.interval for e in few) and [e.interval for e in many] == [e.interval for e in few]


def test_lists_within_a_subsample_are_those_searched_there() -> None:
    rows = np.random.default_rng(6).standard_normal((120, 4))
    indices, distances = k_nearest(rows, 80)
    some = np.sort(np.random.default_rng(7).choice(120, 60, replace=False))
    assert np.allclose(nearest_within(indices, distances, some, 5), k_nearest(rows[some], 5)[1])
    assert len(nearest_within(indices[:, :6], distances[:, :6], some, 5)) < 60  # lists that end too early


def test_repeated_rows_count_once() -> None:
    rows = flat_torus(150, 2, 8)
    again = np.vstack([rows, rows[:40], -0.0 * rows[:1], 0.0 * rows[:1]])
    found = wb.intrinsic_dimension(again, n_neighbors=8, n_null=0, n_boot=0)
    alone = wb.intrinsic_dimension(np.vstack([rows, 0 * rows[:1]]), n_neighbors=8, n_null=0, n_boot=0)
    assert np.allclose([e.value for e in found.evidence], [e.value for e in alone.evidence])
    assert found.evidence[0].n == 151
    assert "41 rows that repeat" in found.caveat
    assert np.array_equal(found.per_row[:40], found.per_row[150:190])


def test_the_bias_of_many_dimensions_is_said_beside_what_a_lump_reads_as() -> None:
    rows = np.random.default_rng(3).standard_normal((400, 20))
    found = wb.intrinsic_dimension(rows, n_null=19, n_boot=0)
    likely = found.evidence[1]
    assert likely.value < 16  # of 20
    assert likely.value == pytest.approx(np.mean(likely.null_values), abs=0.7)
    assert "fills 20 directions, reads as" in found.caveat
    assert f"{np.mean(likely.null_values):.1f} (maximum likelihood)" in found.caveat
    assert "neighbour 20" in found.caveat  # the scale


def test_tokens_that_come_again_leave_too_few_rows_in_words() -> None:
    import pandas as pd

    kind = np.arange(240) % 40
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((40, 5))[kind] + 0.2 * rng.standard_normal((240, 5))
    cloud = wb.PointCloud(rows, table=pd.DataFrame({"token": kind.astype(str)}))
    found = wb.intrinsic_dimension(cloud, n_null=19, n_boot=20)
    for e in found.evidence:
        assert e.p_value is None
        assert e.interval is None
        assert "40 rows don't come again" in e.untested
    assert "bring the dimension down" in found.caveat


def test_tied_distances_and_few_rows_are_refused() -> None:
    grid = np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0)), -1).reshape(-1, 2)
    with pytest.raises(DataError, match="as on a grid"):
        wb.intrinsic_dimension(grid)
    with pytest.raises(DataError, match="Lower n_neighbors to 12"):
        wb.intrinsic_dimension(np.random.default_rng(9).standard_normal((50, 3)))
    with pytest.raises(DataError, match="1 distinct rows"):
        wb.intrinsic_dimension(np.ones((50, 3)))
    tied = np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 4.0]])
    assert np.allclose(row_dimensions(tied, 7), [7, 2 / np.log(8)])
    assert two_nn(tied[:1].repeat(9, axis=0), 0.1) == likeliest(tied[:1]) == np.inf


def test_devices_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.numerics import neighbours_torch

    on_gpu = neighbours_torch.k_nearest
    monkeypatch.setattr("workbench.core.device._usable", lambda: True)
    monkeypatch.setattr(neighbours_torch, "k_nearest", lambda *a, **k: on_gpu(*a, **{**k, "device": "cpu"}))
    rows = np.random.default_rng(0).standard_normal((600, 3)) @ np.random.default_rng(1).standard_normal(
        (3, 9)
    )
    nearly = rows.copy()
    nearly[1] = rows[0] * (1 + 1e-12)  # equal to it in single precision
    for x in (rows, nearly):
        cloud = wb.PointCloud(x).view(Points)
        here, there = (
            wb.intrinsic_dimension.function(cloud, n_null=3, n_boot=20, device=d) for d in ("cpu", "cuda")
        )
        np.testing.assert_allclose(here.per_row, there.per_row, rtol=1e-4)
        for a, b in zip(here.evidence, there.evidence, strict=True):
            np.testing.assert_allclose([a.value, *a.interval], [b.value, *b.interval], rtol=1e-4)
