"""Fractal graphs carry their dimension, and too large ones are refused."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import ParameterError


@pytest.mark.parametrize(
    ("rule", "nodes", "dimension"),
    [
        ("flower", 172, 2.0),
        ("hierarchical", 626, np.log(5) / np.log(3)),
        ("gasket", 123, np.log(3) / np.log(2)),
        ("cross", 2501, np.log(5) / np.log(3)),
    ],
)
def test_known_answer(rule: str, nodes: int, dimension: float) -> None:
    made = wb.fractal_graph(rule=rule)
    assert len(made) == nodes
    assert made.truth["dimension"] == pytest.approx(dimension)
    assert made.digest == wb.fractal_graph(rule=rule).digest
    assert made.as_graph().n == nodes


def test_a_flower_of_one_is_said_to_be_no_fractal() -> None:
    made = wb.fractal_graph(u=1, v=3)
    assert made.truth["dimension"] is None and made.name == "(1, 3)-flower"
    assert made.select("generation < 2").truth["dimension"] is None


def test_too_large_a_graph_is_refused_with_what_to_do() -> None:
    with pytest.raises(ParameterError, match=r"generations=12 of flower .* Take fewer generations"):
        wb.fractal_graph(u=12, v=12, generations=12)
