"""Correction for the number of questions asked."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from workbench.core.evidence import Evidence, finite
from workbench.core.history import Asked, asked, earlier
from workbench.core.kept_questions import Test
from workbench.core.lineage import part_asked
from workbench.core.result import Result
from workbench.numerics.multiplicity import hierarchical

LEVEL = 0.05
DRAWS = (99, 199, 399, 999, 1999, 3999, 9999)
"""Numbers of draws that are proposed where those that were made allow no smaller p-value."""


@dataclass(frozen=True)
class Finding:
    """One question after correction.

    Attributes
    ----------
    title, key, method, subject : of the result that asked it; all but the title are its run's, or "".
    q_value : the smallest level at which the null is rejected once corrected; None without a null.
    found : whether it is rejected at the level that was asked for.
    draws_needed : so many draws of the null (``n_null``) would have to be made where it isn't found and its p-value is the
        smallest that its draws allow; 0 where draws aren't what keeps it from being found. Where that is no more than its
        own draws, it is the other questions that are corrected with it that have too few.
    """

    title: str
    key: str
    method: str
    subject: str
    evidence: Evidence
    q_value: float | None
    found: bool
    draws_needed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, for the page and the manifest; of the null's draws it has the number."""
        e = self.evidence
        return {
            "title": self.title,
            "key": self.key,
            "method": self.method,
            "subject": self.subject,
            "id": e.id,
            "of": e.of,
            "question": e.question,
            "label": e.label,
            "value": finite(e.value),
            "interval": finite(e.interval),
            "conservative": e.conservative,
            "n": e.n,
            "unit": e.unit,
            "null": e.null,
            "null_details": e.null_details,
            "hypothesis": e.hypothesis,
            "untested": e.untested,
            "draws": len(e.null_values),
            "p": e.p_value,
            "q": self.q_value,
            "found": self.found,
            "draws_needed": self.draws_needed,
        }


class Counted(NamedTuple):
    """One p-value that counts in a correction.

    Attributes
    ----------
    family : the question, of a method: ``(method, id)``.
    answer : which answer of which run of it, so that what is asked again counts once.
    draws : behind the p-value. floor : the smallest p-value that they allow.
    """

    family: Hashable
    answer: Hashable
    p: float
    draws: int = 0
    floor: float = 0.0


def corrected(counted: Sequence[Counted]) -> np.ndarray:
    """Correct p-values together: questions first, then the answers to each, over layers, steps and tries.

    Of an answer that comes again (asked with more draws, or of a run that several reports share) the one from the most
    draws counts, or the last; all get its correction.

    Returns
    -------
    (k,) float64
        The smallest level at which each is rejected; see `workbench.numerics.multiplicity.hierarchical`.
    """
    place: dict[Hashable, int] = {}
    best: list[Counted] = []
    for c in counted:
        if c.answer not in place:
            place[c.answer] = len(best)
            best.append(c)
        elif c.draws >= best[place[c.answer]].draws:
            best[place[c.answer]] = c
    families = {f: i for i, f in enumerate(dict.fromkeys(c.family for c in best))}
    q = hierarchical(np.array([c.p for c in best]), np.array([families[c.family] for c in best], np.int64))
    return q[[place[c.answer] for c in counted]]


def draws_needed(counted: Sequence[Counted], q: np.ndarray, level: float) -> list[int]:
    """How many draws each would have to have made, where it isn't rejected and had no extreme draw; 0 for the others."""
    stuck = [c.p <= c.floor and not v <= level for c, v in zip(counted, q, strict=True)]
    needed = [0] * len(counted)
    for draws in DRAWS if any(stuck) else ():
        more = [
            c._replace(p=c.p * (c.draws + 1) / (draws + 1), draws=draws) if s and draws > c.draws else c
            for c, s in zip(counted, stuck, strict=True)
        ]
        for i, v in enumerate(corrected(more)):
            if stuck[i] and not needed[i] and v <= level:
                needed[i] = draws
    return needed


