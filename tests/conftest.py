"""Every test gets a cache of its own; nothing reaches the user's."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent))  # tests import `helpers`


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A result cache for one test."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def methods_of_its_own() -> Iterator[None]:
    """What a test defines with ``@analysis`` is known only while it runs."""
    from workbench.core.registry import DEFINED

    before = dict(DEFINED)
    yield
    DEFINED.clear()
    DEFINED.update(before)


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ten facts, and a network that was taught to read them: by the first worker that asks, for all of them."""
    from filelock import FileLock

    import workbench as wb

    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared
    folder = shared / "ghost memory"
    with FileLock(shared / "ghost memory.lock"):
        if not folder.exists():
            wb.ghost_memory(steps=80, width=64, blocks=5, keys=48).save(folder)
    return wb.open(folder)


@pytest.fixture(scope="session")
def small_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a notebook with linked figures, findings, tables and hostile text."""
    from notebooks_for_tests import HOSTILE, notebook

    from workbench.report import report

    folder = tmp_path_factory.mktemp("small")
    path = notebook(
        folder / "small.ipynb",
        f"# A small report\n\nWith {HOSTILE} in it.",
        f"import numpy as np, pandas as pd, workbench as wb\nhostile = {HOSTILE!r}\n"
        "cloud = wb.circle(n=n, noise=0.05, dimensions=5)\n"
        "table = cloud.table.assign(kind=np.where(cloud.table.angle > 3, hostile, 'low'), words=hostile)\n"
        "cloud = wb.PointCloud(cloud.values, name=f'circle {hostile}', table=table)",
        "## A figure",
        "flat = wb.pca(cloud, n_null=19, n_boot=19)\nflat.show(color='kind')",
        "## Another figure of the same rows",
        "wb.pca(cloud, n_null=19, n_boot=19, whiten=True)",
        "table.head(3)",
        "print(hostile)",
        "found = wb.Findings()\nfound.say('The plane', flat, 'variance_explained')\nfound",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_CACHE", str(folder / "cache"))
        return report(path, {"n": 90}, folder / "out" / "small.html")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with the files that hold slow tests, so that none is left with one at the end."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadfile`` a file's tests stay in one worker, which sets up once what they share; of
    conformance, where every method's answers are shared, a method's do."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByFileOrMethod(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            method = re.search(r"\[(\w+)", test) if file.endswith("test_conformance.py") else None
            return f"{file}::{method[1]}" if method else file

    return ByFileOrMethod(config, log)
