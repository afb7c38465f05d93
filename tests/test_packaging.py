"""What installs the workbench says one thing: pyproject, locks, environment, Makefile and README."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name: lines for name, lines in PROJECT["optional-dependencies"].items() if name != "all"}
# What a user's installation holds, and what only working on the workbench takes.
USED = [
    *PROJECT["dependencies"],
    *EXTRAS["topology"],
    *EXTRAS["networks"],
    *EXTRAS["ray"],
    *EXTRAS["expressions"],
    *EXTRAS["synthetic"],
]
EVERYTHING = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]


def requirements(*files: str) -> list[Requirement]:
    lines = [line for file in files for line in (ROOT / file).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def names(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


LOCKED = {canonicalize_name(r.name): r for r in requirements("requirements.lock", "requirements-nodeps.lock")}


def pin(locked: Requirement) -> str:
    """Return the one version that a locked requirement allows; a local one fits one kind of machine only."""
    exact = re.fullmatch(r"==([0-9][^+*,]*)", str(locked.specifier))
    return exact[1] if exact and not locked.url else ""


def test_every_version_is_pinned():
    assert [str(locked) for locked in LOCKED.values() if not pin(locked)] == []


def test_the_lock_satisfies_what_is_asked_for():
    unmet = []
    for wanted in map(Requirement, EVERYTHING):
        locked = LOCKED.get(canonicalize_name(wanted.name))
        fits = locked and wanted.specifier.contains(pin(locked)) and str(locked.marker) == str(wanted.marker)
        if not fits:
            unmet.append(f"{wanted} is locked as {locked}")
    assert not unmet, "run `make lock`"


def test_conda_users_get_what_pyproject_asks_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    options = [line for line in pip if line.startswith("-")]
    assert sorted(line for line in pip if line not in options) == sorted(EVERYTHING)
    assert options == ["-c requirements.lock", "-e ."]


def test_all_names_every_extra():
    assert set(Requirement(PROJECT["optional-dependencies"]["all"][0]).extras) == set(EXTRAS)


def imports(tree: ast.AST) -> Iterator[str]:
    """Names of the top-level modules that running the code can import, wherever the import stands."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for other in node.orelse:
                yield from imports(other)
        else:
            yield from imports(node)


def imported(*folders: str) -> set[str]:
    files = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    found = {name for path in files for name in imports(ast.parse(path.read_text(encoding="utf-8")))}
    return found - set(sys.stdlib_module_names) - {"workbench", "widgets"}


def test_what_is_imported_is_declared():
    holders = packages_distributions()
    declared = names(USED) | {canonicalize_name(r.name) for r in requirements("requirements-nodeps.lock")}
    declared.add("triton")  # comes with the builds of torch that can use it
    declared |= {"cuml", "cupy", "ripser", "ripserplusplus", "torchdr"}  # measured where they are there
    undeclared = {
        module
        for module in imported("workbench", "widgets")
        if declared.isdisjoint(canonicalize_name(holder) for holder in holders.get(module, [module]))
    }
    assert not undeclared, "add what holds it to pyproject.toml, then `make lock`"


def test_the_readme_opens_with_the_three_commands():
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:40])
    assert [
        c for c in ("make report", "make test", "make test-all", "make lab") if c not in first_screen
    ] == []


def test_the_documentation_maps_every_folder():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git here, so the folders that belong to the project aren't known")
    parents = {p for f in listed.stdout.splitlines() for p in map(str, Path(f).parents)} - {"."}
    folders = {
        p for p in parents if "/" not in p or p == "workbench/io/data" or re.fullmatch(r"workbench/\w+", p)
    }
    said = (ROOT / "docs" / "FOLDERS.md").read_text()
    assert [p for p in sorted(folders - {"workbench"}) if f"| `{p}/` |" not in said] == []


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # What the surrounding make hands down would be taken for this one's.
    environment = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_make_alone_lists_every_target():
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    listed = [line.split()[1] for line in make().stdout.splitlines()]
    assert sorted(listed) == sorted(targets[1].split())


def test_a_python_that_is_too_old_is_refused(tmp_path: Path):
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.10.4' && exit\nexit 1\n")
    old.chmod(0o755)
    refused = make("report", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert refused.returncode != 0
    assert f"needs Python 3.11 or newer, and {old} is Python 3.10.4" in refused.stderr
    assert not (tmp_path / "venv").exists()


def test_no_python_at_all_is_refused(tmp_path: Path):
    refused = make("test", "PYTHON=", f"VENV={tmp_path / 'venv'}")
    assert refused.returncode != 0
    assert "install it, or name it with make PYTHON=" in refused.stderr
    assert not (tmp_path / "venv").exists()
