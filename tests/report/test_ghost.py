"""The tour of Ghost, run as a user runs it, small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from workbench.report import report

SMALL = {
    "steps": 2,
    "width": 32,
    "layers": 5,
    "memory_steps": 3,
    "memory_width": 16,
    "more_facts": 2,
    "temperatures": "1",
    "encoder": "",
    "n_null": 39,
    "length": 6,
    "seen_bytes": 8,
    "fact": "<script>window.hacked=1</script>|<b>bold</b>",
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ghost")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report("ghost", SMALL, folder / "small" / "ghost.html")


def written(page: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((page.parent / "manifest.json").read_text())["reports"][page.name]
    return facts


def outputs(page: Path) -> list[Any]:
    executed = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    return [o for c in executed.cells for o in c.get("outputs", [])]


def test_every_claim_stands_beside_its_control(page: Path) -> None:
    said = " ".join(written(page)["findings"]["sentences"])
    for claim in (
        "Asked in other words, Ghost",
        "Units begin",
        "A fact is answered",
        "Without a memory, the weights",
    ):
        assert claim in said, claim
    assert "is proven" in said, "what was removed from the memory is gone"
    assert "nearest by letters" in said and "minilm" not in said
    assert all(q["draws"] or q["interval"] or q["untested"] for q in written(page)["findings"]["questions"])


def test_facts_and_answers_are_text_on_the_page(page: Path) -> None:
    html = page.read_text()
    assert "window.hacked=1" in html
    assert "<script>window.hacked" not in html and "<b>bold</b>" not in html


def test_nothing_complains(page: Path) -> None:
    assert [o.text for o in outputs(page) if o.output_type == "stream" and o.name == "stderr"] == []
    tables = [o.data["text/plain"] for o in outputs(page) if "text/html" in o.get("data", {})]
    assert any("nothing learned" in t for t in tables) and any("gate -8" in t for t in tables)
