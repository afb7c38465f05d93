"""One memory for the tests of what is asked of it."""

from __future__ import annotations

from typing import Any

import pytest

import workbench as wb


@pytest.fixture(scope="package")
def memory() -> Any:
    return wb.ghost_memory(steps=100, width=96, blocks=5, keys=48)
