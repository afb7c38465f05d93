"""The tour of Medusa, run as a user runs it, small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from workbench.core.errors import DataError
from workbench.report import report
from workbench.results.slices import Slices

HOSTILE = "<script>window.hacked=1</script>"


def test_a_slider_takes_the_nodes_through_time() -> None:
    """Each of its steps has the numbers of its time, in the nodes' order, on one scale."""
    made = Slices.example()
    figure = made.figure()
    slider = figure.layout.sliders[0]
    assert [s.label for s in slider.steps] == list(made.frame_names)
    for step, frame in zip(slider.steps, made.frames, strict=True):
        assert np.allclose(step.args[0]["marker.color"][0], frame, atol=1e-3) and list(step.args[1]) == [1]
    assert figure.data[1].customdata.tolist() == made.ids.tolist()
    assert figure.data[1].marker.cmax == np.abs(made.frames).max() == -figure.data[1].marker.cmin


def test_words_of_nodes_are_text_and_too_many_slices_are_refused() -> None:
    edges = np.zeros((0, 2), int)
    made = Slices(
        title="t",
        positions=np.zeros((1, 3)),
        edges=edges,
        ids=np.arange(1),
        frames=np.zeros((1, 1)),
        frame_names=(HOSTILE,),
        words=(HOSTILE,),
    )
    figure = made.figure()
    assert "<script" not in figure.to_json().replace("\\u003c", "<")
    many = np.broadcast_to(np.zeros((1, 2_000)), (2_000, 2_000))
    names = tuple(map(str, range(2_000)))
    large = Slices(
        title="t",
        positions=np.zeros((2_000, 3)),
        edges=edges,
        ids=np.arange(2_000),
        frames=many,
        frame_names=names,
    )
    with pytest.raises(DataError, match="2,000 slices of 2,000 nodes"):
        large.figure()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("medusa")
    (folder / "tale.txt").write_text(
        f"{HOSTILE} sat down. It rained all day! Did <b>anyone</b> mind? The frog did not. It left."
    )
    asked = {
        "story": str(folder / "tale.txt"),
        "steps": 300,
        "slices": 5,
        "repeats": 7,
        "n_null": 59,
        "folder": str(folder / "written"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report("medusa", asked, folder / "small" / "medusa.html")


@pytest.mark.slow
def test_every_claim_stands_beside_its_control(page: Path) -> None:
    facts: dict[str, Any] = json.loads((page.parent / "manifest.json").read_text())["reports"][page.name]
    said = " ".join(facts["findings"]["sentences"])
    for claim in (
        "Sentences that follow each other",
        "Where heads write",
        "over that of those which learnt from real ones",
    ):
        assert claim in said, claim
    assert all(q["draws"] or q["interval"] or q["untested"] for q in facts["findings"]["questions"])


@pytest.mark.slow
def test_a_told_story_is_text_on_the_page_and_its_tables_come_again(page: Path) -> None:
    html = page.read_text()
    assert "window.hacked=1" in html
    assert "<script>window.hacked" not in html and "<b>anyone</b>" not in html
    executed = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    outputs = [o for c in executed.cells for o in c.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []
    tables = [o.data["text/plain"] for o in outputs if "text/html" in o.get("data", {})]
    again = next(t for t in tables if "same bytes again" in t)
    assert "True" in again and "False" not in again
    assert any("the same to the last bit" in o.text for o in outputs if o.output_type == "stream")
