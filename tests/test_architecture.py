"""The page on the architecture: each of its files, put into a copy of the package, works everywhere without another edit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from notebooks_for_tests import notebook

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "ARCHITECTURE.md"
METHODS = ("distance_correlation", "coherence", "column_formula", "remove_leading")

pytestmark = pytest.mark.slow


def examples() -> dict[str, str]:
    """Path of each file on the page to its text."""
    blocks = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return dict(blocks)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the page's files in it."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("workbench", "widgets", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path, text in examples().items():
        assert not (folder / path).exists(), f"{path} is an example, and the package has it"
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    return folder


def run(home: Path, *command: str, cwd: Path | None = None) -> str:
    env = {**os.environ, "PYTHONPATH": str(home), "WORKBENCH_CACHE": str(home / "cache")}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=env, cwd=cwd or home, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def workbench(home: Path, *command: str) -> str:
    return run(home, "-m", "workbench.cli", *command)


def test_the_page_has_an_example_of_each() -> None:
    paths = " ".join(examples())
    assert len(examples()) == 6
    for part in ("analyses/probing/distance", "analyses/series/", "results/", "subjects/", "edits/"):
        assert f"workbench/{part}" in paths


def test_its_files_are_laid_out_and_typed_as_ours(home: Path) -> None:
    files = [str(home / p) for p in examples()]
    run(home, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--ignore", "E501", *files)
    run(home, "-m", "mypy", "--cache-dir", str(home / "types"), *files)


def test_methods_are_listed_and_explained(home: Path) -> None:
    listed = workbench(home, "list")
    assert all(name.replace("_", "-") in listed or name in listed for name in METHODS)
    said = workbench(home, "info", "distance-correlation")
    assert "max_rows" in said and "Székely" in said


def test_the_command_line_asks_them(home: Path) -> None:
    script = home / "make.py"
    script.write_text(
        "import numpy as np, workbench as wb\n"
        "from workbench.subjects.adapter import Adapter\n"
        "rng = np.random.default_rng(0)\n"
        "x = rng.standard_normal((60, 3))\n"
        "np.save('x.npy', x); np.save('y.npy', x**2)\n"
        "t = np.arange(400) / 10\n"
        "import pandas as pd\n"
        "pd.DataFrame({'a': np.sin(t), 'b': np.cos(t) + rng.standard_normal(400)}).to_csv('two.csv', index=False)\n"
        "wb.Checkpoint.example().save('base.safetensors')\n"
        "Adapter.example().save('adapter')\n"
    )
    run(home, str(script))
    found = json.loads(workbench(home, "run", "distance-correlation", "x.npy", "y.npy", "--json"))
    assert found["evidence"][0]["value"] > 0.1 and "by order" in found["run"]["aligned"]
    assert (
        "largest squared coherence"
        in workbench(home, "run", "coherence", "two.csv", "--first", "b", "--second", "a").lower()
    )
    workbench(home, "run", "remove-leading", "base.safetensors", "--rank", "2", "--out", "less.safetensors")
    before = json.loads(
        workbench(home, "run", "singular-values", "base.safetensors", "--at", "w", "--json", "--n-null", "9")
    )
    after = json.loads(
        workbench(home, "run", "singular-values", "less.safetensors", "--at", "w", "--json", "--n-null", "9")
    )
    assert before["evidence"] != after["evidence"]
    found = json.loads(workbench(home, "run", "singular-values", "adapter", "--json", "--n-null", "9"))
    assert found["run"]["inputs"][0]["title"] == "adapter"
    workbench(home, "run", "column-formula", "planted-clusters", "--out", "formula")
    assert "<em>coordinate 1</em>" in (home / "formula" / "figure.html").read_text()
    kept = run(home, "-c", "import workbench as wb; print(wb.load('formula').kind)")
    assert kept.split()[-1] == "formula"


PANELS = """
import workbench as wb, widgets
from workbench.subjects.adapter import Adapter

acts = wb.Activations.example()
asked = {
    "distance_correlation": (acts.at("layer.0"), acts.at("layer.2")),
    "coherence": (wb.TimeSeries.example(),),
    "column_formula": (acts.at("layer.1"),),
    "remove_leading": (wb.Checkpoint.example(),),
    "singular_values": (Adapter.example(),),
}
for name, things in asked.items():
    panel = widgets.panel(name, *things)
    panel.run()
    assert panel.wait(120), name
    assert panel.error is None, (name, panel.error)
    assert panel.result is not None and panel.static_html(), name
    print(name, "ok")
"""


def test_panels_run_them(home: Path) -> None:
    assert run(home, "-c", PANELS).count(" ok") == 5


CELLS = (
    "# Everything at once",
    "import numpy as np, workbench as wb\n"
    "from workbench.core.evidence import Evidence\nfrom workbench.core.registry import analysis\n"
    "from workbench.results.estimate import Estimate\nfrom workbench.subjects.adapter import Adapter, Update",
    "acts = wb.Activations.example()\nwb.distance_correlation(acts.at('layer.0'), acts.at('layer.2')).show()",
    "wb.coherence(wb.TimeSeries.example()).show()",
    "wb.column_formula(acts.at('layer.1'), column='height').show()",
    "net = wb.Checkpoint.example()\n"
    "wb.singular_values((net + wb.remove_leading(net)).at('w'), n_null=9).show()",
    "@analysis\n"
    "def update_size(update: Update) -> Estimate:\n"
    "    'Say how large the update of a weight is beside the weight.'\n"
    "    value = np.linalg.norm(update.left @ update.right) / np.linalg.norm(update.weight)\n"
    "    asked = Evidence(id='size', question='How large?', label='size', value=value, n=update.weight.size, unit='numbers')\n"
    "    return Estimate(evidence=(asked,))\n"
    "wb.update_size(Adapter.example()).show()",
    "found = wb.Findings()\nfound",
)


def test_a_report_shows_them_and_is_reproduced(home: Path) -> None:
    path = notebook(home / "all.ipynb", *CELLS)
    workbench(home, "report", str(path), "-o", "reports/all.html")
    page = (home / "reports" / "all.html").read_text()
    manifest = json.loads((home / "reports" / "manifest.json").read_text())["reports"]["all.html"]
    methods = [r["run"]["method"] for r in manifest["results"]]
    assert methods == [
        "distance_correlation",
        "coherence",
        "column_formula",
        "singular_values",
        "update_size",
    ]
    assert "<em>coordinate 1</em>" in page and "by row id" in page and "remove_leading(" in page
    done = json.loads(workbench(home, "reproduce", "reports/all.html", "--json"))
    assert done["same"] and [r["verdict"] for r in done["results"]] == ["identical"] * 5


def test_the_conformance_suite_holds_for_them(home: Path) -> None:
    chosen = " or ".join([*METHODS, "formula", "Adapter", "fresh"])
    said = run(
        home,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_conformance.py",
        "-k",
        f"({chosen}) and not known_answer",
    )
    assert " failed" not in said and int(re.search(r"(\d+) passed", said).group(1)) > 40
