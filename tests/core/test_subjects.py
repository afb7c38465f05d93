"""Subjects: views, refusals, selection, digests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError
from workbench.core.patterns import matches
from workbench.subjects.activations import Aligned
from workbench.subjects.checkpoint import Checkpoint, Matrix, TensorInfo
from workbench.subjects.points import Points


def acts() -> wb.Activations:
    rng = np.random.default_rng(0)
    sites = {f"encoder.layer.{i}": rng.standard_normal((20, 4)).astype(np.float32) for i in range(3)}
    table = pd.DataFrame({"token": list("abcdefghijklmnopqrst"), "n": range(20)}, index=pd.RangeIndex(20))
    return wb.Activations(sites, table, name="toy")


def test_a_selection_keeps_ids_and_is_a_subject() -> None:
    chosen = acts().select("n > 4 and token != 'h'")
    assert 7 not in chosen.ids and chosen.ids.min() == 5
    again = chosen.select([9, 6])
    assert again.ids.tolist() == [9, 6]
    assert (again.at("encoder.layer.1").values == acts().array("encoder.layer.1")[[9, 6]]).all()
    assert again.space == acts().space
    assert again.digest != acts().digest


@pytest.mark.parametrize(
    ("rows", "error", "said"),
    [
        ("m > 2", MissingError, "Columns: token, n"),
        ([99], MissingError, "no row 99"),
        (np.ones(3, bool), DataError, "3 entries for 20"),
        ("n > 100", DataError, "no row of 20"),
    ],
)
def test_a_wrong_selection_says_what_is_there(rows, error, said) -> None:
    with pytest.raises(error, match=said):
        acts().select(rows)


def test_a_sample_that_cannot_be_drawn_is_refused() -> None:
    assert len(acts().sample(np.int64(5))) == 5
    for n in (0, -1, 2.5, True):
        with pytest.raises(ParameterError, match=rf"n={n!r} is not legal. It takes an integer of at least 1"):
            acts().sample(n)
    with pytest.raises(ParameterError, match="random_state=-1 is not legal"):
        acts().sample(5, random_state=-1)


def test_a_column_is_given_or_refused_with_those_that_exist() -> None:
    assert acts().column("n").tolist() == list(range(20))
    with pytest.raises(MissingError, match=r"no column 'm'.*token"):
        acts().column("m")


def test_a_checkpoint_says_how_many_tensors_carry_noise() -> None:
    stored = {
        "a": TensorInfo("a", (2, 3), "Q4_1", 4, noise="4-bit blocks"),
        "b": TensorInfo("b", (2,), "F32", 8),
    }
    net = Checkpoint(stored, lambda name: np.ones(stored[name].shape), name="net", content=lambda: "x")
    assert net.holds.endswith("8 numbers; 1 of the tensors in 4-bit blocks")
    assert net.at("a").view(Matrix).noise == "4-bit blocks"
    assert net.at("b").holds.endswith("2 numbers")


def test_one_site_gives_points_and_several_give_aligned() -> None:
    assert acts().at("encoder.layer.2").view(Points).values.shape == (20, 4)
    assert list(acts().view(Aligned).arrays) == acts().sites
    with pytest.raises(ViewError, match=r"choose with .at\(name\)"):
        acts().view(Points)
    with pytest.raises(ViewError, match="holds one site"):
        acts().at("encoder.layer.0").view(Aligned)


def test_a_subject_that_cannot_give_a_view_says_what_it_holds() -> None:
    with pytest.raises(ViewError, match=r"20 rows at 3 sites.*needs one weight matrix.*Points, Aligned"):
        acts().view(Matrix)


def test_a_site_that_is_not_there_is_suggested() -> None:
    with pytest.raises(MissingError, match=r"Did you mean 'encoder.layer.\d'"):
        acts().at("encoder.layers.1")


@pytest.mark.parametrize(
    ("pattern", "name", "match"),
    [
        ("encoder.layer.*", "encoder.layer.3", True),
        ("encoder.layer.*", "encoder.layer.3.output", False),
        ("**.output", "a.b.output", True),
        ("**", "a.b", True),
        ("*", "a.b", True),
        ("a.?", "a.b", True),
        ("a", "a.b", False),
    ],
)
def test_a_star_stays_within_one_part(pattern: str, name: str, match: bool) -> None:
    assert matches(name, pattern) is match


def test_nan_rows_are_counted_and_can_be_left_out() -> None:
    x = np.ones((10, 3))
    x[2, 0], x[2, 1], x[7, 2] = np.nan, np.inf, np.nan
    cloud = wb.PointCloud(x, name="holes")
    with pytest.raises(
        DataError, match=r"2 NaN and 1 infinite values in 2 of 10 rows \(first: 2, 7\).*drop_nonfinite"
    ):
        wb.pca(cloud)
    assert cloud.drop_nonfinite().ids.tolist() == [0, 1, 3, 4, 5, 6, 8, 9]


def test_equal_content_has_the_equal_digest_whatever_its_name() -> None:
    x = np.arange(12.0).reshape(4, 3)
    assert wb.PointCloud(x, name="a").digest == wb.PointCloud(x.copy(), name="b").digest
    assert wb.PointCloud(x).digest != wb.PointCloud(x + 1).digest
    assert wb.PointCloud(x).digest != wb.PointCloud(x.astype(np.float32)).digest


def toy_checkpoint() -> wb.Checkpoint:
    weights = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.zeros(2, np.float32)}
    infos = {n: TensorInfo(n, w.shape, "F32", w.nbytes) for n, w in weights.items()}
    return wb.Checkpoint(infos, weights.__getitem__, name="toy", content=lambda: "toy")


def test_a_matrix_needs_one_tensor() -> None:
    assert toy_checkpoint().at("a.weight").view(Matrix).values.shape == (2, 3)
    with pytest.raises(ViewError, match=r"at\('a.weight'\)"):
        toy_checkpoint().view(Matrix)
    with pytest.raises(ViewError, match="needs a matrix"):
        toy_checkpoint().at("a.bias").view(Matrix)


def test_a_name_is_not_a_subject() -> None:
    with pytest.raises(ViewError, match="open it first"):
        wb.pca("minilm")


def test_what_the_row_table_says_is_content() -> None:
    """A method may read it (a probe its labels), so an answer must not come from another table's cache entry."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    kinds = np.repeat(["a", "b"], 20)
    tables = [
        pd.DataFrame({"kind": kinds}),
        pd.DataFrame({"kind": rng.permuted(kinds)}),
        pd.DataFrame({"sort": kinds}),
        pd.DataFrame({"kind": np.arange(40)}),
        pd.DataFrame({"kind": np.arange(40).astype(str)}),
        pd.DataFrame({"kind": [np.nan] * 40}),
        pd.DataFrame({"kind": ["nan"] * 40}),
    ]
    for make in (
        lambda t: wb.PointCloud(x, table=t),
        lambda t: wb.Activations({"layer": x}, t, content="same"),
    ):
        assert len({make(t).digest for t in tables}) == len(tables)
        assert make(tables[0]).digest == make(tables[0].copy()).digest
    changed = wb.PointCloud(x, table=tables[0].copy())
    before = changed.digest
    changed.table["kind"] = kinds[::-1]
    assert changed.digest != before


def test_a_query_of_rows_without_columns_says_that_there_are_none() -> None:
    with pytest.raises(MissingError, match="no columns"):
        wb.PointCloud(np.eye(3)).select("a > 1")
