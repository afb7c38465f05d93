"""A notebook becomes a page, an executed notebook and a manifest, or nothing changes."""

from __future__ import annotations

import errno
import html
import json
import re
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from notebooks_for_tests import HOSTILE, notebook

from workbench.core.errors import DataError, FormatError, MissingError, ParameterError, StorageError
from workbench.core.result import RESULT_MIME
from workbench.core.run import Run
from workbench.report import report
from workbench.report.executing import NotebookError
from workbench.report.markup import clean
from workbench.report.parameters import declared_parameters


def test_writes_page_notebook_and_manifest(small_report: Path) -> None:
    executed = nbformat.read(small_report.with_suffix(".ipynb"), as_version=4)
    assert all(c.execution_count for c in executed.cells if c.cell_type == "code")
    facts = json.loads((small_report.parent / "manifest.json").read_text())["reports"]["small.html"]
    assert facts["parameters"] == {"n": 90}
    assert [r["run"]["method"] for r in facts["results"]] == ["pca", "pca"]
    assert facts["results"][0]["evidence"][0]["n"] == 90
    assert len(facts["findings"]["questions"]) == 2


def test_page_fetches_nothing_and_lets_no_text_act(small_report: Path) -> None:
    page = small_report.read_text()
    body = page[: page.rindex("<script>", 0, page.rindex("<script>"))]  # the page without its own two scripts
    assert "<script>window.hacked" not in page
    assert "<img src=x" not in body
    assert not re.search(r"""(?:src|href)=["']?https?:""", body)
    assert "default-src 'none'" in html.unescape(body)


def test_findings_stand_at_the_top_with_number_interval_and_null(small_report: Path) -> None:
    page = small_report.read_text()
    assert page.index('id="findings"') < page.index('class="plot"')
    top = page[page.index('class="leading"') : page.index('class="columns"')]
    assert "<h3>The plane</h3>" in top and top.count('class="strip"') == top.count('class="mark"') == 1
    assert re.search(r'aria-label="[^"]*: 0\.\d+; 95 % interval 0\.\d+ to [^"]*"', top)
    assert re.search(r"0\.\d+ \(95 % interval .*; q = 0\.05\)", top)
    assert 'class="plot" id="figure-1"' in top


def test_unknown_and_mistyped_parameters_are_refused(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "n")
    assert declared_parameters(path) == {"n": 120}
    with pytest.raises(ParameterError, match=r"no parameter 'm'\. (There are: n|Did you mean 'n')"):
        report(path, {"m": 1}, tmp_path / "n.html")
    with pytest.raises(ParameterError, match=r"'many' is of the type str; it takes int \(default 120\)"):
        report(path, {"n": "many"}, tmp_path / "n.html")
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ""] == ["n.ipynb"]


def test_failure_keeps_the_old_page_and_saves_the_failed_notebook(tmp_path: Path) -> None:
    old = tmp_path / "out" / "bad.html"
    old.parent.mkdir()
    old.write_text("the page from before")
    path = notebook(tmp_path / "bad.ipynb", "1 + 1", "raise ValueError('the reason')")
    with pytest.raises(NotebookError, match="the reason") as failure:
        report(path, {}, old)
    assert old.read_text() == "the page from before"
    assert "bad.failed.ipynb" in str(failure.value)
    assert (
        nbformat.read(old.with_suffix(".failed.ipynb"), as_version=4).cells[-1].outputs[0].ename
        == "ValueError"
    )


def test_what_fails_while_a_result_is_shown_is_named(tmp_path: Path) -> None:
    shown = "class Shown:\n    def _ipython_display_(self):\n        raise {}\nShown()"
    for error, match in (("ValueError('no picture')", "ValueError: no picture"), ("NameError", "NameError")):
        path = notebook(tmp_path / "n.ipynb", shown.format(error))
        with pytest.raises(NotebookError, match=f": {match}"):
            report(path, {}, tmp_path / "n.html")
    path = notebook(
        tmp_path / "n.ipynb",
        "from workbench.core.errors import DataError",
        shown.format("DataError('too few')"),
    )
    with pytest.raises(DataError, match=r": too few"):
        report(path, {}, tmp_path / "n.html")


