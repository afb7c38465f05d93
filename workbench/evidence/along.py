"""One statistic along an axis: many results, one curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.core.errors import DataError, MissingError, suggest
from workbench.core.evidence import Evidence
from workbench.core.result import Result
from workbench.results.curve import Curve


def along(
    results: Mapping[str, Result],
    statistics: str | Sequence[str] | None = None,
    *,
    x_title: str = "",
    title: str = "",
) -> Curve:
    """Draw statistics of several results as curves with their intervals and the nulls' bands.

    Parameters
    ----------
    results : name on the axis (a layer, a step) to result, in order; all of one method.
    statistics : which of the evidence's statistics; None for all that the first result has.

    Returns
    -------
    Curve
        ``y`` (len(results), len(statistics)); the band is the middle 95 % of each null's draws. It asks
        nothing new, so it carries no evidence of its own.

    Raises
    ------
    DataError
        No results.
    MissingError
        A result has no such statistic.
    """
    if not results:
        raise DataError("along needs at least one result; it was given none.")
    first = next(iter(results.values()))
    names = (
        [e.statistic for e in first.evidence]
        if statistics is None
        else [statistics]
        if isinstance(statistics, str)
        else list(statistics)
    )
    grid = [[evidence_of(r, s) for s in names] for r in results.values()]
    interval = np.array([[e.interval or (np.nan, np.nan) for e in row] for row in grid])
    null = np.array(
        [
            [np.quantile(e.null_values, [0.025, 0.975]) if e.null_values else (np.nan, np.nan) for e in row]
            for row in grid
        ]
    )
    return Curve(
        x=np.arange(len(grid), dtype=np.float64),
        x_names=tuple(results),
        names=tuple(names),
        y=np.array([[e.value for e in row] for row in grid]),
        low=interval[..., 0],
        high=interval[..., 1],
        null_low=null[..., 0],
        null_high=null[..., 1],
        x_title=x_title,
        y_title=names[0] if len(names) == 1 else _shared(names),
        title=title or f"{', '.join(names)} along {x_title or 'the axis'}",
        space=first.space,
        sources=tuple(r.run for r in results.values() if r.run),
    )


def _shared(names: Sequence[str]) -> str:
    """What several statistics have in common before their brackets, or the lot of them."""
    heads = {n.split(" (")[0] for n in names}
    return heads.pop() if len(heads) == 1 else ", ".join(n.split(" (")[0] for n in names)


def side_by_side(
    groups: Mapping[str, Mapping[str, Result]], statistic: str, *, x_title: str = "", title: str = ""
) -> Curve:
    """Draw one statistic of several sets of results in one chart, each set a curve.

    Parameters
    ----------
    groups : name of a curve to its results, as `along` takes them; all with the same names on the axis.

    Raises
    ------
    DataError
        The sets have other names on the axis.
    """
    curves = [along(g, statistic, x_title=x_title) for g in groups.values()]
    if len({c.x_names for c in curves}) != 1:
        raise DataError(
            f"side_by_side draws sets with the same names on the axis; {', '.join(groups)} have other ones."
        )
    joined: dict[str, Any] = {
        n: np.hstack([getattr(c, n) for c in curves]) for n in ("y", "low", "high", "null_low", "null_high")
    }
    return dataclasses.replace(
        curves[0],
        names=tuple(groups),
        y_title=statistic,
        sources=tuple(r for c in curves for r in c.sources),
        title=title or f"{statistic} of {' and '.join(groups)}",
        **joined,
    )


def evidence_of(result: Result, statistic: str) -> Evidence:
    """Return a result's evidence for a statistic by name."""
    for e in result.evidence:
        if e.statistic == statistic:
            return e
    raise MissingError(
        f"{result.title} has no statistic {statistic!r}. {suggest(statistic, [e.statistic for e in result.evidence])}"
    )
