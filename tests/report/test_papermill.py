"""The notebooks run under papermill as they are: another runner than our own, without a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SMALL = {
    "atlas": {"max_texts": 60, "max_rows": 240},
    "decompress": {"max_texts": 5, "n_null": 19},
    "tethers": {"models": 2, "width": 8, "depth": 1, "steps": 20, "rounds": 2, "repeats": 3},
    "undo": {"width": 32, "steps": 20, "step": 0.25, "n_null": 19},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_runs_with_parameters_to_its_end(name: str, tmp_path: Path) -> None:
    out = tmp_path / f"{name}.ipynb"
    given = [x for key, value in SMALL[name].items() for x in ("-p", key, str(value))]
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(NOTEBOOKS / f"{name}.ipynb"),
        str(out),
        "--no-progress-bar",
        *given,
    ]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    ran = nbformat.read(out, as_version=4)
    outputs = [o for c in ran.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert any("text/html" in o.get("data", {}) for o in outputs)
    injected = [c.source for c in ran.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert len(injected) == 1 and all(key in injected[0] for key in SMALL[name])
