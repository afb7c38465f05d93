"""The tour of tethers, run as a user runs it, small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from workbench.core.errors import ParameterError
from workbench.evidence.claims import WORDS
from workbench.report import report

SMALL = {
    "models": 2,
    "width": 8,
    "depth": 1,
    "steps": 20,
    "within": "fisher,magnitude",
    "between": "magnitude,movement",
    "rounds": 2,
    "repeats": 3,
    "n_null": 19,
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tethers")


@pytest.fixture(scope="module")
def page(folder: Path) -> Path:
    return run(folder, "small")


def run(folder: Path, name: str, **parameters: Any) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report("tethers", {**SMALL, **parameters}, folder / name / "tethers.html")


def facts(page: Path) -> dict[str, Any]:
    return json.loads((page.parent / "manifest.json").read_text())["reports"][page.name]


def test_answers_every_question_with_a_control(page: Path) -> None:
    methods = {r["run"]["method"] for r in facts(page)["results"]}
    assert {
        "tether_agreement",
        "tether_ablation",
        "bookmark_stability",
        "tether_compatibility",
        "ensemble",
        "ensemble_tethers",
    } <= methods
    found = facts(page)["findings"]
    said = " ".join(found["sentences"])
    for claim in (  # of some, so few draws tell no more than the number by its name
        "agree on edges",
        "dvantage of fisher over magnitude",
        "with the bookmark before",
        "unrelated networks are tethered",
        "output ensembling",
    ):
        assert claim in said, claim
    assert all(len(c["claim"].split()) <= WORDS for c in found["claims"] if c["verdict"] == "beyond chance")
    assert any(b["says"] == "networks at their beginning" for c in found["claims"] for b in c["bands"])
    assert "of the images that they were trained on" in page.read_text()
    assert all(q["draws"] or q["interval"] or q["untested"] for q in found["questions"])
    assert all(q["q"] >= q["p"] for q in found["questions"] if q["p"] is not None)


def test_the_picture_and_the_map_speak_of_the_same_images(page: Path) -> None:
    executed = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    outputs = [o for c in executed.cells for o in c.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []
    mime = "application/vnd.plotly.v1+json"
    figures = [o.data[mime] for o in outputs if mime in o.get("data", {})]
    pictures = [f for f in figures if f["layout"]["meta"]["kind"] == "ties"]
    assert len(pictures) == 3 and all(
        f["layout"].get("sliders") for f in pictures if "Ensemble" in f["layout"]["title"]["text"]
    )
    assert page.read_text().count('class="point-view"') == 1
    assert pictures[0]["layout"]["meta"]["space"] in page.read_text().split('class="point-view"')[1]


def test_a_source_that_there_is_not_is_refused(folder: Path) -> None:
    with pytest.raises(ParameterError, match="'fish'"):
        run(folder, "refused", between="fish")
    assert not (folder / "refused").exists()
