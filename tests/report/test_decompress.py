"""The tour of weights: its section of heads shows them where there are some, and says why not where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

import workbench as wb
from workbench.calibrating.worlds.heads import induction
from workbench.evidence import ask
from workbench.results.head_map import HeadMap

TOUR = Path(__file__).parents[2] / "notebooks" / "decompress.ipynb"


def section(heading: str) -> list[str]:
    """The code of a section: of the cells under its heading, up to the next."""
    cells = nbformat.read(TOUR, as_version=4).cells
    start = next(i for i, c in enumerate(cells) if c.source.startswith(f"## {heading}"))
    found = []
    for cell in cells[start + 1 :]:
        if cell.cell_type == "markdown":
            break
        found.append(cell.source)
    return found


def ran(net: wb.Checkpoint) -> dict[str, Any]:
    """What the section leaves behind, of a network that is open."""
    names: dict[str, Any] = {"wb": wb, "ask": ask, "net": net, "n_null": 19, "random_state": 0}
    for source in section("Heads"):
        exec(source, names)
    return names


def test_heads_stand_between_the_matrix_and_the_unit() -> None:
    headings = [
        c.source.splitlines()[0]
        for c in nbformat.read(TOUR, as_version=4).cells
        if c.source.startswith("## ")
    ]
    at = headings.index("## Heads")
    assert headings[at - 1 : at + 2 : 2] == ["## The matrix that stands out", "## One unit as a formula"]


def test_the_section_shows_the_heads_of_a_network() -> None:
    found = ran(induction(np.random.default_rng(0)))["heads"]
    assert isinstance(found, HeadMap) and len(found.heads) == 4 and found.evidence


def test_a_network_without_heads_is_told_and_the_tour_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(wb.Checkpoint.example().at("w", "b"))["heads"] is None
    assert "Not asked" in (said := capsys.readouterr().out) and "no layer whose queries" in said