def correct(results: Iterable[Result | Asked] | None = None, *, level: float = LEVEL) -> list[Finding]:
    """Correct the p-values of all questions together, in two steps: questions, then their answers.

    All answers to one question of a method (over layers, steps, arms, other parameters) are a family. A family is
    selected by whether its question holds anywhere, then answers inside the selected ones at the level times the share of
    families that were selected. A page with many questions of which much is known makes no other claim easier.

    Parameters
    ----------
    results : whose questions; None for everything asked in this process, also what nobody looked at, and what other
        sessions asked of the same data (`workbench.core.history.earlier`), which is what makes the correction right.
    level : the chance, in (0, 1), that a question of which nothing holds is said to hold anywhere, and, on average over
        the questions that are said to, that something false is said of one.

    Returns
    -------
    list of Finding
        One an evidence, in order; those without a null have no q-value and are never ``found``. A test whose draws allow no
        p-value at the level is none: its evidence says so.

    References
    ----------
    Benjamini and Bogomolov 2014, Selective inference on multiple families of hypotheses, J. R. Stat. Soc. B 76; Simes 1986
    and Hochberg 1988, Biometrika 73 and 75.
    """
    before: tuple[Test, ...] = ()
    if results is None:
        past = earlier()
        before = past.tests if past.counted else ()
    wanted = asked() if results is None else results
    questions = [(r, _testable(r, e, level)) for r in wanted for e in r.evidence]
    tested = [i for i, (_, e) in enumerate(questions) if e.p_value is not None]
    counted = [_counted(*questions[i], i) for i in tested]
    counted += [Counted((t.method, t.id), (t.question, t.id, t.of), t.p, t.draws) for t in before]
    counted += _looked_at(questions)
    q = corrected(counted) if counted else np.empty(0)
    by_place = dict(zip(tested, zip(q, draws_needed(counted, q, level), strict=False), strict=False))
    return [_finding(r, e, by_place.get(i), level) for i, (r, e) in enumerate(questions)]


def _testable(r: Result | Asked, e: Evidence, level: float) -> Evidence:
    """The answer, without its test where the draws that were asked for allow no p-value at the level: it could say nothing.

    It goes by the draws that were asked for: a control may stop early because the p-value is surely large.
    """
    if e.p_value is None:
        return e
    draws = max(len(e.null_values), int((r.run.parameters if r.run else {}).get("n_null") or 0))
    floor = _floor(e, draws)
    if floor <= level:
        return e
    needed = next((n for n in (19, 39, *DRAWS) if _floor(e, n) <= level), DRAWS[-1])
    return e.without_test(f"{draws} draws allow no p-value below {floor:.2g} (n_null={needed} would)")


def _floor(e: Evidence, draws: int) -> float:
    return min(1.0, (2 if e.alternative == "two-sided" else 1) / (draws + 1))


def _looked_at(questions: Sequence[tuple[Result | Asked, Evidence]]) -> list[Counted]:
    """Parts whose number alone was asked for (``n_null=0``) before another part was tested: tests that found nothing.

    Who looks at a number along all layers and then tests the one where it is highest has tested them all.
    """
    seen: dict[Hashable, dict[str, Counted]] = {}  # by question of a whole: parts whose number is known
    tested: dict[Hashable, set[str]] = {}
    counted: dict[Hashable, dict[str, Counted]] = {}
    for r, e in questions:
        if r.run is None:
            continue
        whole, part = part_asked(r.run)
        question = (whole, e.id, e.of)
        if e.p_value is not None:
            tested.setdefault(question, set()).add(part)
            counted.setdefault(question, dict(seen.get(question, {})))
        elif r.run.parameters.get("n_null") == 0:
            answer = ("looked at", whole, part, e.id, e.of)
            seen.setdefault(question, {})[part] = Counted((r.run.method, e.id), answer, 1.0)
    return [c for q, parts in counted.items() for part, c in parts.items() if part not in tested[q]]


def _counted(r: Result | Asked, e: Evidence, place: int) -> Counted:
    assert e.p_value is not None
    question: Hashable = r.run.question if r.run else place
    draws = len(e.null_values)
    return Counted(
        (r.run.method if r.run else "", e.id),
        (question, e.id, e.of),
        e.p_value,
        draws,
        _floor(e, draws),
    )


def _finding(r: Result | Asked, e: Evidence, said: tuple[float, int] | None, level: float) -> Finding:
    q, needed = said or (None, 0)
    return Finding(
        title=r.title,
        key=r.run.key if r.run else "",
        method=r.run.method if r.run else "",
        subject=r.run.subject if r.run else "",
        evidence=e,
        q_value=None if q is None else float(q),
        found=q is not None and bool(q <= level),
        draws_needed=needed,
    )
