"""The numbers by which a sweep's runs are compared, and which of them are named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from workbench.core.evidence import monte_carlo_p, named, shared_label
from workbench.evidence.correction import Counted, corrected
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
    """One number of one run, with its interval and its null.

    Attributes
    ----------
    key : of the run that answered it. p, q : as it came, and corrected; None without a null.
    draws : behind the p-value.
    """

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
    key: str
    p: float | None
    draws: int
    q: float | None = None


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
    every: list[tuple[str, str, str, Question | Asked, Asked | None]] = [
        (q.method, q.subject, q.key, q, shown.get((q.key, q.id, q.of))) for q in counted
    ]
    for r in said.results:
        rest = [e for e in r.evidence if (r.run.key, e.id, e.of) not in known]
        every += [(r.run.method, r.run.subject, r.run.key, e, e) for e in rest]
    found: dict[Key, Value] = {}
    seen: Counter[tuple[str, str, str]] = Counter()
    for method, subject, key, asked, evidence in every:
        question = (method, asked.id, asked.of)
        seen[question] += 1
        found[Key(*question, seen[question])] = _value(subject, key, asked, evidence)
    return found


def corrected_together(runs: Sequence[dict[Key, Value]]) -> list[dict[Key, Value]]:
    """Return the numbers of several reports with their p-values corrected for all that all of them asked.

    What several reports asked alike, the same run, counts once.
    """
    tested = [(i, k, v) for i, run in enumerate(runs) for k, v in run.items() if v.p is not None]
    counted = [
        Counted((k.method, k.id), (v.key or (i, k), k.id, k.of), v.p, v.draws)
        for i, k, v in tested
        if v.p is not None
    ]
    made = [dict(run) for run in runs]
    for (i, k, v), q in zip(tested, corrected(counted) if counted else (), strict=True):
        made[i][k] = replace(v, q=float(q))
    return made


def _value(subject: str, key: str, asked: Question | Asked, evidence: Asked | None) -> Value:
    p, draws = (asked.p, asked.draws) if isinstance(asked, Question) else _test(asked)
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
        key,
        p if p is None or 0 < p <= 1 else None,
        draws,
    )


def _test(asked: Asked) -> tuple[float | None, int]:
    """P-value and draws of an answer that no findings counted."""
    draws = [math.nan if v is None else v for v in asked.null_values]
    if not draws:
        return None, 0
    return monte_carlo_p(math.nan if asked.value is None else asked.value, draws, asked.alternative), len(
        draws
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
