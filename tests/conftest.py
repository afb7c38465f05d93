"""Every test gets a cache of its own; nothing reaches the user's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent))  # tests import `helpers`


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A result cache for one test."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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
