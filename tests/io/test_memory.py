"""What is in memory is opened as the same thing in a file would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.core.errors import DataError, ParameterError

VALUES = np.arange(12.0).reshape(4, 3)
TABLE = pd.DataFrame(VALUES, columns=list("abc")).assign(kind=["x", "y", "x", "y"])


def test_a_table_is_what_its_file_is(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "table.csv", index=False)
    in_memory, in_file = wb.open(TABLE), wb.open(tmp_path / "table.csv")
    assert in_memory.digest == in_file.digest and type(in_memory) is type(in_file)
    assert wb.open(TABLE, columns=["a"], labels="kind").values.shape == (4, 1)
    dated = TABLE.assign(a=pd.date_range("2020-01-01", periods=4))
    dated.to_csv(tmp_path / "dated.csv", index=False)
    assert type(wb.open(dated)) is type(wb.open(tmp_path / "dated.csv")) is wb.TimeSeries


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (["u", "v", "u", "v"], {"label": ["u", "v", "u", "v"]}),
        (torch.tensor([1, 0, 1, 0]), {"label": [1, 0, 1, 0]}),
        (pd.Series([5, 6, 7, 8], name="of"), {"of": [5, 6, 7, 8]}),
        ({"one": [1, 2, 3, 4], "two": list("abcd")}, {"one": [1, 2, 3, 4], "two": list("abcd")}),
    ],
)
def test_labels_are_a_value_a_row(labels: Any, columns: dict[str, list[Any]]) -> None:
    for rows in (VALUES, torch.tensor(VALUES)):
        opened = wb.open(rows, labels=labels, name="mine")
        assert opened.name == "mine" and np.array_equal(opened.values, VALUES)
        assert {c: opened.table[c].tolist() for c in opened.table.columns} == columns
    assert wb.open(TABLE, labels=np.arange(4)).table.columns.tolist() == ["kind", "label"]


def test_a_module_is_a_network() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    network = wb.open(module, name="mine")
    acts = wb.capture(network, VALUES.astype(np.float32), at="0")
    assert network.name == "mine" and np.allclose(
        acts.values, module[0](torch.tensor(VALUES, dtype=torch.float32)).detach()
    )


@pytest.mark.parametrize(
    ("what", "how", "error", "match"),
    [
        (VALUES, {"labels": [1, 2]}, DataError, r"shape \(2,\); 4 rows take one value each"),
        (VALUES, {"columns": ["a"]}, ParameterError, "choose columns of a table; ndarray has none"),
        (VALUES, {"kind": "checkpoint"}, ParameterError, "'points', 'series'"),
        (torch.nn.Linear(2, 2), {"labels": [1, 2]}, ParameterError, "labels are one value a row"),
        (object(), {}, ParameterError, "open takes a path or a name, or what is in memory"),
    ],
)
def test_what_does_not_fit_is_refused(
    what: Any, how: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        wb.open(what, **how)
