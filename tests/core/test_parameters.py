"""Parameters: one declaration gives validation, message, parsing and test values."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import ParameterError
from workbench.core.parameters import parameters_of, validate_all


def example(
    *,
    count: Annotated[int, Interval(ge=2, le=10), Doc("How many.")] = 5,
    rate: Annotated[float, Interval(gt=0, lt=1), Doc("How fast.")] = 0.5,
    metric: Annotated[Literal["euclidean", "cosine"], Doc("How far.")] = "euclidean",
    limit: Annotated[int | None, Interval(ge=1), Doc("At most.")] = None,
    sizes: Annotated[tuple[Annotated[int, Interval(ge=0, le=3)], ...], Doc("Which.")] = (0, 1),
    exact: Annotated[bool, Doc("Whether exactly.")] = True,
) -> None: ...


DECLARED = parameters_of(example)


@pytest.mark.parametrize("parameter", DECLARED.values(), ids=lambda p: p.name)
def test_every_illegal_value_is_refused_and_every_endpoint_is_legal(parameter) -> None:
    for value in parameter.illegal():
        with pytest.raises(ParameterError, match=parameter.name):
            parameter.validate(value, "example")
    for value in parameter.endpoints():
        assert parameter.validate(value, "example") == value
    assert parameter.validate(parameter.default, "example") == parameter.default


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("count", "an integer from 2 to 10"),
        ("rate", "a number above 0 and below 1"),
        ("metric", "one of 'euclidean', 'cosine'"),
        ("limit", "an integer at least 1, or None"),
        ("sizes", "a list of values, each an integer from 0 to 3"),
        ("exact", "True or False"),
    ],
)
def test_the_legal_range_is_said_in_words(name: str, legal: str) -> None:
    assert DECLARED[name].legal == legal


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "7", 7),
        ("rate", "0.25", 0.25),
        ("metric", "cosine", "cosine"),
        ("limit", "none", None),
        ("limit", "3", 3),
        ("sizes", "1,2", (1, 2)),
        ("sizes", "", ()),
        ("exact", "false", False),
    ],
)
def test_the_command_line_spells_values(name: str, text: str, value: object) -> None:
    assert DECLARED[name].parse(text, "example") == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("count", "7.5"), ("count", "many"), ("count", "1"), ("metric", "l1"), ("sizes", "1,x")],
)
def test_the_command_line_refuses_what_python_refuses(name: str, text: str) -> None:
    with pytest.raises(ParameterError, match=name):
        DECLARED[name].parse(text, "example")


def test_numpy_values_count_as_what_they_are() -> None:
    assert DECLARED["count"].validate(np.int64(4), "example") == 4
    assert DECLARED["rate"].validate(np.float32(0.5), "example") == 0.5
    assert DECLARED["sizes"].validate(np.array([1, 2]), "example") == (1, 2)


def test_a_number_is_not_a_string_nor_a_boolean_a_number() -> None:
    for value in ("5", True, 5.0, math.inf):
        with pytest.raises(ParameterError):
            DECLARED["count"].validate(value, "example")


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(ParameterError, match=r"no parameter .counts.\. Did you mean 'count'"):
        validate_all("example", DECLARED, {"counts": 3})


def test_a_parameter_without_help_is_the_authors_mistake() -> None:
    def silent(*, n: int = 3) -> None: ...

    with pytest.raises(TypeError, match="n needs Annotated"):
        parameters_of(silent)