@pytest.mark.parametrize("full", [".ipynb", ".html", ".json"])
def test_a_disk_that_fills_leaves_the_report_from_before(
    full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = notebook(tmp_path / "n.ipynb", "n")
    page = report(path, {}, tmp_path / "out" / "n.html")
    before = {p.name: p.read_bytes() for p in page.parent.iterdir()}
    write_text = Path.write_text

    def no_room(self: Path, *given: Any, **named: Any) -> int:
        if self.suffix == full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(self, *given, **named)

    monkeypatch.setattr(Path, "write_text", no_room)
    monkeypatch.setattr(nbformat, "write", lambda nb, to: Path(to).write_text(nbformat.writes(nb)))
    with pytest.raises(StorageError, match="The disk is full"):
        report(path, {"n": 7}, page)
    assert {p.name: p.read_bytes() for p in page.parent.iterdir()} == before


def test_unwritable_output_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", f"open({str(tmp_path / 'ran')!r}, 'w')")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="can't be written"):
        report(path, {}, tmp_path / "file" / "n.html")
    assert not (tmp_path / "ran").exists()


def test_unknown_notebook_lists_the_shipped_ones() -> None:
    with pytest.raises(MissingError, match="atlas"):
        report("atlass")


def test_hostile_text_is_shown_as_text(small_report: Path) -> None:
    assert html.escape(HOSTILE, quote=False).split("&lt;img")[0] in small_report.read_text()


def test_a_kernel_that_dies_is_said_and_the_notebook_kept(tmp_path: Path) -> None:
    path = notebook(tmp_path / "dies.ipynb", "print('so far')", "import os; os._exit(9)")
    with pytest.raises(NotebookError, match="kernel died"):
        report(path, {}, tmp_path / "dies.html")
    assert "so far" in (tmp_path / "dies.failed.ipynb").read_text()


@pytest.mark.parametrize("cell", ["n = 2 * k", "%matplotlib inline", "n = [i for i in range(3)]"])
def test_parameters_that_are_not_literals_are_refused(tmp_path: Path, cell: str) -> None:
    with pytest.raises(ParameterError, match="plain literals"):
        report(notebook(tmp_path / "n.ipynb", "1", parameters=cell), {}, tmp_path / "n.html")


def test_parameters_may_be_annotated(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "1", parameters="n: int = 5\na = b = 'x'\nc = -1")
    assert declared_parameters(path) == {"n": 5, "a": "x", "b": "x", "c": -1}


def test_somebody_elses_manifest_is_kept(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a web app"}')
    report(notebook(tmp_path / "n.ipynb", "1"), {}, tmp_path / "n.html")
    assert "a web app" in (tmp_path / "manifest.unreadable.json").read_text()
    assert "n.html" in json.loads((tmp_path / "manifest.json").read_text())["reports"]


def test_refused_input_is_told_in_its_own_words_and_leaves_nothing(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb", f"import workbench as wb\nwb.corpus({str(tmp_path / 'none.csv')!r})"
    )
    (tmp_path / "none.csv").write_text("text,label\n")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FormatError, match=r"none\.csv.*no row\. Add lines"):
        report(path, {}, tmp_path / "reports" / "n.html")
    assert sorted(p for p in tmp_path.iterdir() if p.name != "cache") == before


def test_a_cell_that_finds_the_disk_full_is_no_failure_of_the_notebook(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "from workbench.core.errors import StorageError\nraise StorageError('The disk is full. Make room.')",
    )
    with pytest.raises(StorageError, match=r"code cell 3: The disk is full\. Make room"):
        report(path, {}, tmp_path / "reports" / "n.html")
    assert not (tmp_path / "reports").exists()


def test_the_page_says_first_what_it_is_of_and_drops_a_section_that_is_shown_at_the_top(
    tmp_path: Path,
) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "# Any network\n\nWhat this is.",
        "## Read",
        "from IPython.display import Markdown\nMarkdown('# Of minilm\\n\\nReading 3 texts.')",
        "## What was found",
        "import workbench as wb\nwb.Findings()",
    )
    made = nbformat.read(path, as_version=4)
    made.cells[3].metadata["tags"] = ["title"]
    nbformat.write(made, path)
    page = report(path, {}, tmp_path / "n.html").read_text()
    assert "<title>Of minilm</title>" in page
    places = [
        page.index(s)
        for s in (
            "<h1>Of minilm",
            "Reading 3 texts",
            "computed anew",
            'id="findings"',
            "What this is.",
            ">Read<",
        )
    ]
    assert places == sorted(places)
    assert "too little data" in page
    assert "What was found" not in page


