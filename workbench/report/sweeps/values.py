"""The numbers by which a sweep's runs are compared, and which of them are named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from workbench.report.facts import Asked, Question, ReportFacts

MOST = 12  # columns shown if nobody names any; a table that is wider is read by nobody

Key = tuple[str, str, int]
"""Method, statistic, and the how manieth of this kind in its run, so that runs are compared alike by alike."""


@dataclass(frozen=True)
class Value:
    """One number of one run, with its interval and its null."""

    title: str
    question: str
    value: float | None
    interval: tuple[float, float] | None
    null: tuple[float, float] | None
    null_words: str
    n: int
    unit: str
    q: float | None


@dataclass(frozen=True)
class Column:
    """One number in all runs.

    Attributes
    ----------
    question : what was asked, where all runs ask it in the same words; else empty.
    counted : whether nothing but its place among its like names it, as ``(2 of 6)``.
    """

    label: str
    question: str
    cells: tuple[Value | None, ...]
    counted: bool = False

    @property
    def varies(self) -> bool:
        """Whether the runs differ in it."""
        return len({c.value for c in self.cells if c is not None}) > 1

    @property
    def runs(self) -> int:
        """How many runs have it."""
        return sum(c is not None for c in self.cells)


def of(said: ReportFacts) -> dict[Key, Value]:
    """Every number of a report: those its findings count, then those of other results that it shows."""
    shown = {(r.run.key, e.statistic): e for r in said.results for e in r.evidence}
    counted = said.findings.questions if said.findings else ()
    rest = [
        (r.title, e)
        for r in said.results
        for e in r.evidence
        if (r.run.key, e.statistic) not in {(q.key, q.statistic) for q in counted}
    ]
    found: dict[Key, Value] = {}
    seen: Counter[tuple[str, str]] = Counter()
    every: list[tuple[str, Question | Asked, Asked | None]] = [
        *((q.title, q, shown.get((q.key, q.statistic))) for q in counted),
        *((title, e, e) for title, e in rest),
    ]
    for title, asked, evidence in every:
        kind = (title.split(" of ")[0], asked.statistic)
        seen[kind] += 1
        found[*kind, seen[kind]] = _value(title, asked, evidence)
    return found


def _value(title: str, asked: Question | Asked, evidence: Asked | None) -> Value:
    return Value(
        title,
        asked.question,
        asked.value,
        _pair(asked.interval),
        _null(evidence),
        asked.null,
        asked.n,
        asked.unit,
        asked.q if isinstance(asked, Question) else None,
    )


def _pair(interval: tuple[float | None, float | None] | None) -> tuple[float, float] | None:
    if interval is None or interval[0] is None or interval[1] is None:
        return None
    return interval[0], interval[1]


def _null(evidence: Asked | None) -> tuple[float, float] | None:
    """The middle 95 % of the null draws."""
    draws = [v for v in (evidence.null_values if evidence else ()) if v is not None and math.isfinite(v)]
    if not draws:
        return None
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def columns(
    runs: Sequence[dict[Key, Value]], names: Iterable[str] = ()
) -> tuple[list[Column], list[str], list[str]]:
    """Return the columns that compare runs, the labels of those left out, and the names that none has.

    Parameters
    ----------
    names : what a column's label or statistic is or has in it, or a pattern (``*``) for them; without any, twelve:
        those in which the runs differ before others, those that more runs have, and one of each kind before a second.
    """
    keys = list(dict.fromkeys(k for run in runs for k in run))
    every = [_column(key, runs, keys) for key in keys]
    asked = list(names)
    if asked:
        chosen = [c for c in every if any(matches(c.label, name) for name in asked)]
        unknown = [name for name in asked if not any(matches(c.label, name) for c in every)]
    else:
        unknown = []
        ranked = sorted(range(len(keys)), key=lambda i: (not every[i].varies, -every[i].runs, keys[i][2]))
        chosen = [every[i] for i in sorted(ranked[:MOST])]
    left = [c.label for c in every if c not in chosen]
    return chosen, left, unknown


def matches(label: str, name: str) -> bool:
    """Whether a name or pattern means a column."""
    label, name = label.casefold(), name.casefold()
    return name in label or fnmatchcase(label, name) or fnmatchcase(label.rpartition(": ")[2], name)


def _column(key: Key, runs: Sequence[dict[Key, Value]], keys: list[Key]) -> Column:
    cells = tuple(run.get(key) for run in runs)
    there = [c for c in cells if c is not None]
    many = sum(k[:2] == key[:2] for k in keys)
    titles = {c.title for c in there}
    counted = many > 1 and len(titles) > 1
    if many > 1 and not counted:  # it is of the same thing in all runs, which tells it from its like
        label = f"{titles.pop()}: {key[1]}"
    else:
        label = f"{key[0]}: {key[1]}" + (f" ({key[2]} of {many})" if counted else "")
    asked = {c.question for c in there}
    return Column(label, asked.pop() if len(asked) == 1 else "", cells, counted)
