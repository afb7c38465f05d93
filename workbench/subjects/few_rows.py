"""The refusal of fewer rows than a picture of them takes, in the words of whoever gave them."""

from __future__ import annotations

from workbench.core.errors import DataError

FEWEST = 4
"""Rows that differ, under which they lie to each other in no way that could be another."""


def require_several(n: int, name: str) -> None:
    """Refuse fewer than `FEWEST` rows.

    Raises
    ------
    DataError
        With how many there are, and what to give.
    """
    if n < FEWEST:
        raise DataError(
            f"{name} has {n:,} {'row' if n == 1 else 'rows'}. A picture of how rows lie among each other takes {FEWEST} or more "
            "that differ: give a table with more lines, an array with more rows, or more texts (a .txt file has one a line)."
        )
