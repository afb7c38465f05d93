"""Several descents at the command line: trained, kept in one folder, opened again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import workbench as wb

Run = Callable[..., tuple[int, str, str]]


def test_siblings_are_kept_as_a_folder_of_recordings(run: Run) -> None:
    code, out, err = run("run", "digits-siblings", "--models", 2, "--steps", 5, "--width", 4, "--out", "kept")
    assert code == 0 and "2 descents of one task" in out, err
    assert sorted(p.name for p in Path("kept").iterdir()) == ["00", "01"]
    assert isinstance(wb.open("kept"), wb.Siblings)
    code, _, err = run("run", "pca", "kept")
    assert code == 3 and "2 descents of one task" in err and "It can give: Models" in err
