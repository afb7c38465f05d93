"""Compiled code is kept for the next process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from workbench.numerics.compiling import compiled_code_kept

ROOT = Path(__file__).parent.parent.parent
TWICE = "import numba\n\n@numba.njit\ndef twice(x):\n    return 2 * x\n"
CALL = """
from workbench.numerics.compiling import compiled_code_kept
with compiled_code_kept():
    import compiled_here
assert compiled_here.twice(21) == 42
print(sum(compiled_here.twice.stats.cache_hits.values()), sum(compiled_here.twice.stats.cache_misses.values()))
"""


def run(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "NUMBA_CACHE_DIR": str(folder / "kept")}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    (tmp_path / "compiled_here.py").write_text(TWICE)
    assert run(CALL, tmp_path) == "0 1"
    assert list((tmp_path / "kept").rglob("*.nbi"))
    assert run(CALL, tmp_path) == "1 0"


def test_numba_is_put_back() -> None:
    plain = numba.njit
    with compiled_code_kept():
        assert numba.njit is not plain
    with pytest.raises(RuntimeError), compiled_code_kept():
        raise RuntimeError
    assert numba.njit is plain


@pytest.mark.slow
def test_umap_is_imported_with_its_code_kept_and_without_a_warning() -> None:
    from workbench.numerics.compiling import import_umap

    umap = import_umap()
    assert import_umap() is umap
    code = (
        "from workbench.numerics.compiling import import_umap\n"
        "umap = import_umap()\n"
        "print(type(umap.umap_.smooth_knn_dist._cache).__name__, type(umap.layouts.rdist._cache).__name__)"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert found.stdout.split() == ["FunctionCache", "FunctionCache"]


def test_code_that_is_older_than_its_source_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "compiled_here.py").write_text(TWICE)
    ask = (
        CALL.split("assert")[0]
        + "from workbench.numerics.compiling import kept\nprint(kept(compiled_here.twice))"
    )
    assert run(ask, tmp_path) == "False"
    run(CALL, tmp_path)
    assert run(ask, tmp_path) == "True"
    later = (tmp_path / "compiled_here.py").stat().st_mtime + 1000
    os.utime(tmp_path / "compiled_here.py", (later, later))
    assert run(ask, tmp_path) == "False"
