"""Subjects: views, refusals, selection, digests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError, WorkbenchError
from workbench.core.patterns import matches
from workbench.core.rows import table_digest
from workbench.results.partition import Partition
from workbench.subjects.activations import Aligned
from workbench.subjects.checkpoint import Checkpoint, Matrix, TensorInfo
from workbench.subjects.graph import GraphSubject
from workbench.subjects.points import PointCloud, Points
from workbench.subjects.series import Series


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
        ("m > 2", MissingError, "There are: n, token"),
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


def test_what_a_caller_does_to_what_he_gave_changes_nothing() -> None:
    x, weights = np.random.default_rng(0).uniform(size=(6, 2)), np.ones(2)
    table = pd.DataFrame({"kind": list("aabbcc")})
    made = [
        wb.PointCloud(x, table=table),
        wb.TimeSeries(x, table=table),
        wb.Activations({"site": x}, table),
        wb.Arrays({"a": x}),
        wb.GraphSubject(np.array([[0, 1], [1, 2]]), 6, weights=weights, table=table),
        wb.Trajectory(pd.DataFrame({"loss": np.ones(6)}), weights={0: {"w": x}}),
    ]
    equal = wb.PointCloud(x.copy(), table=table.copy())
    answers = wb.pca(made[0], n_null=0, n_boot=0).values
    x *= 100
    x[0] = 7
    weights[:] = 5
    table["kind"] = "other"
    assert made[0].digest == equal.digest != wb.PointCloud(x, table=table).digest
    assert made[0].column("kind").tolist() == list("aabbcc")
    assert np.array_equal(wb.pca(made[0], n_null=0, n_boot=0).values, answers)
    held = [made[1].values, made[2].array("site"), made[3].at("a").values, made[5].weights(0)["w"]]
    assert all(array.max() < 1 for array in held) and made[4].weights.max() == 1


def test_what_a_subject_holds_cannot_be_written_to() -> None:
    cloud = wb.circle(n=10)
    held = [
        cloud.values,
        cloud.ids,
        cloud.select([1, 2]).values,
        wb.TimeSeries(np.ones(5)).values,
        wb.Activations.example().at("layer.1").values,
        wb.GraphSubject.example().edges,
        wb.Arrays.example().at("second").values,
        wb.Trajectory(pd.DataFrame({"loss": [1.0]}), weights={0: {"w": np.ones(2)}}).weights(0)["w"],
    ]
    for array in held:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    before = cloud.digest
    mine = cloud.table
    mine.loc[0, "angle"] = 99.0
    assert cloud.digest == before and cloud.column("angle")[0] != 99


def test_a_row_table_is_digested_once_and_a_labelled_one_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    digested = []

    def counting(table: pd.DataFrame) -> str:
        digested.append(len(table.columns))
        return table_digest(table)

    monkeypatch.setattr("workbench.core.subject.table_digest", counting)
    cloud = wb.PointCloud(np.ones((3, 2)), table=pd.DataFrame({"kind": ["a", "b", "a"]}))
    assert cloud.digest == cloud.digest and cloud.space
    assert digested == [1]
    labelled = cloud.with_label(
        Partition(labels=np.array([0, 1, 1]), ids=cloud.ids, space=cloud.space), "mine"
    )
    assert labelled.digest != cloud.digest
    assert digested == [1, 2]


def test_what_nobody_can_write_to_is_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((100, 4)))
    mapped = wb.open(tmp_path / "x.npy").values
    assert np.shares_memory(wb.PointCloud(mapped).values, mapped)
    frozen = np.ones((100, 4))
    frozen.flags.writeable = False
    assert np.shares_memory(wb.PointCloud(frozen).values, frozen)
    writable = np.ones((100, 4))
    view = writable[:]
    view.flags.writeable = False  # its base can still be written to
    assert not np.shares_memory(wb.PointCloud(view).values, writable)


def test_channels_have_names_and_a_time_between_steps(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "when": pd.date_range("2026-01-01", periods=5, freq="2s"),
            "left": np.arange(5.0),
            "right": np.ones(5),
        }
    )
    table.to_csv(tmp_path / "two.csv", index=False)
    series = wb.open(tmp_path / "two.csv")
    assert series.channels == ("left", "right") and series.interval == 2
    view = series.select([0, 1, 2]).view(Series)
    assert view.channels == ("left", "right") and view.channel("left").tolist() == [0, 1, 2]
    with pytest.raises(MissingError, match="There are: left, right"):
        view.channel("middle")
    with pytest.raises(DataError, match="a name of its own"):
        wb.TimeSeries(np.ones((5, 2)), channels=("a", "a"))
    with pytest.raises(DataError, match="interval=0"):
        wb.TimeSeries(np.ones(5), interval=0)


def test_a_made_subject_knows_its_truth() -> None:
    circle = wb.circle(n=30)
    assert circle.truth["betti"] == (1, 1) and circle.truth["dimension"] == 1
    assert circle.select([1, 2, 3]).truth == circle.truth
    assert not wb.PointCloud(np.ones((3, 2))).truth


def test_a_query_of_rows_without_columns_says_that_there_are_none() -> None:
    with pytest.raises(MissingError, match="no columns"):
        wb.PointCloud(np.eye(3)).select("a > 1")


def test_complex_numbers_are_refused_where_real_ones_are_taken() -> None:
    values = np.ones((5, 3)) + 1j
    for ask in (
        lambda: wb.PointCloud(values),
        lambda: wb.TimeSeries(values).as_points(),
        lambda: GraphSubject(np.array([[0, 1]]), 2, weights=np.array([1j])),
        lambda: wb.capture(torch.nn.Linear(3, 2), values),
    ):
        with pytest.raises(WorkbenchError, match="complex"):
            ask()


def test_rows_belong_together_by_a_columns_name_or_as_it_is_said() -> None:
    table = pd.DataFrame(
        {"text_id": [0, 0, 1, 1], "who": ["a", None, "a", None], "token": ["x", "y", "x", "z"]}
    )
    cloud = PointCloud(np.eye(4), table=table)
    assert cloud.grouped_by == "text_id"
    points = cloud.as_points()
    np.testing.assert_array_equal(points.groups, [0, 0, 1, 1])
    np.testing.assert_array_equal(points.kinds, [0, 1, 0, 2])
    by_who = cloud.group_by("who")
    np.testing.assert_array_equal(
        by_who.as_points().groups, [0, 0, 0, 0]
    )  # those without a group may be in any
    assert by_who.as_points().ungrouped.startswith("2 of 4 rows have no who") and not points.ungrouped
    assert not by_who.select("who != None").as_points().ungrouped
    assert by_who.name.endswith("grouped by who") and by_who.select([0, 1]).grouped_by == "who"
    alone = cloud.group_by(None)
    assert alone.as_points().groups is None
    assert len({c.as_points().digest for c in (cloud, by_who, alone)}) == 3
    assert cloud.digest == by_who.digest
    with pytest.raises(MissingError, match="text_id"):
        cloud.group_by("texts")


def test_a_column_that_never_repeats_groups_nothing() -> None:
    cloud = PointCloud(np.eye(3), table=pd.DataFrame({"text_id": [0, 1, 2], "token": ["a", "b", "c"]}))
    assert cloud.grouped_by is None
    assert cloud.as_points().groups is None and cloud.as_points().kinds is None
