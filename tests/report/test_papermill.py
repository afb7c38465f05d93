"""The notebooks run under papermill as they are: another runner than our own, without a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SMALL = {
    "atlas": {"max_texts": 40, "max_rows": 120, "untrained": 1},
    "decompress": {"network": "glassllm-en", "max_texts": 5, "n_null": 19},
    "geometry": {
        "kinds": "tropical",
        "steps": 3,
        "width": 16,
        "layers": 1,
        "length": 12,
        "texts": 2,
        "repeats": 1,
        "text": "language",
    },
    "geometry_tour": {
        "kind": "ultrametric",
        "steps": 3,
        "width": 16,
        "layers": 1,
        "length": 12,
        "texts": 2,
        "slices": 2,
        "text": "language",
    },
    "ghost": {
        "steps": 4,
        "width": 32,
        "layers": 5,
        "memory_steps": 10,
        "memory_width": 32,
        "more_facts": 2,
        "temperatures": "1",  # papermill makes a number of it
        "gates": "0,8",
        "encoder": "",
        "n_null": 19,
        "length": 12,
    },
    "medusa": {"generations": 0, "steps": 300, "slices": 3, "repeats": 3, "n_null": 19},
    "tethers": {
        "models": 2,
        "width": 8,
        "depth": 1,
        "steps": 20,
        "within": "fisher,magnitude",
        "between": "magnitude,movement",
        "untrained": 2,
        "rounds": 2,
        "repeats": 3,
        "n_null": 19,
    },
    "undo": {"width": 32, "steps": 20, "step": 0.25, "n_null": 19},
}


def executed(name: str, parameters: dict[str, object], folder: Path, **environment: str) -> Any:
    """A notebook that papermill ran to its end."""
    out = folder / f"{name}.ipynb"
    given = [x for key, value in parameters.items() for x in ("-p", key, str(value))]
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(NOTEBOOKS / f"{name}.ipynb"),
        str(out),
        "--no-progress-bar",
        *given,
    ]
    variables = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **environment}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return nbformat.read(out, as_version=4)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_runs_with_parameters_to_its_end(name: str, tmp_path: Path) -> None:
    ran = executed(name, SMALL[name], tmp_path)
    outputs = [o for c in ran.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert any("text/html" in o.get("data", {}) for o in outputs)
    injected = [c.source for c in ran.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert len(injected) == 1 and all(key in injected[0] for key in SMALL[name])


@pytest.mark.slow
def test_without_the_packages_of_an_extra_its_sections_are_left_out(tmp_path: Path) -> None:
    """python-flint, pyoperon and z3 are hidden from every process: formulas and laws aren't asked, and the rest is."""
    hidden = "import sys\nfor name in ('flint', 'pyoperon', 'z3'):\n    sys.modules[name] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hidden, encoding="utf-8")
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    ran = executed("decompress", SMALL["decompress"], tmp_path, PYTHONPATH=paths, WORKBENCH_NO_CACHE="1")
    said = [o.get("text", "") for c in ran.cells if c.cell_type == "code" for o in c.outputs]
    assert sum("Not asked: Canonical forms need python-flint" in text for text in said) == 1
    assert sum("Not asked: Evolving forms needs pyoperon" in text for text in said) >= 1
    assert any("text/html" in o.get("data", {}) for o in ran.cells[-1].outputs)  # the findings
