"""The built wheel works where there is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path) -> str:
    """Run a command as a user elsewhere would; return what it printed."""
    strange = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {k: v for k, v in os.environ.items() if k not in strange}
    environment |= {"WORKBENCH_CACHE": str(cwd / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a clean environment that holds the wheel.

    Its dependencies are this environment's, by a path that Python doesn't look for further .pth files in: so
    an editable installation here is not seen there.
    """
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    there = run(
        binaries / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    )
    (Path(there.strip()) / "dependencies.pth").write_text("\n".join(sorted(here)) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", binaries / "python", "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", "--no-compile", "--ignore-installed", wheel, cwd=folder)
    return binaries


def test_the_wheel_is_pure_and_holds_what_is_shipped(wheel: Path):
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert {name.split("/")[0].split("-")[0] for name in held} == {"workbench", "widgets"}
    tracked = subprocess.run(
        ["git", "ls-files", "workbench", "widgets", "notebooks"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    shipped = {f"workbench/{name}" if name.startswith("notebooks/") else name for name in tracked}
    assert "workbench/notebooks/atlas.ipynb" in held
    assert shipped - held == set()
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_it_is_the_wheel_that_is_imported(installed: Path, tmp_path: Path):
    where = "import json, workbench, widgets; print(json.dumps([workbench.__file__, widgets.__file__]))"
    for file in json.loads(run(installed / "python", "-c", where, cwd=tmp_path)):
        assert Path(file).is_relative_to(installed.parent)


def test_list(installed: Path, tmp_path: Path):
    listed = run(installed / "workbench", "list", cwd=tmp_path)
    assert "umap" in listed
    assert "persistence" in listed


def test_report(installed: Path, tmp_path: Path):
    run(installed / "workbench", "report", "atlas", "-p", "max_texts", "40", "-o", "out.html", cwd=tmp_path)
    assert "<html" in (tmp_path / "out.html").read_text(encoding="utf-8")[:1000].lower()
    assert (tmp_path / "manifest.json").exists()
    assert list(tmp_path.glob("*.ipynb"))