@pytest.mark.slow
def test_the_page_says_what_came_from_the_cache_and_how_small_p_can_be(tmp_path: Path) -> None:
    cell = "import workbench as wb\nwb.pca(wb.planted_clusters(n=60), n_null=19, n_boot=9)"
    path = notebook(tmp_path / "n.ipynb", cell)
    first = report(path, {}, tmp_path / "first.html").read_text()
    time.sleep(1.1)  # runs are dated to the second
    again = report(path, {}, tmp_path / "again.html").read_text()
    assert "computed anew" in first
    assert "all 1 results shown are from the cache" in again
    path = notebook(tmp_path / "f.ipynb", cell, "wb.Findings()")
    assert "19 draws\n  give none below 0.05" in report(path, {}, tmp_path / "f.html").read_text()


def test_a_figure_of_several_runs_says_how_each_was_computed(tmp_path: Path) -> None:
    cell = (
        "import workbench as wb\n"
        "asked = {n: wb.pca(wb.circle(n=60, noise=n), n_null=19, n_boot=9, random_state=3) for n in (0.1, 0.2)}\n"
        "wb.along({str(n): r for n, r in asked.items()}).show()"
    )
    page = report(notebook(tmp_path / "n.ipynb", cell), {}, tmp_path / "out" / "n.html")
    (shown,) = [
        o.data[RESULT_MIME]
        for c in nbformat.read(page.with_suffix(".ipynb"), as_version=4).cells
        for o in c.get("outputs", [])
        if RESULT_MIME in o.get("data", {})
    ]
    fold = page.read_text().partition('<details class="how">')[2].partition("</details>")[0]
    assert "from the answers of 2 runs" in fold
    assert "<code>random_state=3</code>" in fold
    behind = [i["run"] for i in shown["run"]["inputs"]]
    assert [i["name"] for i in shown["run"]["inputs"]] == ["0.1", "0.2"]
    assert all(r["inputs"][0]["digest"] in fold and Run.from_json(r).key in fold for r in behind)


def test_a_widget_is_shown_once_as_its_figure_or_what_it_says(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "import workbench as wb, widgets",
        "widgets.browse(search='circle')",
        "panel = widgets.panel('pca', wb.circle(n=40))\npanel",
        "late = widgets.panel('circle')\ndisplay(late)\nlate.run()\nlate.wait(60)",
        "widgets.explore(wb.circle(n=40))",
    )
    page = report(path, {}, tmp_path / "n.html").read_text()
    body = page.partition("<main")[2]
    assert body.count("<td>circle</td>") == 1
    assert body.count("<td>n_components</td>") == 1
    assert body.count('class="point-view"') == 1
    assert "live where a kernel runs" not in body.partition("<script>")[0]
    assert "workbench-still" not in body


def test_a_formula_is_shown_and_nothing_in_it_acts() -> None:
    shown = clean(
        "<p>y = x<sup>2</sup></p><math><mfrac><mi>x</mi><mn>2</mn></mfrac>"
        "<mtext><img src=x onerror=alert(1)></mtext><annotation-xml encoding='text/html'><script>1</script>"
        "</annotation-xml></math><maction actiontype='statusline' xlink:href='javascript:alert(1)'>y</maction>"
    )
    assert "<sup>2</sup>" in shown and "<mfrac><mi>x</mi><mn>2</mn></mfrac>" in shown
    assert not any(word in shown for word in ("img", "script", "onerror", "href"))
