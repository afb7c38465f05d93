"""Notebooks as they come: damaged ones are refused in words, everyday ones run as JupyterLab runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from notebooks_for_tests import notebook

from workbench.core.errors import FormatError, MissingError, ParameterError
from workbench.report import facts, notebooks, report
from workbench.report.executing import NotebookError
from workbench.report.reproducing import reproduce
from workbench.report.sweeps.sweep import sweep

Change = Callable[[dict[str, Any]], object]


def first(made: dict[str, Any]) -> dict[str, Any]:
    return made["cells"][0]


DAMAGE: dict[str, Change] = {
    "tags": lambda made: first(made)["metadata"].update(tags=True),
    "number of tags": lambda made: first(made)["metadata"].update(tags=1e308),
    "no source": lambda made: first(made).pop("source"),
    "source": lambda made: first(made).update(source=10**30),
    "no type": lambda made: first(made).pop("cell_type"),
    "type": lambda made: first(made).update(cell_type=["a"]),
    "cells": lambda made: made.update(cells={"0": 1}),
    "a cell": lambda made: made.update(cells=[3]),
    "format": lambda made: made.update(nbformat="four"),
    "half a character": lambda made: first(made).update(source="x = '\ud800'"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_notebook_is_refused_with_the_place(damage: str, tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "n")
    made = json.loads(path.read_text())
    DAMAGE[damage](made)
    path.write_text(json.dumps(made))
    with pytest.raises(FormatError, match=r"n\.ipynb can't be read as a notebook"):
        report(path, {}, tmp_path / "out" / "n.html")
    with pytest.raises(FormatError, match=r"n\.ipynb can't be read as a notebook"):
        sweep(path, {"n": [1]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, '{"cells": [' * 50_000, "\x00", "null"])
def test_what_is_no_notebook_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text(text)
    with pytest.raises(FormatError, match="can't be read as a notebook"):
        notebooks.read(tmp_path / "n.ipynb")


def test_what_jupyter_opens_is_read(tmp_path: Path) -> None:
    """Ids in a notebook of format 4.4, none in one of 4.5, outputs that are gone, and a notebook of format 3."""
    made = json.loads(nbformat.writes(new_notebook(cells=[new_code_cell("1"), new_code_cell("2")])))
    made["nbformat_minor"] = 4
    del made["cells"][0]["outputs"], made["cells"][1]["id"]
    third = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": [], "metadata": {}}],
    }
    for name, content, cells in (("four", made, 2), ("three", third, 0)):
        (tmp_path / name).write_text(json.dumps(content))
        assert len(notebooks.read(tmp_path / name).cells) == cells


def test_a_notebook_runs_in_its_own_folder_or_the_named_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nb").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "nb" / "beside.py").write_text("word = 'imported'")
    (tmp_path / "nb" / "data.csv").write_text("from its own folder")
    (tmp_path / "other" / "data.csv").write_text("from the named folder")
    notebook(tmp_path / "nb" / "n.ipynb", "print(open('data.csv').read())")
    monkeypatch.chdir(tmp_path)
    page = report("nb/n.ipynb", {}, "out/n.html")
    assert "from its own folder" in page.read_text()
    assert facts.of(page).cwd == "nb"
    assert str(tmp_path) not in page.read_text()
    assert "from the named folder" in report("nb/n.ipynb", {}, "out/m.html", cwd="other").read_text()
    assert "from its own folder" in reproduce(page, tmp_path / "again").page.read_text()
    with pytest.raises(MissingError, match="no folder 'nowhere'"):
        report("nb/n.ipynb", {}, "out/n.html", cwd="nowhere")


def test_a_sweep_of_tuples_runs_each_once_in_the_notebooks_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nb").mkdir()
    path = notebook(
        tmp_path / "nb" / "n.ipynb",
        "import os\nassert os.path.exists('n.ipynb') and isinstance(layers, tuple) and isinstance(run, str)",
        parameters="layers = (1, 2)\nrun = 'first'",
    )
    monkeypatch.chdir(tmp_path)
    grid = {"layers": [(1, 2), [3, 4], (3, 4)], "run": ["2024"]}
    done = sweep(path, grid, "out", jobs=1)
    assert (done.done, done.failed, len(done.jobs)) == (2, 0, 2)
    assert "(3, 4)" in done.index.read_text()
    assert sweep(path, grid, "out", jobs=1).skipped == 2


def links(path: Path) -> list[tuple[str, str]]:
    """The same notebook under other names, and the page that would take the place of what they lead to."""
    (path.parent / "soft.ipynb").symlink_to(path)
    os.link(path, path.parent / "hard.ipynb")
    return [
        ("n.ipynb", "n.html"),
        ("soft.ipynb", "n.html"),
        ("hard.ipynb", "n.html"),
        ("./../here/n.ipynb", "hard.html"),
    ]


def test_no_report_takes_its_notebooks_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    path = notebook(tmp_path / "here" / "n.ipynb", "print(n)")
    monkeypatch.chdir(path.parent)
    before = path.read_bytes()
    for given, page in links(path):
        report(given, {"n": 5}, page)
        assert path.read_bytes() == before
        ran = nbformat.read(Path(page).with_suffix(".executed.ipynb"), as_version=4)
        assert ran.cells[-1].outputs[0].text == "5\n"
    os.rename("n.ipynb", "m.failed.ipynb")
    with pytest.raises(ParameterError, match=r"m\.failed\.ipynb would take the place of m\.failed\.ipynb"):
        report("m.failed.ipynb", {}, "m.html")
    Path("r.results").mkdir()
    os.rename("m.failed.ipynb", "r.results/n.ipynb")
    with pytest.raises(ParameterError, match=r"r\.results would take the place of"):
        report("r.results/n.ipynb", {}, "r.html")
    with pytest.raises(ParameterError, match="runs would take the place of"):
        Path("s/runs").mkdir(parents=True)
        os.rename("r.results/n.ipynb", "s/runs/n.ipynb")
        sweep("s/runs/n.ipynb", {"n": [1]}, "s")


def test_a_file_that_no_report_wrote_is_kept(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "1")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.ipynb").write_text("somebody's own")
    for _ in range(2):
        page = report(path, {}, tmp_path / "out" / "a.html")
        assert (tmp_path / "out" / "a.ipynb").read_text() == "somebody's own"
        assert set(facts.of(page).files) == {"a.executed.ipynb"}


def test_a_cell_may_raise_where_it_is_tagged_so_and_nowhere_else(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "1 / 0", "print('went on')", "raise KeyError('untagged')")
    made = nbformat.read(path, as_version=4)
    made.cells[1].metadata["tags"] = ["raises-exception"]
    nbformat.write(made, path)
    with pytest.raises(NotebookError, match="untagged"):
        report(path, {}, tmp_path / "out" / "n.html")
    made.cells.pop()
    nbformat.write(made, path)
    page = report(path, {}, tmp_path / "out" / "n.html").read_text()
    assert "ZeroDivisionError: division by zero" in page
    assert "went on" in page


def test_what_an_output_widget_holds_is_shown_wherever_it_stands(tmp_path: Path) -> None:
    path = notebook(
        tmp_path / "n.ipynb",
        "import ipywidgets as w\nout = w.Output()\nwith out:\n    print('print' + 'ed')\n"
        "    display({'text/markdown': '**displ' + 'ayed**'}, raw=True)\nout",
        "inner = w.Output()\nwith inner: print('with' + 'in')\n"
        "w.Tab([w.VBox([w.Label('lab' + 'el'), inner, w.HTML('<b>bo' + 'ld</b><script>1</script>')]), w.IntSlider()])",
        "w.FloatSlider(description='only a control')",
    )
    page = report(path, {}, tmp_path / "out" / "n.html").read_text()
    body = page[page.index("<main") : page.index("<noscript>")]
    for words in ("printed", "<strong>displayed</strong>", "within", "label", "<b>bold</b>"):
        assert words in body
    assert ">Output()" not in body
    assert "<script>1" not in body


REPORTS = """
import sys
from pathlib import Path
from workbench.report import keeping, manifest
for i in range(20):
    page = Path(sys.argv[1]) / f"{sys.argv[2]}-{i}.html"
    with keeping.together(page, Path(sys.argv[1]) / "n.ipynb", results=False) as places:
        places.page.write_text("page")
        places.notebook.write_text("notebook")
        manifest.write(page, {"files": {}}, places.manifest)
