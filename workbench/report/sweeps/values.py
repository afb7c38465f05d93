"""The numbers by which a sweep's runs are compared, and which of them are named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from workbench.core.evidence import named, shared_label
from workbench.report.facts import Asked, Question, ReportFacts

MOST = 12  # columns shown if nobody names any; a table that is wider is read by nobody


class Key(NamedTuple):
    """What is compared alike by alike: a method's question, what of, and its place among those of its run."""

    method: str
    id: str
    of: str
    place: int

    @property
    def name(self) -> str:
        """What it is called at the command line."""
        return f"{self.method}:{named(self.id, self.of)}"


@dataclass(frozen=True)
class Value:
    """One number of one run, with its interval and its null."""

    id: str
    of: str
    label: str
    subject: str
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
    key : what it is. label : for people.
    question : what was asked, where all runs ask it in the same words; else empty.
    counted : whether nothing but its place among its like names it, as ``(2 of 6)``.
    """

    key: Key
    label: str
    question: str
    cells: tuple[Value | None, ...]
    counted: bool = False

    @property
    def name(self) -> str:
        """What it is called at the command line."""
        return self.key.name

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
    shown = {(r.run.key, e.id, e.of): e for r in said.results for e in r.evidence}
    counted = said.findings.questions if said.findings else ()
    known = {(q.key, q.id, q.of) for q in counted}
    every: list[tuple[str, str, Question | Asked, Asked | None]] = [
        (q.method, q.subject, q, shown.get((q.key, q.id, q.of))) for q in counted
    ]
    for r in said.results:
        rest = [e for e in r.evidence if (r.run.key, e.id, e.of) not in known]
        every += [(r.run.method, r.run.subject, e, e) for e in rest]
    found: dict[Key, Value] = {}
    seen: Counter[tuple[str, str, str]] = Counter()
    for method, subject, asked, evidence in every:
        question = (method, asked.id, asked.of)
        seen[question] += 1
        found[Key(*question, seen[question])] = _value(subject, asked, evidence)
    return found


def _value(subject: str, asked: Question | Asked, evidence: Asked | None) -> Value:
    return Value(
        asked.id,
        asked.of,
        asked.label,
        subject,
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
) -> tuple[list[Column], list[Column], list[str]]:
    """Return the columns that compare runs, those left out, and the names that none has.

    Parameters
    ----------
    names : see `matches`; without any, twelve: those in which the runs differ before others, those that more runs have,
        and one of each kind before a second.
    """
    keys = list(dict.fromkeys(k for run in runs for k in run))
    every = [_column(key, runs, keys) for key in keys]
    asked = list(names)
    if asked:
        chosen = [c for c in every if any(matches(c.key, name) for name in asked)]
        unknown = [name for name in asked if not any(matches(c.key, name) for c in every)]
    else:
        unknown = []
        ranked = sorted(range(len(keys)), key=lambda i: (not every[i].varies, -every[i].runs, keys[i].place))
        chosen = [every[i] for i in sorted(ranked[:MOST])]
    return chosen, [c for c in every if c not in chosen], unknown


def matches(key: Key, name: str) -> bool:
    """Whether a name means a column: ``id``, ``id@of``, ``method:id``, ``method:id@of``, or a pattern (``*``) for one."""
    name = name.casefold()
    own = (key.id, named(key.id, key.of))
    legal = {n.casefold() for n in (*own, *(f"{key.method}:{o}" for o in own))}
    return name in legal or any(fnmatchcase(n, name) for n in legal)


def _column(key: Key, runs: Sequence[dict[Key, Value]], keys: list[Key]) -> Column:
    cells = tuple(run.get(key) for run in runs)
    there = [c for c in cells if c is not None]
    many = sum(k[:3] == key[:3] for k in keys)
    subjects = {c.subject for c in there}
    counted = many > 1 and len(subjects) > 1
    label = f"{key.method}: {shared_label(there)}"
    if counted:
        label += f" ({key.place} of {many})"
    elif many > 1:  # it is of the same thing in all runs, which tells it from its like
        label += f", of {subjects.pop()}"
    asked = {c.question for c in there}
    return Column(key, label, asked.pop() if len(asked) == 1 else "", cells, counted)
