"""One question along an axis: many results, one curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.core.errors import DataError
from workbench.core.evidence import shared_label, words
from workbench.core.lineage import Origin, arm
from workbench.core.result import Result
from workbench.evidence.claims import of_networks
from workbench.results.curve import Curve


def along(
    results: Mapping[str, Result],
    ids: str | Sequence[str] | None = None,
    of: str | Sequence[str] = "",
    *,
    untrained: Sequence[Mapping[str, Result]] = (),
    x_title: str = "",
    title: str = "",
) -> Curve:
    """Draw answers of several results as curves with their intervals and the nulls' bands.

    Parameters
    ----------
    results : name on the axis (a layer, a step) to result, in order; all of one method.
    ids : which of the method's questions (see `Evidence`); None for all that the first result answers.
    of : what they are of, where the method asks them of several things; several are a curve each.
    untrained : the same of untrained networks (see `Network.untrained`), which stand in the place of the nulls.

    Returns
    -------
    Curve
        ``y`` (len(results), len(ids) * len(of)); the band is the middle 95 % of each null's draws, or where 95 % of further
        untrained networks would lie (of fewer than three: from the lowest to the highest). It asks nothing new, so it
        carries no evidence of its own.

    Raises
    ------
    DataError
        No results.
    MissingError
        A result has no such answer.
    """
    if not results:
        raise DataError("along needs at least one result; it was given none.")
    first = next(iter(results.values()))
    ofs = [of] if isinstance(of, str) else list(of)
    if ids is None:
        wanted = [(e.id, e.of) for e in first.evidence]
    else:
        wanted = [(i, o) for i in ([ids] if isinstance(ids, str) else ids) for o in ofs]
    grid = [[r.evidence_of(i, o) for i, o in wanted] for r in results.values()]
    interval = np.array([[e.interval or (np.nan, np.nan) for e in row] for row in grid])
    null = np.array([[_band(e.null_values) for e in row] for row in grid])
    if untrained:
        drawn = [[[one[n].evidence_of(i, o).value for one in untrained] for i, o in wanted] for n in results]
        null = np.array([[_untrained(np.array(values)) for values in row] for row in drawn])
    chosen = {
        "ids": ids if ids is None or isinstance(ids, str) else tuple(ids),
        "of": of if isinstance(of, str) else tuple(of),
    }
    chosen |= {"x_title": x_title, "title": title}
    arms = {arm(i, n): one[n] for i, one in enumerate(untrained, 1) for n in results}
    names = [shared_label(column) for column in zip(*grid, strict=True)]
    asked = ", ".join(dict.fromkeys(words(i) for i, _ in wanted))
    return Curve(
        x=np.arange(len(grid), dtype=np.float64),
        x_names=tuple(results),
        names=tuple(names),
        y=np.array([[e.value for e in row] for row in grid]),
        low=interval[..., 0],
        high=interval[..., 1],
        null_low=null[..., 0],
        null_high=null[..., 1],
        beside="untrained networks" if untrained else "null",
        x_title=x_title,
        y_title=names[0] if len(names) == 1 else asked,
        title=title or f"{', '.join(names)} along {x_title or 'the axis'}",
        space=first.space,
        run=Origin("along", {**results, **arms}, chosen, verb="arms" if arms else "dict").run(),
    )


def _band(values: Sequence[float]) -> tuple[float, float]:
    if not len(values):
        return np.nan, np.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _untrained(values: np.ndarray) -> tuple[float, float]:
    band = of_networks(values.tolist(), "untrained networks")
    return (band.low, band.high) if band else (float(values.min()), float(values.max()))


def side_by_side(
    groups: Mapping[str, Mapping[str, Result] | Curve],
    id: str,
    of: str = "",
    *,
    x_title: str = "",
    title: str = "",
) -> Curve:
    """Draw the answers to one question in several sets of results in one chart, each set a curve.

    Parameters
    ----------
    groups : name of a curve to its results, as `along` takes them or draws them; all with the same names on the axis.
    id, of : which question, and what of.

    Raises
    ------
    DataError
        The sets have other names on the axis.
    MissingError
        A result has no such answer.
    """
    curves = [g if isinstance(g, Curve) else along(g, id, of, x_title=x_title) for g in groups.values()]
    if len({c.x_names for c in curves}) != 1:
        raise DataError(
            f"side_by_side draws sets with the same names on the axis; {', '.join(groups)} have other ones."
        )
    joined: dict[str, Any] = {
        n: np.hstack([getattr(c, n) for c in curves]) for n in ("y", "low", "high", "null_low", "null_high")
    }
    titles = list(dict.fromkeys(c.y_title for c in curves))
    asked = titles[0] if len(titles) == 1 else words(id)
    chosen = {"id": id, "of": of, "x_title": x_title, "title": title}
    return dataclasses.replace(
        curves[0],
        names=tuple(groups),
        y_title=asked,
        run=Origin("side_by_side", dict(zip(groups, curves, strict=True)), chosen, verb="dict").run(),
        title=title or f"{asked} of {' and '.join(groups)}",
        **joined,
    )
