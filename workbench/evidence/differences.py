"""Differences between the beginning and the end of what one result follows."""

from __future__ import annotations

from workbench.core.result import Result


def since(result: Result | None, of: str = "", *, id: str = "change") -> str:
    """Say in a sentence how a number changed, to stand as the meaning of what it is now.

    Parameters
    ----------
    result : one that follows something over steps and answers how it changed. "" is returned where there is none, or
        where it looked at a single step and has no change.
    id, of : which of its answers that is.
    """
    if result is None or all(e.id != id for e in result.evidence):
        return ""
    change = result.evidence_of(id, of)
    low, high = change.interval or (change.value, change.value)
    way = "fell" if high < 0 else "rose" if low > 0 else "neither fell nor rose beyond its interval"
    return f"From the first step to the last it {way}: {change.quote()}, a change that has no control of its own here."