"""


def test_reports_in_one_folder_lose_no_entry_of_the_manifest(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    command = [sys.executable, "-c", REPORTS, str(tmp_path / "out")]
    racing = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [process.wait(60) for process in racing] == [0, 0]
    assert len(json.loads((tmp_path / "out" / "manifest.json").read_text())["reports"]) == 40


def test_a_cache_that_cannot_be_written_costs_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("where the cache should be")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "cache"))
    cell = "import workbench as wb\nwb.pca(wb.circle(n=60), n_null=9, n_boot=5)"
    page = report(notebook(tmp_path / "n.ipynb", cell), {}, tmp_path / "out" / "n.html")
    assert sorted(p.suffix for p in page.with_suffix(".results").iterdir()) == [".parquet", ".safetensors"]
    assert facts.of(page).unkept == 0
    monkeypatch.setenv("WORKBENCH_NO_CACHE", "1")
    assert facts.of(report(tmp_path / "n.ipynb", {}, page)).unkept == 0


def test_what_could_not_be_kept_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file" / "cache"))
    cell = (
        f"import os\nos.environ['WORKBENCH_SPARE_CACHE'] = {str(tmp_path / 'file' / 'spare')!r}\n"
        "import workbench as wb\nwb.pca(wb.circle(n=60), n_null=9, n_boot=5)"
    )
    page = report(notebook(tmp_path / "n.ipynb", cell), {}, tmp_path / "out" / "n.html")
    assert facts.of(page).unkept == 1
    assert "1 of 1 results have no files beside this page" in page.read_text()


def test_what_a_killed_report_left_is_swept_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    (tmp_path / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    slow = notebook(tmp_path / "slow.ipynb", "import time", "open('at-work', 'w')\ntime.sleep(300)")
    with subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", "report", str(slow), "-o", str(tmp_path / "out" / "s.html")]
    ) as process:
        until = time.monotonic() + 60
        while not (tmp_path / "at-work").exists():
            assert time.monotonic() < until
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    left = list((tmp_path / "t").glob(".workbench-report.*"))
    assert len(left) == 1
    report(notebook(tmp_path / "n.ipynb", "1"), {}, tmp_path / "out" / "n.html")
    assert not list((tmp_path / "t").glob(".workbench-report.*"))
