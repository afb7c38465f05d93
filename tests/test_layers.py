"""Imports point one way: core, numerics, recording, the families, report, commands, cli; widgets on top."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FAMILIES = {"io", "capturing", "models", "sources", "analyses", "evidence", "edits"}
RANK = {
    "core": 0,
    "numerics": 1,
    "subjects": 2,
    "results": 2,
    "recording": 3,  # beneath the families: what trains, records, and what opens files opens recordings
    **dict.fromkeys(FAMILIES, FAMILY := 4),
    "report": 5,
    "benchmarks": 5,
    "commands": 6,
    "cli": 7,
}
FILES = sorted((ROOT / "workbench").rglob("*.py"))


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    own = layer(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if own not in RANK:  # the package's own __init__ resolves names lazily
        return
    for module in imports(path):
        assert not module.startswith("widgets"), f"{path} imports {module}"
        if not module.startswith("workbench."):
            continue
        other = layer(module)
        assert RANK[other] <= RANK[own], f"{own} may not import {module}"
        assert RANK[other] != FAMILY or other == own or RANK[own] > FAMILY, (
            f"{own} may not import sideways from {module}"
        )
        if own == "analyses" and other == "analyses":
            assert module.split(".")[2] == path.relative_to(ROOT).parts[2], (
                f"{path} imports another family's {module}"
            )


def test_importing_the_package_is_light() -> None:
    import subprocess
    import sys

    code = "import sys, workbench; print([m for m in ('torch', 'umap', 'numpy', 'pandas', 'plotly') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
