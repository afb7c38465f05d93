"""Differences between the beginning and the end of what one result follows."""

from __future__ import annotations

import numpy as np

from workbench.core.result import Result

LEVEL = 0.05


def since(result: Result | None, of: str = "", *, id: str = "change") -> str:
    """Say in a sentence how a number changed, and whether by more than its control did, to stand as the meaning of what it is now.

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
    said = f"From the first step to the last it {way}: {change.quote()}"
    p = change.p_value
    if p is None:
        return f"{said}, a change that has no control of its own here."
    if p > LEVEL:
        return f"{said}, a change that isn't told from that with {change.null}."
    beside = "lower" if change.value < np.median(change.null_values) else "higher"
    return f"{said}, a change that is {beside} than with {change.null}."
