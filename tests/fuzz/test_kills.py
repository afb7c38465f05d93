"""SIGKILL at random moments of what takes long; `killing` as a script tries as many as one likes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from killing import VERBS, survive_kills


KILLS = {"report": 3, "sweep": 3}
"""Of those that start kernels, which takes most of ten seconds each time; of the others 4."""


@pytest.mark.slow
@pytest.mark.parametrize("name", VERBS)
def test_nothing_is_lost_and_it_ends_the_same(name: str, tmp_path: Path) -> None:
    out = survive_kills(name, KILLS.get(name, 4), 30, tmp_path / "kills")
    assert out.faults == []
    assert out.within > 0
