"""The tour of a network's layers, run as a user runs it, small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from workbench.core.errors import MissingError, ParameterError
from workbench.core.evidence import Evidence
from workbench.evidence.claims import WORDS
from workbench.report import report

SMALL = {"max_texts": 60, "max_rows": 160, "untrained": 4}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("atlas")


@pytest.fixture(scope="module")
def atlas(folder: Path) -> Path:
    return run(folder, "first", **SMALL)


def run(folder: Path, name: str, **parameters: Any) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report("atlas", parameters, folder / name / "atlas.html")


def facts(page: Path) -> dict[str, Any]:
    return json.loads((page.parent / "manifest.json").read_text())["reports"][page.name]


def started(page: Path) -> dict[str, str]:
    """When each result that the report shows was computed."""
    return {r["run"]["key"]: r["run"]["started"] for r in facts(page)["results"]}


def test_answers_with_a_figure_a_control_and_findings(atlas: Path) -> None:
    found = facts(atlas)["findings"]
    assert all("with weights drawn anew" in s for s in found["sentences"])
    contrasts = {(q["id"], q["of"]) for q in found["questions"] if q["method"] == "contrast"}
    assert (
        len(contrasts) == 7 and ("balanced_accuracy", "") in contrasts and ("longest_bar", "H1") in contrasts
    )
    assert all(len(c["claim"].split()) <= WORDS for c in found["claims"] if c["verdict"] == "beyond chance")
    assert all(b["kind"] in ("chance", "network") for c in found["claims"] for b in c["bands"])
    methods = {r["run"]["method"] for r in facts(atlas)["results"]}
    assert {"umap", "spectral_clustering", "persistence", "cka"} <= methods
    tested = [q for q in found["questions"] if q["p"] is not None]
    assert all(q["q"] >= q["p"] for q in tested)
    assert {"linear_probe", "spectral_clustering", "contrast"} <= {q["method"] for q in tested}


def test_a_map_that_no_lump_is_as_faithful_as_comes_first_and_others_say_what_they_are_not_told_from(
    atlas: Path,
) -> None:
    def told(result: dict[str, Any]) -> bool:
        (asked,) = (e for e in result["evidence"] if e["id"] == "beyond_one_lump")
        return Evidence.from_json(asked).p_value <= 0.05

    maps = [r for r in facts(atlas)["results"] if r["run"]["method"] == "umap"]
    assert len(maps) == 3 and (told(maps[0]) or not any(map(told, maps)))
    doubts = [
        f["layout"]["meta"].get("doubt", "")
        for f in figures(atlas)
        if f["layout"]["meta"]["kind"] == "embedding"
    ]
    assert [bool(d) for d in doubts] == [not told(r) for r in maps[1:]]
    assert "tokens, drawn at random, of the 60 texts" in atlas.read_text()


def test_says_nothing_on_stderr_and_its_explorer_lives_without_a_kernel(atlas: Path) -> None:
    executed = nbformat.read(atlas.with_suffix(".ipynb"), as_version=4)
    outputs = [o for c in executed.cells for o in c.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"] == []
    views = [o.data for o in outputs if any("widget-view" in mime for mime in o.get("data", {}))]
    assert len(views) == 1
    (widgets,) = executed.metadata["widgets"].values()
    (shown,) = (v for mime, v in views[0].items() if "widget-view" in mime)
    assert shown["model_id"] in widgets["state"], (
        "JupyterLab draws the executed notebook's explorer from its state"
    )
    assert atlas.read_text().count('class="point-view"') == 1


def test_a_second_run_computes_nothing_and_says_the_same(folder: Path, atlas: Path) -> None:
    again = run(folder, "again", **SMALL)
    assert started(again) == started(atlas)
    assert facts(again)["findings"] == facts(atlas)["findings"]


HEAVY = {"torch", "transformers", "sklearn", "numba", "scipy.stats", "igraph", "jsonschema"}
COUNT = """
import sys
from workbench.results.plotted import Plotted
_figure, _drawn = Plotted.figure, []
Plotted.figure = lambda self, **options: _drawn.append(self.run.key) or _figure(self, **options)
"""
COUNTED = f"print(len(_drawn), *sorted({HEAVY!r} & sys.modules.keys()))"


def test_a_report_from_the_cache_imports_nothing_that_computes_and_draws_each_figure_once(
    folder: Path, atlas: Path, tmp_path: Path
) -> None:
    notebook = nbformat.read(atlas.with_suffix(".ipynb"), as_version=4)
    code = next(i for i, c in enumerate(notebook.cells) if "title" in c.metadata.get("tags", []))
    notebook.cells.insert(code, nbformat.v4.new_code_cell(COUNT))
    notebook.cells.append(nbformat.v4.new_code_cell(COUNTED))
    nbformat.write(notebook, tmp_path / "counted.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        page = report(tmp_path / "counted.ipynb", SMALL, tmp_path / "page" / "counted.html")
    assert started(page) == started(atlas)
    executed = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    drawn, *imported = executed.cells[-1].outputs[0].text.split()
    assert imported == []
    assert int(drawn) == len(figures(page)) > 5


def test_a_changed_parameter_recomputes_what_depends_on_it(folder: Path, atlas: Path) -> None:
    changed = run(folder, "changed", **SMALL, n_neighbors=12)
    kept = {r["run"]["method"] for r in facts(changed)["results"] if r["run"]["key"] in started(atlas)}
    new = {r["run"]["method"] for r in facts(changed)["results"] if r["run"]["key"] not in started(atlas)}
    assert kept == {"persistence", "cka"}
    assert new == {"umap", "spectral_clustering"}


def test_a_language_model_and_a_users_own_texts(folder: Path, tmp_path: Path) -> None:
    import pandas as pd

    rows = [
        {"line": f"The {a} {b} in the {c}.", "place": c}
        for a in ("old", "small", "red", "quiet")
        for b in ("cat sat", "dog ran", "queen spoke", "clock stopped")
        for c in ("garden", "kitchen", "hall", "road")
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "lines.csv", index=False)
    page = run(
        folder,
        "own",
        network="glassllm-en",
        corpus=str(tmp_path / "lines.csv"),
        column="line",
        max_texts=64,
        max_rows=200,
        untrained=2,
    )
    assert any("place" in s for s in facts(page)["findings"]["sentences"])


@pytest.mark.parametrize("texts", [1, 2])
def test_so_few_texts_are_asked_what_they_can_be_and_the_rest_is_told(
    texts: int, folder: Path, tmp_path: Path
) -> None:
    lines = [
        "text",
        "A clerk signs papers in the old town hall every morning.",
        "Rain fell on the harbour all night.",
    ]
    (tmp_path / "few.csv").write_text("\n".join(lines[: texts + 1]))
    page = run(folder, f"few-{texts}", corpus=str(tmp_path / "few.csv"), network="glassllm-en", untrained=2)
    assert "Not asked: " in page.read_text()
    assert any("neighbours" in s for s in facts(page)["findings"]["sentences"])


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"n_neighbors": 0}, ParameterError, "n_neighbors=0"),
        ({"max_rows": 0}, ParameterError, "at least 1"),
        ({"random_state": -1}, ParameterError, "random_state=-1"),
        ({"label": "topik"}, MissingError, "Did you mean 'topic'"),
    ],
)
def test_a_parameter_that_is_not_legal_is_refused_and_nothing_is_written(
    given: dict[str, Any], error: type[Exception], said: str, folder: Path
) -> None:
    name = f"refused-{next(iter(given))}"
    with pytest.raises(error, match=said):
        run(folder, name, network="glassllm-en", max_texts=20, untrained=1, **given)
    assert not (folder / name).exists()


def test_untrained_networks_are_the_band_of_charts_and_no_questions_of_their_own(atlas: Path) -> None:
    charts = [f for f in figures(atlas) if "beside untrained networks" in f["layout"]["title"]["text"]]
    assert len(charts) == 3
    assert all(any("untrained networks" in str(t.get("name")) for t in c["data"]) for c in charts)
    assert not any("drawn anew" in q["subject"] for q in facts(atlas)["findings"]["questions"])
    (said,) = [s for s in facts(atlas)["findings"]["sentences"] if s.startswith("“topic”")]
    assert "is easier to read off" in said and "in 4 untrained networks" in said


def figures(page: Path) -> list[dict[str, Any]]:
    executed = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    outputs = [o for c in executed.cells for o in c.get("outputs", [])]
    mime = "application/vnd.plotly.v1+json"
    return [o.data[mime] for o in outputs if mime in o.get("data", {})]
