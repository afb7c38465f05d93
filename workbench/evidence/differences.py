"""Differences: between two answers, and between the beginning and the end of what one result follows."""

from __future__ import annotations

import numpy as np

from workbench.core.evidence import Evidence
from workbench.core.result import Result

LEVEL = 0.05  # at which an interval misses


def difference(a: Evidence, b: Evidence, *, among: int = 1) -> Evidence:
    """By how much one estimate exceeds another, with an interval that needs no more than both of theirs.

    It holds for estimates that err independently and is wider than need be where they err alike, as those of
    the same rows do.

    Parameters
    ----------
    among : how many such differences are asked about together; their intervals cover all of them at 95 % (Bonferroni).

    References
    ----------
    Zou and Donner 2008, Construction of confidence limits about effect measures: a general approach, Statist.
    Med. 27.
    """
    from scipy.special import ndtri

    interval = None
    if a.interval is not None and b.interval is not None:
        wider = ndtri(1 - LEVEL / 2 / among) / ndtri(1 - LEVEL / 2)
        below = wider * np.hypot(a.value - a.interval[0], b.interval[1] - b.value)
        above = wider * np.hypot(a.interval[1] - a.value, b.value - b.interval[0])
        interval = (a.value - b.value - below, a.value - b.value + above)
    together = f", for {among} differences together" if among > 1 else ""
    return Evidence(
        id="difference",
        of=a.name,
        question=f"Is the {a.label} higher?",
        label=f"difference in {a.label}",
        value=a.value - b.value,
        n=min(a.n, b.n),
        unit=a.unit,
        interval=interval,
        interval_method=f"from the intervals of both{together}",
        untested="the interval of a difference says whether it excludes 0",
    )


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
