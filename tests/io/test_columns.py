"""What of a table is a coordinate, in whatever file or program it lies; how its numbers are spelled; what is set aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, ParameterError
from workbench.io.opening import open as open_subject
from workbench.subjects.coordinates import names_rows
from workbench.subjects.points import PointCloud, Points

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 3)).round(4)


def csv(tmp_path: Path, text: str) -> Any:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    return open_subject(tmp_path / "t.csv")


def mixed() -> pd.DataFrame:
    """A table of everything, whose index has a name."""
    table = pd.DataFrame(X, columns=["x", "y", "z"])
    table["count"] = range(12)
    table["label"] = [k % 3 for k in range(12)]
    table["word"] = ["NA", "null", "é", *"abcdefghi"]
    table["sure"] = [k % 2 == 0 for k in range(12)]
    table["seen_at"] = pd.date_range("2024-01-01", periods=12, freq="h")
    table["gap"] = ["a", None] * 6
    return table.set_index(pd.Index(range(100, 112), name="user_id"))


def test_the_same_table_is_the_same_subject_from_every_file_and_frame(tmp_path: Path) -> None:
    table = mixed()
    table.to_csv(tmp_path / "t.csv")
    table.to_parquet(tmp_path / "t.parquet")
    table.reset_index().to_json(tmp_path / "t.jsonl", orient="records", lines=True, date_format="iso")
    clouds = [open_subject(tmp_path / f"t.{ending}", kind="points") for ending in ("csv", "parquet", "jsonl")]
    frames = [
        table,
        table.convert_dtypes(),
        table.convert_dtypes(dtype_backend="pyarrow"),
        table.reset_index(),
    ]
    clouds += [PointCloud.from_table(frame) for frame in frames]
    for cloud in clouds:
        np.testing.assert_array_equal(cloud.values, np.column_stack([X, np.arange(12)]))
        assert list(cloud.columns) == ["x", "y", "z", "count"]
        assert list(cloud.table.columns) == ["user_id", "label", "word", "sure", "seen_at", "gap"]
        assert cloud.table["word"].tolist()[:3] == ["NA", "null", "é"]
        assert cloud.table["gap"].isna().tolist() == [False, True] * 6
    assert len({cloud.digest for cloud in clouds}) == 1
    assert wb.pca(table, n_null=0, n_boot=0).run.inputs[0].digest == clouds[0].digest


def test_rows_of_a_frame_that_was_cut_are_told_by_its_index(tmp_path: Path) -> None:
    table = pd.DataFrame(X, columns=["x", "y", "z"]).iloc[[3, 7, 9, 11]]
    table.to_csv(tmp_path / "t.csv")
    table.to_parquet(tmp_path / "t.parquet")
    clouds = [
        open_subject(tmp_path / "t.csv"),
        open_subject(tmp_path / "t.parquet"),
        PointCloud.from_table(table),
    ]
    for cloud in clouds:
        np.testing.assert_array_equal(cloud.values, X[[3, 7, 9, 11]])
        assert cloud.table["index"].tolist() == [3, 7, 9, 11]
        assert cloud.ids.tolist() == [0, 1, 2, 3]
    assert len({cloud.digest for cloud in clouds}) == 1


def vectors_as(kind: str, tmp_path: Path) -> Any:
    lists = X.tolist()
    columns = {
        "text": [f"text {k}" for k in range(12)],
        "year": list(range(1960, 1972)),
        "n_chars": [5000 * k for k in range(12)],
    }
    if kind == "parquet":
        table = pa.table({**columns, "embedding": pa.array(lists, pa.list_(pa.float64()))})
        pq.write_table(table, tmp_path / "v.parquet")
    elif kind == "parquet, fixed":
        table = pa.table({**columns, "embedding": pa.array(lists, pa.list_(pa.float64(), 3))})
        pq.write_table(table, tmp_path / "v.parquet")
    elif kind == "json lines":
        pd.DataFrame({**columns, "embedding": lists}).to_json(
            tmp_path / "v.jsonl", orient="records", lines=True
        )
    elif kind == "frame":
        return PointCloud.from_table(pd.DataFrame({**columns, "embedding": list(X)}))
    else:
        spelled = {
            "lists": str,
            "arrays": lambda r: str(np.array(r)),
            "words": lambda r: " ".join(map(str, r)),
        }[kind]
        pd.DataFrame({**columns, "embedding": map(spelled, lists)}).to_csv(tmp_path / "v.csv", index=False)
    return open_subject(next(tmp_path.glob("v.*")), kind="points")


@pytest.mark.parametrize(
    "kind", ["parquet", "parquet, fixed", "json lines", "frame", "lists", "arrays", "words"]
)
def test_a_column_of_vectors_alone_is_the_coordinates_and_the_rest_is_said(kind: str, tmp_path: Path) -> None:
    cloud = vectors_as(kind, tmp_path)
    np.testing.assert_allclose(cloud.values, X, atol=1e-8)
    assert dict(cloud.columns) == {"embedding": 3}
    assert list(cloud.table.columns) == ["text", "year", "n_chars"]
    assert "set aside as labels: 'year', 'n_chars'" in repr(cloud)
    said = wb.pca(cloud, n_null=0, n_boot=0).caveat
    assert "'n_chars'" in said and "columns=" in said
    again = wb.pca(vectors_as(kind, tmp_path), n_null=0, n_boot=0).caveat
    assert again == said, "from the cache it is said once, too"


def test_vectors_with_a_gap_are_nan_and_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"e": [[1.0, 2.0], None, [3.0, None], [5.0, 6.0]]}), tmp_path / "v.parquet")
    cloud = open_subject(tmp_path / "v.parquet")
    np.testing.assert_array_equal(np.isnan(cloud.values), [[0, 0], [1, 1], [0, 1], [0, 0]])
    with pytest.raises(DataError, match=r"3 NaN .*2 of 4 rows \(first: 1, 2\), in 'e'"):
        cloud.view(Points)


def test_vectors_that_are_none_are_told_of(tmp_path: Path) -> None:
    two = pa.table({"a": X.tolist(), "b": X.tolist()})
    pq.write_table(two, tmp_path / "two.parquet")
    with pytest.raises(FormatError, match=r"2 columns of vectors .'a', 'b'.*columns="):
        open_subject(tmp_path / "two.parquet")
    assert dict(open_subject(tmp_path / "two.parquet", columns="b").columns) == {"b": 3}
    pq.write_table(pa.table({"e": [[1.0], [1.0, 2.0]]}), tmp_path / "ragged.parquet")
    with pytest.raises(
        FormatError, match="'e' looks like vectors, but row 1 has 2 numbers and those before it 1"
    ):
        open_subject(tmp_path / "ragged.parquet")
    cut = csv(tmp_path, 'x,e\n1,"[1.0 2.0 ... 3.0]"\n2,"[1.0 2.0 ... 3.0]"\n')
    assert dict(cut.columns) == {"x": 1}
    assert "row 0 is no list of numbers" in cut.note


SPELLED = {
    "decimal commas": ("x;y;count\n0,126;1,5;0\n-0,132;2,25;1\n", [[0.126, 1.5, 0], [-0.132, 2.25, 1]]),
    "decimal commas without names": ("0,5;1,5\n2,5;3,5\n", [[0.5, 1.5], [2.5, 3.5]]),
    "decimal commas and points between thousands": (
        "x;y\n1.234,5;0,5\n2.000.000,0;1,25\n",
        [[1234.5, 0.5], [2e6, 1.25]],
    ),
    "what one column leaves open another decides": (
        "x;y\n1,234;0,5\n5,678;1,5\n",
        [[1.234, 0.5], [5.678, 1.5]],
    ),
    "and the other way": ('x,y\n"1,234",0.5\n"5,678",1.5\n', [[1234, 0.5], [5678, 1.5]]),
    "thousands": ('x,y\n"1,234,567",2\n"12",3\n', [[1234567, 2], [12, 3]]),
    "spaces between thousands": ("x;y\n1 234 567;1\n12\u202f000;2\n", [[1234567, 1], [12000, 2]]),
    "percent": ("x,y\n12%,1\n7.5 %,2\n", [[0.12, 1], [0.075, 2]]),
    "question marks": ("x,y\n1,?\n?,2.5\n", [[1, np.nan], [np.nan, 2.5]]),
    "words for gaps": (
        "x,y\n1,NA\nnull,2\nNone,n/a\n4,nan\n",
        [[1, np.nan], [np.nan, 2], [np.nan, np.nan], [4, np.nan]],
    ),
    "a minus as printed": ("x,y\n\u22121.5,1\n2,2\n", [[-1.5, 1], [2, 2]]),
    "exponents": ("x;y\n1,5E-3;1\n2,5E+2;2\n", [[0.0015, 1], [250, 2]]),
}


@pytest.mark.parametrize("why", SPELLED)
def test_known_answer_numbers_are_read_as_they_are_spelled(why: str, tmp_path: Path) -> None:
    text, values = SPELLED[why]
    np.testing.assert_allclose(csv(tmp_path, text).values, values, equal_nan=True)


REFUSED = {
    "one or a thousand": (
        'x,y\n"1,234",1\n"5,678",2\n',
        r"'x' holds numbers such as 1,234, which can be read in two ways",
    ),
    "two spellings in a table": (
        "x;y\n0,5;0.5\n1,5;1.5\n",
        "'x' has decimal commas .* and 'y' decimal points",
    ),
    "two spellings in a column": ("x;y\n0,5;1\n1.5;2\n", "'x' holds numbers, but also '0,5', '1.5'"),
    "a word among numbers": (
        "x,y\n1,1\n2,2\nunknown,3\n4,4\n",
        "'x' holds numbers, but also 'unknown'.*labels=",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_numbers_that_can_mean_two_things_are_refused_by_name(why: str, tmp_path: Path) -> None:
    text, words = REFUSED[why]
    with pytest.raises(FormatError, match=words):
        csv(tmp_path, text)
    assert len(open_subject(tmp_path / "t.csv", columns=["y"])) >= 2  # the way out that is named


def test_words_and_codes_are_no_numbers(tmp_path: Path) -> None:
    lines = [
        {"x": 1.5, "zip": "02134", "version": "1.2.3", "price": "12 kg"},
        {"x": 2.5, "zip": "10001", "version": "2.0.0", "price": "3 kg"},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    cloud = open_subject(tmp_path / "t.jsonl", kind="points")
    assert list(cloud.columns) == ["x"]
    assert cloud.table["zip"].tolist() == ["02134", "10001"]


def test_known_answer_which_names_name_rows() -> None:
    rows = [
        "id",
        "ID",
        "user_id",
        "userId",
        "Label",
        "class",
        "timestamp",
        "created_at",
        "year",
        "event_date",
        "input_ids",
    ]
    coordinates = [
        "x",
        "count",
        "identity",
        "reaction_time",
        "width",
        "years_of_age",
        "idea",
        "classical",
        "late",
    ]
    assert [n for n in rows if not names_rows(n)] == []
    assert [n for n in coordinates if names_rows(n)] == []


def test_columns_labels_and_id_choose(tmp_path: Path) -> None:
    mixed().to_csv(tmp_path / "t.csv")
    cloud = open_subject(tmp_path / "t.csv", columns=["z", "label"], labels="word", id="user_id")
    np.testing.assert_array_equal(cloud.values, np.column_stack([X[:, 2], np.arange(12) % 3]))
    assert list(cloud.table.columns) == ["word"]
    assert cloud.ids.tolist() == list(range(100, 112))
    assert cloud.note == ""
    fewer = open_subject(tmp_path / "t.csv", labels=["count"])
    assert list(fewer.columns) == ["x", "y", "z"]
    whole = open_subject(tmp_path / "t.csv")
    other = whole.with_columns(["z", "label"], labels=["word"], id="user_id")
    assert other.digest == cloud.digest
    assert other.run.parameters["columns"] == ("z", "label")
    np.testing.assert_array_equal(whole.with_columns(["x"]).ids, whole.ids)


@pytest.mark.parametrize(
    ("chosen", "error", "words"),
    [
        ({"columns": ["word"]}, FormatError, "'word' can't be coordinates: it holds such as 'NA'"),
        ({"columns": ["nope"]}, MissingError, "no column 'nope'"),
        ({"columns": []}, MissingError, "columns is empty"),
        ({"labels": ["nope"]}, MissingError, "no column 'nope'"),
        ({"id": "label"}, DataError, "'label' doesn't name the rows: .*0.* in row 3"),
        ({"columns": ["x"], "kind": "corpus"}, ParameterError, "'points', 'series'"),
    ],
)
def test_a_wrong_choice_is_refused(
    chosen: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    mixed().to_csv(tmp_path / "t.csv")
    with pytest.raises(error, match=words):
        open_subject(tmp_path / "t.csv", **chosen)


def test_columns_are_chosen_of_tables_only(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(ParameterError, match="columns choose columns of a table"):
        open_subject(tmp_path / "x.npy", columns=["x"])


def test_two_columns_of_one_name_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="several of its columns are called 'x'"):
        csv(tmp_path, "x,y,x\n1,2,3\n")
    (tmp_path / "t.jsonl").write_text('{"x": 1, "x": 2}\n')
    with pytest.raises(FormatError, match="in line 1 'x' stands twice"):
        open_subject(tmp_path / "t.jsonl", kind="points")
    twice = pd.DataFrame(np.ones((4, 2)), columns=["x", "x"])
    with pytest.raises(DataError, match="several columns of one name: 'x'"):
        wb.pca(twice)
    with pytest.raises(DataError, match="several columns called 'x'"):
        wb.pca(PointCloud(RNG.standard_normal((4, 3)), table=twice))


def test_bytes_are_words(tmp_path: Path) -> None:
    cells = [b"\xff\xd8" + bytes([k]) * 100 for k in range(12)]
    table = pa.table({"image": cells, "name": [b"caf\xc3\xa9"] * 12, "e": X.tolist()})
    pq.write_table(table, tmp_path / "t.parquet")
    cloud = open_subject(tmp_path / "t.parquet")
    assert (
        cloud.table["image"].iloc[1].startswith("0xffd80101") and "102 bytes" in cloud.table["image"].iloc[1]
    )
    assert cloud.table["name"].tolist() == ["café"] * 12
    assert wb.pca(cloud, n_null=0, n_boot=0).values.shape == (12, 2)


def test_half_a_character_is_refused_in_words(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    frame["word"] = pd.Series(["a", "b\ud83d"], dtype=object)
    with pytest.raises(DataError, match=r"'word' has half a character .* in row 1"):
        PointCloud.from_table(frame)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8", "float64"])
def test_tensors_of_any_dtype_are_points(dtype: str) -> None:
    import torch

    numbers = torch.arange(24).reshape(8, 3)
    tensor = numbers.to(getattr(torch, dtype))
    if tensor.is_floating_point():
        tensor.requires_grad_()
    for cloud in (
        wb.core.subject.as_subject(tensor),
        wb.core.subject.as_subject({"a": tensor, "b": tensor}).at("a"),
    ):
        np.testing.assert_array_equal(cloud.view(Points).values, numbers.numpy())


def test_whole_numbers_keep_their_digits() -> None:
    seconds = 1_700_000_000 + np.arange(6)[:, None]
    assert np.ptp(PointCloud(seconds).view(Points).values) == 5


def test_numbers_of_time_order_a_series(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time,x\n3.0,30\n1.0,10\n2.0,20\n")
    series = open_subject(tmp_path / "t.csv", kind="series")
    assert series.channels == ("x",)
    assert series.values[:, 0].tolist() == [10, 20, 30]
    (tmp_path / "t.csv").write_text("time,x\n0,1\n0.5,2\n1.0,3\n")
    assert open_subject(tmp_path / "t.csv", kind="series").interval == 0.5
