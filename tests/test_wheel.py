"""The built wheel works where there is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def asked_for_by(wheel: Path) -> list[str]:
    """The wheel's own Requires-Dist lines."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(metadata)).get_all("Requires-Dist") or []


def closure(lines: list[str]) -> set[str]:
    """Names of the distributions that an installer would bring for these requirements."""
    todo, found = [(line, "") for line in lines], set[tuple[str, str]]()
    while todo:
        line, extra = todo.pop()
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            continue
        for one in {"", *wanted.extras}:
            if (wanted.name, one) not in found:
                found.add((wanted.name, one))
                todo += [(further, one) for further in distribution(wanted.name).requires or ()]
    return {canonicalize_name(name) for name, _ in found}


def installed_as(name: str) -> set[Path]:
    """The files and folders in site-packages that a distribution consists of."""
    held = distribution(name)
    tops = {file.parts[0] for file in held.files or ()} - {"..", "__pycache__"}
    return {Path(str(held.locate_file(top))) for top in tops}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a clean environment that holds the wheel and what the wheel asks for, and nothing else.

    What the metadata name, and what that names in its turn, is linked from this environment and not installed
    anew: a requirement that the wheel forgets is missing there, as it would be on another machine.
    """
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    there = Path(run(binaries / "python", "-c", where, cwd=folder).strip())
    for name in sorted(closure(asked_for_by(wheel))):
        for source in installed_as(name):
            link = there / source.name
            if not link.is_symlink():
                link.symlink_to(source)
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


def test_what_only_a_developer_has_is_not_there(installed: Path, tmp_path: Path):
    code = "import importlib.util as u; print([m for m in ('pytest', 'ruff', 'gtda', 'igraph') if u.find_spec(m)])"
    assert run(installed / "python", "-c", code, cwd=tmp_path).strip() == "[]"


def test_list(installed: Path, tmp_path: Path):
    listed = run(installed / "workbench", "list", cwd=tmp_path)
    assert "umap" in listed
    assert "persistence" in listed


def test_report(installed: Path, tmp_path: Path):
    small = {"max_texts": 20, "max_rows": 100, "untrained": 1}
    given = [x for name, value in small.items() for x in ("-p", name, value)]
    run(installed / "workbench", "report", "atlas", *given, "-o", "out.html", cwd=tmp_path)
    assert "<html" in (tmp_path / "out.html").read_text(encoding="utf-8")[:1000].lower()
    assert (tmp_path / "manifest.json").exists()
    assert list(tmp_path.glob("*.ipynb"))
