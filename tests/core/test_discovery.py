"""What other packages declare: methods, kinds and subjects of an installed package are found by its entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

METHOD = '''
"""Row count: how many rows there are."""
from otherlab.kinds import Note
from otherlab.words import COUNT
from workbench.core.evidence import Evidence
from workbench.core.registry import analysis
from workbench.subjects.points import Points


@analysis
def row_count(points: Points) -> Note:
    """Say how many rows there are."""
    asked = Evidence(id="rows", question="How many?", label=COUNT, value=points.n, n=points.n)
    return Note(text=f"{points.n} <rows>", evidence=(asked,))
'''
KIND = '''
from dataclasses import dataclass
from html import escape
from typing import ClassVar

from workbench.results.written import Written


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Note(Written):
    """A text."""

    kind: ClassVar[str] = "note"
    text: str

    def html(self) -> str:
        return f"<p>{escape(self.text)}</p>"
'''
SUBJECT = '''
from pathlib import Path

import numpy as np

from workbench.subjects.points import PointCloud


class Grid(PointCloud):
    """Rows of a file that this package knows."""

    @classmethod
    def read(cls, path: Path):
        return cls(np.loadtxt(path)) if path.suffix == ".grid" else None
'''
ENTRIES = """
[workbench.methods]
row_count = otherlab.row_count

[workbench.results]
note = otherlab.kinds

[workbench.subjects]
grid = otherlab.grids
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder on the path with a package in it, as pip would leave it."""
    files = {"row_count.py": METHOD, "kinds.py": KIND, "grids.py": SUBJECT, "words.py": "COUNT = 'rows'\n"}
    for name, text in {"__init__.py": "", **files}.items():
        (tmp_path / "otherlab").mkdir(exist_ok=True)
        (tmp_path / "otherlab" / name).write_text(text)
    about = tmp_path / "otherlab-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: otherlab\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "x.grid").write_text("1 2\n3 4\n5 6\n")
    return tmp_path


def run(folder: Path, code: str) -> list[str]:
    env = {**os.environ, "PYTHONPATH": str(folder), "WORKBENCH_CACHE": str(folder / "cache")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_packages_method_kind_and_subject_are_found(installed: Path) -> None:
    asked = (
        "import workbench as wb\nfound = wb.row_count(wb.open('x.grid'))\nfound.save('kept')\n"
        "print(found.title, found.html(), type(wb.open('x.grid')).__name__)\n"
        "print('row_count' in [m.name for m in wb.methods()], wb.row_count.family, wb.row_count.version)"
    )
    first = run(installed, asked)
    assert first[0] == "Row count of points <p>3 &lt;rows&gt;</p> Grid"
    assert first[1].startswith("True otherlab ")
    loaded = run(installed, "import workbench as wb\nprint(wb.load('kept').kind)")
    assert loaded == ["note"]  # in a process that has imported nothing of that package
    (installed / "otherlab" / "words.py").write_text("COUNT = 'lines'\n")
    again = run(installed, asked)
    assert again[1].split()[-1] != first[1].split()[-1]  # what it imports of its own package counts
