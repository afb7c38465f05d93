"""A pandas Series goes where a series or texts go; its index says when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import widgets
import workbench as wb
from workbench import asking
from workbench.core.errors import FormatError, ParameterError, ViewError
from workbench.report import own

N = 60
VALUES = np.sin(0.3 * np.arange(N))


@pytest.mark.parametrize(
    ("index", "column", "interval"),
    [
        (None, "", 1.0),
        (pd.date_range("2020", periods=N, freq="h"), "index", 3600.0),
        (pd.period_range("2020-01-01", periods=N, freq="D"), "index", 86400.0),
        (pd.to_timedelta(5 * np.arange(N), unit="s"), "time", 5.0),
        (0.25 * np.arange(N), "time", 0.25),
        (pd.Index(np.arange(N) ** 2, name="depth"), "time", 1.0),  # unevenly spaced
        (np.arange(N)[::-1], "index", 1.0),  # numbers that don't grow are no times
        ([f"s{i}" for i in range(N)], "index", 1.0),
    ],
)
def test_its_index_is_time_where_it_is_one(index: Any, column: str, interval: float) -> None:
    series = wb.open(pd.Series(VALUES, index=index, name="price"))
    assert isinstance(series, wb.TimeSeries), type(series)
    assert (series.name, series.channels, series.interval) == ("price", ("price",), interval)
    assert list(series.table.columns) == ([column] if column else [])
    np.testing.assert_array_equal(series.values[:, 0], VALUES)


def test_dates_put_the_steps_in_order() -> None:
    dated = pd.Series(VALUES, index=pd.date_range("2020", periods=N))
    mixed, ordered = wb.open(dated.sample(frac=1, random_state=1)), wb.open(dated)
    assert isinstance(mixed, wb.TimeSeries) and isinstance(ordered, wb.TimeSeries)
    np.testing.assert_array_equal(mixed.values, ordered.values)


def test_it_is_asked_as_what_it_is() -> None:
    given = pd.Series(VALUES)
    assert isinstance(asking.taken(given), wb.TimeSeries)
    points = wb.open(given, kind="points")
    assert type(points) is wb.PointCloud and points.values.shape == (N, 1)
    with pytest.raises(FormatError, match="can't be coordinates"):
        wb.open(pd.Series([{"a": 1}]))


def test_texts_are_a_corpus_wherever_texts_go() -> None:
    texts = pd.Series(["one text", None, "another"])
    opened = wb.open(texts)
    assert isinstance(opened, wb.Corpus) and opened.table["text"].tolist() == ["one text", "another"]
    assert wb.corpus(texts).table["text"].tolist() == ["one text", "another"]
    with pytest.raises(ParameterError, match="holds texts"):
        wb.open(texts, kind="series")


def test_a_report_of_one_keeps_its_times_and_its_name(tmp_path: Path) -> None:
    given = pd.Series(VALUES, index=pd.date_range("2020", periods=N), name="price")
    asked = own.named(given, tmp_path / "page.html", {}, None, None)
    opened = asking.open_named(asked["what"], kind=asked["kind"], columns=asked["columns"].split(","))
    assert (opened.channels, opened.interval) == (("price",), 86400.0)
    np.testing.assert_array_equal(opened.values[:, 0], VALUES)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("minilm",), "workbench.capture(workbench.open('minilm'), workbench.corpus('default'))"),
        (("minilm", ["a text"]), "workbench.capture(workbench.open('minilm'), ...)"),
        ((torch.nn.Linear(2, 2),), "workbench.capture(network, inputs)"),
        ((torch.nn.Linear(2, 2), "mine.csv"), "workbench.capture(network, workbench.corpus('mine.csv'))"),
    ],
)
def test_a_capture_that_lacks_something_says_what_to_write(given: tuple[Any, ...], line: str) -> None:
    with pytest.raises(ViewError) as refusal:
        wb.capture(*given)
    assert line in str(refusal.value)


def test_a_network_is_captured_before_it_is_explored() -> None:
    with pytest.raises(ViewError, match=r"Write: widgets.explore\(workbench.capture\(network, inputs\)\)"):
        widgets.explore(torch.nn.Linear(2, 2))
    with pytest.raises(AttributeError, match="import widgets"):
        getattr(wb, "explore")  # noqa: B009 - that it isn't there is asked
