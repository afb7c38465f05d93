"""From a folder that something was saved to, back to it."""

from __future__ import annotations

from pathlib import Path

from workbench.core import edit, result
from workbench.core.edit import Edit
from workbench.core.result import Result


def load(path: str | Path) -> Result | Edit:
    """Read a result or an edit that was saved to a folder (`Result.save`, `Edit.save`).

    Raises
    ------
    FormatError
        The folder is neither, or its parts don't fit together.
    """
    return edit.load(path) if edit.is_edit(path) else result.load(path)
