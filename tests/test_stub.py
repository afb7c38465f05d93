"""The stub says what the package is, so that an editor and a type checker see its names."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

ROOT = Path(__file__).parent.parent


def test_the_stub_is_what_the_script_would_write() -> None:
    spec = importlib.util.spec_from_file_location("make_stub", ROOT / "scripts" / "make_stub.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = Path(workbench.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    assert script.stub() == written, "run: python scripts/make_stub.py"


@pytest.mark.slow
def test_a_type_checker_sees_parameters_and_kinds(tmp_path: Path) -> None:
    code = tmp_path / "uses.py"
    code.write_text(
        "import numpy as np\nimport workbench as wb\n"
        "reveal_type(wb.umap(np.ones((9, 2)), n_neighbors=5))\n"
        "wb.umap(np.ones((9, 2)), n_neighbours=5)\n"
        "wb.persistence(np.ones((9, 2)), n_null='many')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(code)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": "", "MYPYPATH": str(ROOT), "PATH": ""},
    )
    lines = done.stdout.splitlines()
    assert any(
        'uses.py:3: note: Revealed type is "workbench.results.embedding.Embedding"' in x for x in lines
    )
    assert [int(x.split(":")[1]) for x in lines if ": error:" in x and "uses.py" in x] == [4, 5], done.stdout
