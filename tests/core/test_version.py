"""Versions of methods: changed code never answers from an old cache, and a change elsewhere leaves answers valid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import workbench
from workbench.core import version

HOME = Path(workbench.__file__).parent

FILES = {
    "__init__.py": "",
    "a.py": "from versioned.b import (\n    near,\n)\n",
    "b.py": "def near():\n    from versioned.inner import far\n    return far\n",
    "c.py": "ELSEWHERE = 1\n",
    "inner/__init__.py": "",
    "inner/far.py": "VALUE = 1\n",
    "finds.py": "import pkgutil\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "versioned"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def digest_of(module: str) -> bytes:
    for function in (version.source_digest, version._file, version.source_file, version._home):
        function.cache_clear()
    return version.source_digest(module)


def test_a_file_two_imports_away_counts_and_one_that_is_not_imported_does_not(package: Path) -> None:
    before = digest_of("versioned.a")
    (package / "c.py").write_text("ELSEWHERE = 2\n")
    assert digest_of("versioned.a") == before
    (package / "inner" / "far.py").write_text("VALUE = 2\n")
    changed = digest_of("versioned.a")
    assert changed != before
    (package / "inner" / "__init__.py").write_text("# runs when far is imported\n")
    assert digest_of("versioned.a") != changed


def test_a_file_that_finds_others_depends_on_its_folder(package: Path) -> None:
    before = digest_of("versioned.finds")
    (package / "c.py").write_text("ELSEWHERE = 3\n")
    assert digest_of("versioned.finds") != before


def versions_in(folder: Path) -> dict[str, str]:
    code = "import workbench as wb\nprint({n: getattr(wb, n).version for n in ('pca', 'renormalize', 'persistence')})"
    env = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=folder, check=True
    )
    return eval(done.stdout)


@pytest.mark.slow
def test_every_method_has_the_version_of_what_it_reaches(tmp_path: Path) -> None:
    shutil.copytree(HOME, tmp_path / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    before = versions_in(tmp_path)
    again = versions_in(tmp_path)
    assert before == again and len(set(before.values())) == 3

    def touch(file: str) -> set[str]:
        path = tmp_path / "workbench" / file
        text = path.read_text()
        path.write_text(text + "\n# changed\n")
        after = versions_in(tmp_path)
        path.write_text(text)
        return {n for n in after if after[n] != before[n]}

    assert touch("analyses/descent/plateaus.py") == {"renormalize"}  # which calls it
    assert touch("numerics/rips_cycles.py") == {"persistence"}
    assert touch("core/evidence.py") == {"pca", "renormalize", "persistence"}
    assert touch("report/page.py") == set()


CELL = """
import workbench as wb
from workbench.core.evidence import Evidence
from workbench.core.registry import analysis
from workbench.results.estimate import Estimate
from workbench.subjects.points import Points

FACTOR = {factor}

def scaled(x):
    return FACTOR * x.mean()

@analysis
def mean_of_cell(x: Points) -> Estimate:
    "Say what the mean of all numbers is, times a factor of this notebook."
    return Estimate(evidence=(Evidence(id="mean", question="How much?", label="mean", value=scaled(x.values), n=x.n),))

found = wb.mean_of_cell(wb.circle(n=20))
print(found.evidence[0].value, wb.mean_of_cell.version, wb.mean_of_cell.family, found.title)
print([m.name for m in wb.methods() if m.family == "notebook"], found.run.key)
print(found.code())
"""


def run_cells(*cells: str) -> list[str]:
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    done = NotebookClient(book, timeout=120, kernel_name="python3").execute()
    return ["".join(o.text for o in c.outputs if o.output_type == "stream") for c in done.cells]


def test_a_method_in_a_notebooks_cell_works_at_once_and_its_changes_count() -> None:
    first, same, other = run_cells(CELL.format(factor=2), CELL.format(factor=2), CELL.format(factor=3))
    values = [float(text.split()[0]) for text in (first, same, other)]
    versions = [text.split()[1] for text in (first, same, other)]
    assert values[0] == values[1] != values[2]
    assert versions[0] == versions[1] != versions[2]  # what the notebook's function reaches counts
    assert "notebook Mean of cell of circle" in first and "['mean_of_cell']" in first
    assert "result = wb.mean_of_cell(step1)" in first
