"""The query language of a selection: what it means, and that nothing typed in it runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.core.errors import DataError, MissingError, ParameterError
from workbench.core.query import matching
from workbench.subjects.points import PointCloud

TABLE = pd.DataFrame(
    {
        "label": ["noun", "verb", "noun", None],
        "position": [1, 2, 5, 7],
        "two words": [1.0, np.nan, 3.0, 4.0],
        "sure": [True, False, True, True],
        "day": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]),
        "other": ["noun", "x", "it`s", "d'un"],
        "maybe": pd.array([1, None, 3, 4], dtype="Int64"),
    },
    index=[10, 11, 12, 13],
)
KNOWN = {
    "label == 'noun' and position > 3": [12],
    'label == "noun" or `two words` > 3': [10, 12, 13],
    "not (label == 'noun')": [11, 13],
    "label != 'noun'": [11, 13],
    "label == None": [13],
    "label is not None and sure": [10, 12],
    "`two words` != `two words`": [11],
    "sure": [10, 12, 13],
    "~sure": [11],
    "(position > 1) & (position < 6) | (position == 7)": [11, 12, 13],
    "1 < position <= 5": [11, 12],
    "label in ['noun', 'verb']": [10, 11, 12],
    "position not in (1, 2)": [12, 13],
    "day > '2024-02-01'": [12, 13],
    "position % 2 == 1 and -position < -3": [12, 13],
    "position * 2 > `two words` + 3": [12, 13],
    "label == other": [10],
    "other == 'it`s' or other == \"d'un\"": [12, 13],
    "maybe >= 3": [12, 13],
    "index >= 12": [12, 13],
    "position > 1e0 and position < 2.5": [11],
}


@pytest.mark.parametrize("query", KNOWN)
def test_known_answer(query: str) -> None:
    assert TABLE.index[matching(TABLE, query, "toy")].tolist() == KNOWN[query]


@pytest.mark.parametrize(
    "query", ["label == 'noun' and position > 3", "1 < position <= 5", "label in ['noun', 'verb']"]
)
def test_peer_pandas_answers_the_same(query: str) -> None:
    np.testing.assert_array_equal(matching(TABLE, query, "toy"), TABLE.eval(query).to_numpy(bool))


CODE = [
    "@np.pi > 1",
    "@open('ran', 'w') == 1",
    "__import__('pathlib').Path('ran').touch()",
    "label.str.len() > 1",
    "position.__class__ == 1",
    "position > (lambda: 1)()",
    "[open('ran', 'w') for x in position] == 1",
    "f'{position}' == 'a'",
    "label[0] == 'n'",
    "(position := 3) > 1",
    "position == 10**10**10",
    "'a' * 1000000000 == label",
    "position > (1 if sure else 2)",
    "open == 1",
]


@pytest.mark.parametrize("query", CODE)
def test_nothing_that_is_typed_runs(query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ParameterError, MissingError), match="can't be answered"):
        PointCloud(np.eye(4), table=TABLE).select(query)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ("posn > 1", MissingError, "no column 'posn'. Did you mean 'position'"),
        ("label == noun", MissingError, "no column 'noun'.*in quotes"),
        ("label > 3", ParameterError, "Invalid comparison"),
        ("position >", ParameterError, "invalid syntax.*A query compares columns"),
        ("position", ParameterError, "position is no truth value"),
        ("", ParameterError, "can't be answered"),
        ("label + 1 > 2", ParameterError, "no number to compute with"),
        ("position > 1 & position < 6", ParameterError, "joined by and, or, not"),
        ("(" * 9000 + "sure" + ")" * 9000, ParameterError, "18,004 characters"),
        ("-" * 9000 + "position > 1", ParameterError, "can't be answered"),
        ("position > " + "1" * 5000, ParameterError, "can't be answered"),
        ("label == '\\d'", DataError, "holds no row"),
    ],
)
def test_what_is_not_read_is_refused_in_words(query: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        PointCloud(np.eye(4), table=TABLE).select(query)
