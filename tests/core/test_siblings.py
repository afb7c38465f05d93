"""Several descents as one subject: what must be alike, rows that are samples, kept and opened again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from workbench.core.errors import DataError, FormatError, MissingError, ParameterError, ViewError
from workbench.subjects.descents.siblings import Models

SMALL = {"width": 6, "depth": 1, "steps": 20}


@pytest.fixture(scope="module")
def three() -> wb.Siblings:
    return wb.digits_siblings(models=3, **SMALL)


def test_networks_differ_and_share_the_probe(three: wb.Siblings) -> None:
    assert three.models == 3 and len(three) == 797
    w = [t.weights(20)["0.weight"] for t in three]
    assert not np.allclose(w[0], w[1]) and not np.allclose(w[1], w[2])
    assert len({t.probe.digest for t in three}) == 1
    view = three.view(Models)
    assert view.n == 3 and list(view.weight_steps) == list(three[0].weight_steps)
    assert "3 descents" in three.holds


def test_a_selection_keeps_row_ids_and_narrows_the_probe(three: wb.Siblings) -> None:
    threes = three.select("target == 3")
    assert (threes.probe.y == 3).all() and len(threes.probe) == len(threes) > 50
    assert np.array_equal(threes.probe.x, three.probe.x[threes.ids])
    assert threes.space == three.space and threes.digest != three.digest


def test_scrambled_networks_learn_what_the_others_cannot_read() -> None:
    one = wb.digits_siblings(models=2, width=16, depth=1, steps=100, images="scrambled")
    assert [t.table.loss.iloc[-5:].mean() < 1.0 for t in one] == [True, True]
    probe = one.probe
    assert all(probe.evaluate(t.network(100)).item() > 2.0 for t in one)


def test_kept_in_a_folder_and_opened_again(three: wb.Siblings, tmp_path: Path) -> None:
    again = wb.open(three.save(tmp_path / "kept"))
    assert isinstance(again, wb.Siblings) and again.models == 3
    assert np.array_equal(again[2].weights(20)["0.weight"], three[2].weights(20)["0.weight"])
    with pytest.raises(ViewError, match="with_model"):
        again.view(Models).require_network()
    again.with_model(three[0].model).view(Models).require_network()


def test_refusals_name_what_differs(three: wb.Siblings, tmp_path: Path) -> None:
    wide = wb.digits_siblings(models=2, width=7, depth=1, steps=20)
    deep = wb.digits_siblings(models=2, width=6, depth=2, steps=20)
    with pytest.raises(DataError, match=r"0\.weight has the shape \(6, 64\).*\(7, 64\).*same widths"):
        wb.siblings([three[0], wide[0]])
    with pytest.raises(DataError, match=r"differ in structure|has the shape"):
        wb.siblings([three[0], deep[0]])
    with pytest.raises(ParameterError, match="1 trajectories"):
        wb.siblings([three[0]])
    with pytest.raises(ParameterError, match="a list"):
        wb.siblings(three[0])
    with pytest.raises(ParameterError, match="a str"):
        wb.siblings([three[0], "other"])
    other = three[1].with_probe(np.zeros((3, 64), np.float32), np.zeros(3, int), "cross_entropy")
    with pytest.raises(DataError, match="another probe"):
        wb.siblings([three[0], other])
    with pytest.raises(DataError, match="selection of steps"):
        wb.siblings([three[0], three[1].select("step < 10")])
    with pytest.raises(ViewError, match="several descents"):
        three[0].view(Models)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="0 recordings"):
        wb.open(tmp_path / "empty", kind="siblings")
    with pytest.raises(MissingError, match="step"):
        three[0].weights(13)
