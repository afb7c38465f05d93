"""Answers side by side: what was set differently, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from widgets import _html
from workbench.core.evidence import Evidence, shared_label
from workbench.core.result import Result

SAME = "The settings are the same."


def comparison(answers: Mapping[int, Result]) -> str:
    """Return a table with a column an answer (by its number): the settings that differ, then every number."""
    results = list(answers.values())
    settings = [{"of": r.run.subject, **r.run.parameters} if r.run else {} for r in results]
    names = list(dict.fromkeys(n for s in settings for n in s))
    rows: list[list[Any]] = [
        [name, *(s.get(name, "") for s in settings)]
        for name in names
        if len({repr(s.get(name)) for s in settings}) > 1
    ]
    said = "" if rows or len(results) < 2 else f"<p>{SAME}</p>"
    found = [{(e.id, e.of): e for e in r.evidence} for r in results]
    for asked in dict.fromkeys(key for each in found for key in each):
        answered = [each.get(asked) for each in found]
        rows.append([shared_label(e for e in answered if e), *map(_number, answered)])
    seconds = [f"{r.run.seconds:.2f} s" if r.run else "" for r in results]
    return said + _html.table(["", *(f"answer {k}" for k in answers)], [*rows, ["time", *seconds]])


def _number(e: Evidence | None) -> str:
    if e is None:
        return ""
    return f"{e.value:.4g}" + (f" ({e.interval[0]:.3g} to {e.interval[1]:.3g})" if e.interval else "")
