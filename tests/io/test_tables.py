"""Tables: numbers become coordinates or channels, the rest labels; what pandas stumbles over is told."""

from __future__ import annotations

import datetime
import decimal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.core.errors import DataError, FormatError
from workbench.io import tables
from workbench.io.opening import open as open_subject
from workbench.subjects.points import PointCloud, Points
from workbench.subjects.series import Series, TimeSeries

TABLE = pd.DataFrame(
    {"x": [0.5, 1.5, 2.5], "y": [1, 2, 3], "word": ["a", "b", "é"], "sure": [True, False, True]}
)


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_known_answer_numbers_are_coordinates_and_the_rest_labels(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"cloud.{ending}"
    write = {
        "csv": lambda: TABLE.to_csv(path, index=False),
        "parquet": lambda: TABLE.to_parquet(path),
        "jsonl": lambda: TABLE.to_json(path, orient="records", lines=True),
    }
    write[ending]()
    found = open_subject(path, kind="points")
    assert isinstance(found, PointCloud)
    assert found.name == "cloud"
    np.testing.assert_array_equal(found.values, TABLE[["x", "y"]].to_numpy())
    assert list(found.table.columns) == ["word", "sure"]
    assert found.table["word"].tolist() == ["a", "b", "é"]
    assert found.table["sure"].tolist() == [True, False, True]
    np.testing.assert_array_equal(found.ids, [0, 1, 2])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(delimiter: str, tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "x.csv", index=False, sep=delimiter)
    np.testing.assert_array_equal(open_subject(tmp_path / "x.csv").values, TABLE[["x", "y"]].to_numpy())


@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
def test_a_first_line_of_numbers_is_a_row(start: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(start + "1.5,2\n3,4\n", encoding="utf-8")
    np.testing.assert_array_equal(open_subject(tmp_path / "x.csv").values, [[1.5, 2], [3, 4]])


def test_a_first_line_that_counts_the_columns_is_none(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(4, 3))
    pd.DataFrame(values).to_csv(tmp_path / "x.csv", index=False)
    np.testing.assert_allclose(open_subject(tmp_path / "x.csv").values, values)
    pd.DataFrame(values).to_csv(tmp_path / "y.csv")  # with the index, which has no name
    found = open_subject(tmp_path / "y.csv")
    np.testing.assert_allclose(found.values, values)
    pd.DataFrame(values, columns=list("abc"), index=[5, 6, 7, 9]).to_parquet(tmp_path / "z.parquet")
    np.testing.assert_allclose(open_subject(tmp_path / "z.parquet").values, values)


def test_numbers_that_name_a_class_are_no_coordinates(tmp_path: Path) -> None:
    pd.DataFrame({"x": [0.1, 0.2], "label": [3, 4], "ID": [7, 8]}).to_csv(tmp_path / "x.csv", index=False)
    found = open_subject(tmp_path / "x.csv")
    assert found.values.shape == (2, 1)
    assert found.table["label"].tolist() == [3, 4]


def test_columns_of_vectors_are_coordinates(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for k, kind in enumerate([pa.list_(pa.float32()), pa.list_(pa.float32(), 4)]):
        table = pa.table(
            {"id": list(range(5)), "vector": pa.array(list(vectors), kind), "text": list("abcde")}
        )
        pq.write_table(table, tmp_path / f"{k}.parquet")
        found = open_subject(tmp_path / f"{k}.parquet")
        np.testing.assert_array_equal(found.values, vectors)
        assert found.values.dtype == np.float32
        assert found.table["text"].tolist() == list("abcde")
    ragged = pa.table({"x": [1.0, 2.0], "vector": [[1.0], [1.0, 2.0]]})
    pq.write_table(ragged, tmp_path / "ragged.parquet")
    assert open_subject(tmp_path / "ragged.parquet").values.shape == (2, 1)


def test_gaps_survive_to_the_message_that_tells_of_them(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("x,y\n1,2\n,inf\n3,nan\n4,5\n")
    found = open_subject(tmp_path / "x.csv")
    with pytest.raises(
        DataError, match=r"2 NaN and 1 infinite values in 2 of 4 rows \(first: 1, 2\).*drop_nonfinite"
    ):
        found.view(Points)
    np.testing.assert_array_equal(found.drop_nonfinite().view(Points).ids, [0, 3])
    whole = pa.table({"x": pa.array([1, None, 3], pa.int64())})
    pq.write_table(whole, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="1 NaN"):
        open_subject(tmp_path / "x.parquet").view(Points)


DAYS = ["2024-01-03", "2024-01-01", "2024-01-02"]


def test_known_answer_dates_first_make_a_series_in_their_order(tmp_path: Path) -> None:
    table = pd.DataFrame({"day": DAYS, "price": [3.0, 1.0, 2.0], "note": ["c", "a", "b"]})
    table.to_csv(tmp_path / "x.csv", index=False)
    table.assign(day=pd.to_datetime(table["day"])).to_parquet(tmp_path / "x.parquet")
    for ending in ("csv", "parquet"):
        found = open_subject(tmp_path / f"x.{ending}")
        assert isinstance(found, TimeSeries)
        np.testing.assert_array_equal(found.view(Series).values, [[1], [2], [3]])
        np.testing.assert_array_equal(found.ids, [1, 2, 0])  # the lines of the file
        assert found.table["note"].tolist() == ["a", "b", "c"]
        assert found.table["day"].iloc[0] == datetime.datetime(2024, 1, 1)


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00+00:30", "2024-01-01 02:00:00.5"],
        ["2024-01", "2024-02", "2024-03"],
    ],
)
def test_times_are_read_in_every_iso_form(times: list[str], tmp_path: Path) -> None:
    pd.DataFrame({"t": times, "x": [1, 2, 3]}).to_csv(tmp_path / "x.csv", index=False)
    found = open_subject(tmp_path / "x.csv")
    assert isinstance(found, TimeSeries)
    np.testing.assert_array_equal(found.values[:, 0], [1, 2, 3])


@pytest.mark.parametrize(
    "first", [["2024-01-01"] * 3, ["2024-01-01", "soon", "2024-01-02"], ["a", "b", "c"], [*DAYS[:2], None]]
)
def test_what_may_be_no_time_is_guessed_as_points(first: list[str], tmp_path: Path) -> None:
    pd.DataFrame({"t": first, "x": [1, 2, 3]}).to_csv(tmp_path / "x.csv", index=False)
    assert isinstance(open_subject(tmp_path / "x.csv"), PointCloud)
    forced = open_subject(tmp_path / "x.csv", kind="series")
    assert isinstance(forced, TimeSeries)
    np.testing.assert_array_equal(forced.values[:, 0], [1, 2, 3])


def test_a_series_can_be_asked_for_as_points(tmp_path: Path) -> None:
    pd.DataFrame({"t": DAYS, "x": [3, 1, 2]}).to_csv(tmp_path / "x.csv", index=False)
    found = open_subject(tmp_path / "x.csv", kind="points")
    assert isinstance(found, PointCloud)
    np.testing.assert_array_equal(found.values[:, 0], [3, 1, 2])


BAD = {
    "not UTF-8": (b"x,w\n1,caf\xe9\n", "0xe9.*iconv"),
    "no numbers": (b"a,b\nx,y\n", "kind='corpus'"),
    "names only": (b"a,b\n", "no row"),
    "blank": (b"\n \n", "can't be read as csv"),
    "a line that is too long": (b"a,b\n1,2\n1,2,3\n", "can't be read as csv"),
    "lines that are longer than their names": (b"a,b\n1,2,3\n4,5,6\n", "more fields"),
    "a quote that never ends": (b'a,b\n1,"x\n2,3\n', "can't be read as csv"),
    "zeros": (bytes(1000), "x.csv"),
}


@pytest.mark.parametrize("why", BAD)
def test_bad_csv_is_refused_in_words(why: str, tmp_path: Path) -> None:
    raw, words = BAD[why]
    (tmp_path / "x.csv").write_bytes(raw)
    with pytest.raises((FormatError, DataError), match=words) as caught:
        open_subject(tmp_path / "x.csv")
    assert "\n" not in str(caught.value)


def test_tables_beyond_the_cap_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_TABLE", 100)
    pd.DataFrame({"x": np.ones(1000)}).to_parquet(tmp_path / "x.parquet")  # one number, a thousand times
    pd.DataFrame({"x": np.ones(1000)}).to_csv(tmp_path / "x.csv")
    for ending in ("parquet", "csv"):
        with pytest.raises(FormatError, match="npy"):
            open_subject(tmp_path / f"x.{ending}")


def test_peer_pandas_reads_the_same_numbers(tmp_path: Path) -> None:
    table = pd.DataFrame(
        np.random.default_rng(0).normal(size=(50, 4)) * 10.0 ** np.arange(-150, 50, 50), columns=list("abcd")
    )
    table.to_csv(tmp_path / "x.csv", index=False)
    np.testing.assert_array_equal(
        open_subject(tmp_path / "x.csv").values, pd.read_csv(tmp_path / "x.csv").to_numpy()
    )


OF_ARROW = {
    "whole": pa.array([1, None, 3], pa.int64()),
    "huge": pa.array([2**63, None, 5], pa.uint64()),
    "half": pa.array(np.array([1, 2, 3], np.float16)),
    "single": pa.array([0.5, None, 1.5], pa.float32()),
    "sure": pa.array([True, None, False]),
    "text": pa.array(["a", None, "é"], pa.large_string()),
    "word": pa.array(["a", "b", "a"]).dictionary_encode(),
    "bytes": pa.array([b"a", None, b"\xff"]),
    "day": pa.array([datetime.date(1, 1, 1), None, datetime.date(9999, 1, 1)]),
    "moment": pa.array([1, None, 3], pa.timestamp("ms", "Europe/Berlin")),
    "span": pa.array([1, None, 3], pa.duration("ms")),
    "clock": pa.array([1, None, 3], pa.time64("us")),
    "price": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.25")]),
    "list": pa.array([["a"], None, ["b", "c"]]),
    "parts": pa.array([{"a": 1}, None, {"a": 3}]),
    "nothing": pa.nulls(3),
}


def test_a_column_of_parquet_is_read_alike_whatever_stands_beside_it(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [0.5, 1.5, 2.5], **OF_ARROW}), tmp_path / "all.parquet")
    together = tables.read_table(tmp_path / "all.parquet", "parquet")
    assert list(together.columns) == ["x", *OF_ARROW]
    for name, column in OF_ARROW.items():
        pq.write_table(pa.table({name: column}), tmp_path / "one.parquet")
        pd.testing.assert_series_equal(
            tables.read_table(tmp_path / "one.parquet", "parquet")[name], together[name]
        )
        plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        pd.testing.assert_series_equal(plain.to_pandas().rename(name), together[name])


def calls_to_open(path: Path) -> int:
    """How many Python functions are called to open a file: work that doesn't depend on what else the machine does."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        open_subject(path)
    finally:
        sys.setprofile(before)
    return calls


# pandas itself makes 60 calls for a column of a csv. With 100 or 200 a column, 20,000 of them take seconds.
@pytest.mark.parametrize(("ending", "most"), [("csv", 85), ("parquet", 50), ("jsonl", 70)])
def test_little_is_done_for_each_column_of_a_wide_table(ending: str, most: int, tmp_path: Path) -> None:
    calls = {}
    for width in (1, 300, 1300):  # the first only imports
        path = tmp_path / f"{width}.{ending}"
        values = np.random.default_rng(0).normal(size=(5, width))
        table = pd.DataFrame(values, columns=[f"gene {k}" for k in range(width)]).assign(label=list("ababa"))
        if ending == "csv":
            table.to_csv(path, index=False)
        elif ending == "parquet":
            table.to_parquet(path)
        else:
            table.to_json(path, orient="records", lines=True)
        calls[width] = calls_to_open(path)
    assert (calls[1300] - calls[300]) / 1000 < most
