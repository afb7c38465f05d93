"""The tour of a descent, run as a user runs it, small."""

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
    "steps": 60,
    "budget": 12,
    "repeats": 4,
    "descents": 2,
    "restarts": "2,8",
    "tuned_budget": 2,
    "tuned_repeats": 3,
    "max_steps": 3,
    "n_null": 39,
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("descent")


@pytest.fixture(scope="module")
def page(folder: Path) -> Path:
    return run(folder, "first", **SMALL)


def run(folder: Path, name: str, **parameters: Any) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report("descent", parameters, folder / name / "descent.html")


def facts(page: Path) -> dict[str, Any]:
    return json.loads((page.parent / "manifest.json").read_text())["reports"][page.name]


def outputs(page: Path) -> list[Any]:
    executed = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    return [o for c in executed.cells for o in c.get("outputs", [])]


def test_room_patience_landscape_and_renormalizations_are_answered_with_controls(page: Path) -> None:
    methods = {r["run"]["method"] for r in facts(page)["results"]}
    assert {"gradient_rank", "activation_rank", "output_entropy", "sameness", "hessian_spectrum"} <= methods
    assert {"descent_law", "plateaus", "renormalization_pictures", "loss_landscape", "loss_slice"} <= methods
    assert "renormalize" in methods
    found = facts(page)["findings"]
    assert any(q["method"] == "contrast" for q in found["questions"])
    assert all("interval" in s or " with " in s or "not tested" in s for s in found["sentences"])
    tested = [q for q in found["questions"] if q["p"] is not None]
    assert all(q["q"] >= q["p"] for q in tested)
    assert {q["id"] for q in tested} >= {"told_apart", "misfit", "gain_of_change", "below_best_restart"}
    assert all(len(c["claim"].split()) <= WORDS for c in found["claims"] if c["verdict"] == "beyond chance")
    changes = [c for c in found["claims"] if c["id"] == "change"]
    assert {c["method"] for c in changes} == {
        "activation_rank",
        "gradient_rank",
        "output_entropy",
        "sameness",
    }
    assert all([b["kind"] for b in c["bands"]] == ["chance", "network"] for c in changes)
    assert "pages claimed something false" in page.read_text().lower()


def test_a_loss_whose_noise_is_slow_is_given_no_law(folder: Path) -> None:
    """As the default descent's is."""
    long = run(
        folder,
        "long",
        **{**SMALL, "steps": 500, "descents": 1, "restarts": "2", "untrained": 2, "fine_tuned": ""},
    )
    found = facts(long)["findings"]
    laws = [q for q in found["questions"] if q["id"] == "misfit"]
    assert laws and all(q["p"] is None for q in laws)
    assert sum("(not tested)" in s and "wavers more slowly" in s for s in found["sentences"]) == len(laws)


def test_says_nothing_on_stderr_and_lives_without_a_kernel(page: Path) -> None:
    found = outputs(page)
    assert [o.text for o in found if o.output_type == "stream" and o.name == "stderr"] == []
    assert (
        page.read_text().count('class="point-view"') == 1
    )  # the path of the weights, to draw around steps in
    assert "Open the notebook in JupyterLab to change the settings" in page.read_text()
    text = page.read_text()
    assert "Batch norm left out" in text and "own restart ×8" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"task": "cats"}, "task='cats'.*'fashion'"),
        ({"budget": 0}, "budget=0"),
        ({"n_null": -1}, "n_null=-1"),
    ],
)
def test_a_parameter_that_is_not_legal_is_refused_and_nothing_is_written(
    given: dict[str, Any], said: str, folder: Path
) -> None:
    name = f"refused-{next(iter(given))}"
    with pytest.raises(ParameterError, match=said):
        run(folder, name, **{**SMALL, "descents": 1, "untrained": 1, "fine_tuned": "", **given})
    assert not (folder / name).exists()
