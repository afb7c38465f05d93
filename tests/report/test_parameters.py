"""A notebook's parameters: what is typed takes the type of the default, and comes back from JSON as it was."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from notebooks_for_tests import notebook

from workbench.core.errors import FormatError, ParameterError
from workbench.report.parameters import (
    Typed,
    assignments,
    check_parameters,
    declared_parameters,
    fitted,
    from_json,
    inject,
    source,
    to_json,
)

VALUES = [
    None,
    True,
    7,
    10**30,
    0.1,
    math.inf,
    -math.inf,
    2 + 1j,
    'it\'s "so"',
    b"\x00\xff",
    [1, [2.5, "x"]],
    (1,),
    (),
    (1, (2, 3)),
    set(),
    {3, 1, 2},
    {"a": (1, 2)},
    {1: "one", (2, 3): {4}},
    {"tuple": [1]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_every_literal_comes_back_from_json_and_from_python(value: Any) -> None:
    there = from_json(json.loads(json.dumps(to_json(value), allow_nan=False)))
    assert (there, type(there)) == (value, type(value))
    names: dict[str, Any] = {}
    exec(assignments({"it": value}), names)
    assert (names["it"], type(names["it"])) == (value, type(value))


def test_nan_comes_back_too() -> None:
    assert math.isnan(from_json(to_json({"x": [math.nan]}))["x"][0])
    assert source([math.nan, (math.inf,)]) == "[float('nan'), (float('inf'),)]"


@pytest.mark.parametrize(
    "damaged", [{"float": "much"}, {"set": [[1]]}, {"bytes": "xyz"}, {"dict": [1]}, {"tuple": 3}]
)
def test_what_stands_for_no_value_is_refused(damaged: Any) -> None:
    with pytest.raises(FormatError, match="can't be read"):
        from_json({"x": damaged})


@pytest.mark.parametrize(
    ("default", "typed", "value"),
    [
        ("a", "2024", "2024"),
        ("a", "1e5", "1e5"),
        ("a", "'2024'", "2024"),
        ("a", "[1, 2]", "[1, 2]"),
        ("a", "true", "true"),
        (1, "0.5", 0.5),
        (1, " 12", 12),
        (1, "007", 7),
        (2.0, "inf", math.inf),
        (2.0, "-inf", -math.inf),
        (2.0, "3", 3),
        (True, "false", False),
        (False, "TRUE", True),
        (True, "False", False),
        ((1, 2), "[3, 4]", (3, 4)),
        ((1, 2), "3, 4", (3, 4)),
        ([1], "(3, 4)", [3, 4]),
        (["a"], "[minilm, 'a,b']", ["minilm", "a,b"]),
        ({1}, "[2, 2]", {2}),
        ({"a": 1}, "{'b': 2}", {"b": 2}),
        (b"x", "y", b"y"),
        (1 + 1j, "2", 2),
        (None, "5", 5),
        (None, "minilm", "minilm"),
        (3, "None", None),
    ],
)
def test_what_is_typed_takes_the_type_of_the_default(default: Any, typed: str, value: Any) -> None:
    read = fitted("n", {"x": default}, {"x": Typed(typed)})["x"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("default", "given"),
    [
        (1, Typed("many")),
        (True, Typed("yes")),
        (True, 1),
        ((1,), Typed("3")),
        ("a", 2024),
        (1, "5"),
        ({}, [1]),
    ],
)
def test_what_is_of_another_type_is_refused_with_the_default(default: Any, given: Any) -> None:
    with pytest.raises(ParameterError, match=r"n: x=.* it takes \w+ \(default"):
        fitted("n", {"x": default}, {"x": given})


def test_python_gives_values_as_they_are(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", parameters="text = 'a'\nlayers = (1, 2)")
    assert check_parameters(path, {"text": "'quoted'", "layers": [3]}) == {"text": "'quoted'", "layers": (3,)}


@pytest.mark.parametrize(
    "cell",
    [
        "n = " + "1+" * 20_000 + "1",
        "n = " + "-" * 8_000 + "1",
        "n = " + "[" * 3_000,
        "n = 10**10",
        "n = 0x" + "f" * 9_000,
        "n = ...",
        "n = '" + "x" * 1_000_001 + "'",
        "n = 1; m = n",
    ],
    ids=["sums", "signs", "open", "power", "digits", "dots", "long", "name"],
)
def test_a_cell_that_is_no_plain_literals_is_refused_in_words(cell: str, tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", parameters=cell)
    with pytest.raises(ParameterError, match="parameters cell"):
        declared_parameters(path)


def test_values_are_injected_below_the_defaults_in_place_of_earlier_ones() -> None:
    cells = [
        new_code_cell("a = 1"),
        new_code_cell("n = 3", metadata={"tags": ["parameters"]}),
        new_code_cell("n"),
    ]
    made = new_notebook(cells=cells)
    inject(made, {"n": 4})
    inject(made, {"n": (5, math.inf)})
    assert [c.source for c in made.cells] == ["a = 1", "n = 3", "# Parameters\nn = (5, float('inf'))\n", "n"]
    nbformat.validate(made)
