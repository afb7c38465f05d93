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
