"""Findings: plain sentences made from results, each with its number, interval and null, corrected together."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import MissingError, suggest
from workbench.core.evidence import Evidence
from workbench.core.history import Earlier, earlier
from workbench.core.result import Result
from workbench.evidence.correction import LEVEL, Finding, correct
from workbench.evidence.highest import possibly_highest
from workbench.evidence.nulls.untrained import beside_untrained
from workbench.numerics.multiplicity import hochberg

FINDINGS_MIME = "application/vnd.workbench.findings+json"

UNTOLD_FROM_UNTRAINED = "Nothing is claimed of these, in which the network isn't told from untrained ones"
UNTOLD_FROM_CONTROL = "Nothing is claimed of these, which aren't told from their controls"
LESS, MORE, ALIKE = (
    "lower than with {null}",
    "higher than with {null}",
    "not shown to differ from that with {null}",
)
MOST_NAMED = 4
"""So many names are listed of those that can't be told apart; of more, their number."""


class Statement(NamedTuple):
    """A claim, the numbers that it rests on, and what they mean."""

    claim: str
    numbers: tuple[str, ...]
    meaning: str

    @property
    def text(self) -> str:
        """All of it, as a sentence or two."""
        return f"{self.claim}: {'; '.join(self.numbers)}.{' ' * bool(self.meaning)}{self.meaning}"


@dataclass(frozen=True, eq=False)
class _Contrast:
    """A claim that holds only where untrained networks differ from the network."""

    what: str
    less: str
    more: str
    at: str
    meaning: str
    answer: Evidence
    gaps: Mapping[str, float]
    trained: Mapping[str, Evidence]
    others: Mapping[str, Sequence[Evidence]]
    key: str

    @property
    def subject(self) -> str:
        """What it is about, in a list."""
        return self.answer.label + (f", {self.answer.of}" if self.answer.of else "")

    def statement(self, finding: Finding) -> Statement:
        """The claim, the number over all, and where the network differs most."""
        more = self.answer.value > np.median(self.answer.null_values)
        claim = self.what.replace("{}", self.more if more else self.less)
        over = f"mean of {len(self.gaps)}: " if len(self.gaps) > 1 else ""
        numbers = [over + _quote(finding)]
        if len(self.gaps) > 1:
            most = (max if more else min)(self.gaps, key=lambda n: self.gaps[n])
            drawn = [e.value for e in self.others[most]]
            numbers.append(
                f"the difference is greatest {self.at} {most}: {self.trained[most].quote_interval()}, and {min(drawn):.3g} to "
                f"{max(drawn):.3g} in {len(drawn)} untrained networks"
            )
        return Statement(claim, tuple(numbers), self.meaning)


class Findings:
    """Sentences about results, corrected for everything that was asked of the same data; see `correct`.

    Each is about the answer of a result, or of several, to the question ``id``, of what ``of`` says: see `Evidence`.

    Parameters
    ----------
    level : of the correction.
    """

    def __init__(self, *, level: float = LEVEL):
        self.level = level
        self.earlier: Earlier = earlier()
        self.all: list[Finding] = correct(level=level)
        self._entries: list[Statement | _Contrast] = []
        self._contrasts: list[_Contrast] = []
        self._unfound: list[str] = []
        self.judged: list[Finding] = []
        """Every answer that was judged, found or not; see `judge`."""

    def of(self, result: Result, id: str, of: str = "") -> Finding:
        """Return the corrected finding for one answer of one result.

        Raises
        ------
        MissingError
            The result has no such answer, or was asked after these findings were made.
        """
        result.evidence_of(id, of)
        wanted = (result.run.key if result.run else "", id, of)
        for finding in self.all:
            if (finding.key, finding.evidence.id, finding.evidence.of) == wanted:
                return finding
        raise MissingError(
            f"{result.title} was not asked in this process before these findings were made, so it isn't in the "
            f"correction: run it, then make Findings()."
        )

    def say(self, what: str, result: Result, id: str, of: str = "", *, meaning: str = "") -> None:
        """State one number: what it is, how much, its interval, its null.

        Parameters
        ----------
        meaning : what the number means, in a sentence or two for somebody who doesn't know it.
        """
        self._state(what, [_quote(self.of(result, id, of))], meaning)

    def verdict(
        self, result: Result, id: str, of: str = "", *, less: str = LESS, more: str = MORE, alike: str = ALIKE
    ) -> str:
        """Return which of three ways to say it holds: below the null, above it, or neither, once corrected.

        ``{null}`` in it is how the null was drawn.
        """
        finding = self.of(result, id, of)
        way = alike
        if finding.found:
            way = less if finding.evidence.value < np.median(finding.evidence.null_values) else more
        return way.replace("{null}", finding.evidence.null or "its null")

    def judge(
        self,
        claim: str,
        result: Result | None,
        id: str,
        of: str = "",
        *,
        less: str = LESS,
        more: str = MORE,
        alike: str = ALIKE,
        meaning: str = "",
    ) -> None:
        """State one number beside its null: the claim, with the `verdict` in the place of its ``{}``.

        What was rejected, or couldn't be, stands beside the number in the words of the hypothesis itself. A number that
        wasn't tested supports none of the three: it is stated as what it is, with the reason. What is not told from its null
        is no finding: it is listed with its like, after all that are.

        Parameters
        ----------
        result : None, where it couldn't be asked (see `ask`), states nothing.
        less, more, alike : what stands in the claim where the number is surely below the null, surely above, or neither;
            without them, that it is lower or higher than with what was drawn.
        meaning : as in `say`.
        """
        if result is None:
            return
        finding = self.of(result, id, of)
        self.judged.append(finding)
        if finding.q_value is None:
            self._untested(finding, meaning)
            return
        claim = claim.replace("{}", self.verdict(result, id, of, less=less, more=more, alike=alike))
        if finding.found:
            self._state(claim, [_quote(finding)], meaning)
        else:
            self._unfound.append(f"{claim}: {_quote(finding)}")

    def judge_each(
        self,
        result: Result | None,
        id: str,
        names: Mapping[str, str],
        *,
        less: str,
        more: str,
        alike: str = "",
        meaning: str = "",
    ) -> None:
        """State one question's answers about several things, those that came out the same way in one sentence.

        Each is corrected as in `judge`; what is not told from its null is listed with its like, and those that were not
        tested for one reason are named together.

        Parameters
        ----------
        result : as in `judge`.
        names : what an answer is of (see `Evidence.of`), to what to call it.
        less, more : the sentence about those that are below their nulls, and above, with a ``{}`` where they are named.
        alike : what to call each of the others, likewise; "" takes the answer's own label.
        meaning : as in `say`.
        """
        if result is None:
            return
        told: dict[str, dict[str, Finding]] = {less: {}, more: {}}
        untested: dict[str, dict[str, Finding]] = {}
        for of, name in names.items():
            finding = self.of(result, id, of)
            self.judged.append(finding)
            if finding.found:
                told[self.verdict(result, id, of, less=less, more=more)][name] = finding
            elif finding.q_value is None:
                untested.setdefault(finding.evidence.untested, {})[name] = finding
            else:
                label = alike.replace("{}", name) or finding.evidence.label
                self._unfound.append(f"{label[:1].upper()}{label[1:]}: {_quote(finding)}")
        for claim, those in told.items():
            if those:
                said = claim.replace("{}", _listed(list(those)))
                self._state(said, [f"{n}: {_quote(f)}" for n, f in those.items()], meaning)
        for why, those in untested.items():
            if len(those) == 1:
                self._untested(next(iter(those.values())), meaning)
            else:
                self._state(f"Not tested of {_listed(list(those))}", [why], meaning)

    def compare(
        self,
        what: str,
        results: Mapping[str, Result],
        id: str,
        of: str = "",
        *,
        highest: str = "highest",
        lowest: str = "lowest",
        at: str = "at",
        unit: str = "of them",
        meaning: str = "",
    ) -> None:
        """State where along an axis a number is highest and lowest, or that there is nothing.

        Named are all that may be the highest, and all that may be the lowest (`possibly_highest`): together they hold the
        right ones at 95 %.

        Parameters
        ----------
        what : the sentence's subject; it is ``highest`` ``at`` one of the names and ``lowest`` at another.
        unit : what the names are of: layers.
        meaning : as in `say`.
        """
        findings = {name: self.of(r, id, of) for name, r in results.items()}
        tested = {n: f for n, f in findings.items() if f.q_value is not None}
        found = [f for f in tested.values() if f.found]
        if tested and not found:
            nearest = min(tested, key=lambda n: tested[n].q_value or 0.0)
            self._unfound.append(
                f"{what}: nowhere distinguishable from chance, nearest {at} {nearest}, {_quote(tested[nearest])}"
            )
            return
        answers = {n: f.evidence for n, f in findings.items()}
        high, low = (f(answers, key=lambda n: answers[n].value) for f in (max, min))
        tops = possibly_highest(answers, level=LEVEL / 2)
        bottoms = possibly_highest(answers, lowest=True, level=LEVEL / 2)
        several = f" {unit}" if unit != "of them" else ""
        if len(answers) == 1:
            claim = f"{what} is {highest} {at} {high}"
        elif len(tops) == len(bottoms) == len(answers):
            known = all(a.interval is not None for a in answers.values())
            why = "can be told from another" if known else "has an interval by which to tell it from another"
            claim = f"{what}: none of {len(answers)}{several} {why}"
        else:
            claim = (
                f"{what} is {highest} {at} {_one_of(tops, answers, several)}"
                f" and {lowest} {at} {_one_of(bottoms, answers, several)}"
            )
        if len(found) < len(tested):
            claim += f"; it differs from the control in {len(found)} of {len(tested)} {unit}"
        self._state(claim, [f"{at} {n}, {_quote(findings[n])}" for n in dict.fromkeys([high, low])], meaning)

    def contrast(
        self,
        what: str,
        results: Mapping[str, Result],
        untrained: Sequence[Mapping[str, Result]],
        id: str,
        of: str = "",
        *,
        less: str,
        more: str,
        at: str = "at",
        meaning: str = "",
    ) -> None:
        """State what training did to a number, or list it among what untrained networks have too.

        The mean over all names is set beside that of untrained networks that read the same (`beside_untrained`). All
        contrasts of these findings are corrected together, by themselves: among tests that nearly always reject, a
        correction over every question would let one in twenty of them through. So a network that learned nothing has no
        finding here in 95 of 100 cases, however many contrasts there are.

        Parameters
        ----------
        what : the claim, with ``less`` or ``more`` in the place of its ``{}``.
        results : name (layer) to result, of the network. untrained : the same of each network of its architecture whose
            weights were drawn anew; see `Network.untrained`.
        at, meaning : as in `compare`.

        Raises
        ------
        MissingError
            A result has no such answer, or an untrained network has no result of such a name.
        """
        trained = {n: r.evidence_of(id, of) for n, r in results.items()}
        for one in untrained:
            for n in results:
                if n not in one:
                    raise MissingError(f"An untrained network has no result {n!r}. {suggest(n, list(one))}")
        others = {n: [one[n].evidence_of(id, of) for one in untrained] for n in results}
        answer = beside_untrained(list(trained.values()), list(zip(*others.values(), strict=True)))
        gaps = {
            n: e.value - float(np.mean([o.value for o in others[n]] or [np.nan])) for n, e in trained.items()
        }
        key = digest(
            "contrast", [r.run.key if r.run else "" for m in (results, *untrained) for r in m.values()]
        )
        self._contrasts.append(_Contrast(what, less, more, at, meaning, answer, gaps, trained, others, key))
        self._entries.append(self._contrasts[-1])

    @property
    def contrasts(self) -> list[Finding]:
        """What the network was set beside untrained ones in, corrected for how many contrasts there are."""
        tested = [c for c in self._contrasts if c.answer.p_value is not None]
        q = dict(zip(map(id, tested), hochberg(np.array([c.answer.p_value for c in tested])), strict=True))
        return [
            Finding(
                title=f"{c.answer.label} beside {c.answer.n - 1} untrained networks",
                key=c.key,
                method="contrast",
                subject="",
                evidence=c.answer,
                q_value=float(q[id(c)]) if id(c) in q else None,
                found=id(c) in q and bool(q[id(c)] <= self.level),
            )
            for c in self._contrasts
        ]

    @property
    def statements(self) -> list[Statement]:
        """All that was stated, in order; what doesn't hold comes last, together."""
        findings = dict(zip(map(id, self._contrasts), self.contrasts, strict=True))
        said = [
            e if isinstance(e, Statement) else e.statement(findings[id(e)])
            for e in self._entries
            if isinstance(e, Statement) or findings[id(e)].found
        ]
        unheld = [
            f"{c.subject}: {_quote(findings[id(c)])}" for c in self._contrasts if not findings[id(c)].found
        ]
        for claim, listed in ((UNTOLD_FROM_UNTRAINED, unheld), (UNTOLD_FROM_CONTROL, self._unfound)):
            if listed:
                said.append(Statement(claim, tuple(listed), ""))
        return said

    def _untested(self, finding: Finding, meaning: str) -> None:
        label = finding.evidence.label
        self._state(f"{label[:1].upper()}{label[1:]} was not tested", [_quote(finding)], meaning)

    def _state(self, claim: str, numbers: list[str], meaning: str) -> None:
        self._entries.append(Statement(claim, tuple(numbers), meaning))

    @property
    def sentences(self) -> list[str]:
        """The statements as text."""
        return [s.text for s in self.statements]

    def to_json(self) -> dict[str, Any]:
        """Sentences and all questions, for the page and the manifest."""
        return {
            "level": self.level,
            "counted": self.counted,
            "sentences": self.sentences,
            "statements": [s._asdict() for s in self.statements],
            "questions": [f.to_json() for f in (*self.all, *self.contrasts)],
        }

    @property
    def counted(self) -> str:
        """What the correction counts, in a few sentences."""
        tested = [f for f in self.all if f.q_value is not None]
        families = len({(f.method, f.evidence.id) for f in tested})
        return (
            f"{len(tested):,} tests of {families:,} questions are corrected together, questions first and then the answers to "
            f"each (Benjamini and Bogomolov), at a level of {self.level:g}. {self.earlier.said}{self._contrasted}"
        )

    @property
    def _contrasted(self) -> str:
        if not self._contrasts:
            return ""
        found = sum(f.found for f in self.contrasts)
        return (
            f" Beside untrained networks, {found} of {len(self._contrasts)} comparisons hold, corrected by themselves "
            "(Hochberg)."
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        items = "".join(f"<li>{html.escape(s)}</li>" for s in self.sentences)
        tested = sum(f.q_value is not None for f in self.all)
        note = f"{sum(f.found for f in self.all)} of {tested} tests hold. {self.counted}"
        return {
            FINDINGS_MIME: self.to_json(),
            "text/html": f"<ul>{items}</ul><p>{html.escape(note)}</p>",
            "text/plain": "\n".join([*(f"- {s}" for s in self.sentences), note]),
        }


def _quote(finding: Finding) -> str:
    """The number, and what its test says in the words of the hypothesis that was tested."""
    e = finding.evidence
    said = e.quote(finding.q_value)
    if finding.q_value is None:
        return f"{said}; not tested: {e.untested}" if e.untested else said
    hypothesis = f"“{e.hypothesis}”" if e.hypothesis else "its null"
    said += f", which rejects {hypothesis}" if finding.found else f", which doesn't reject {hypothesis}"
    if finding.draws_needed:
        drawn = len(e.null_values)
        whose = "more" if finding.draws_needed > drawn else "more behind the other questions"
        said += f"; none of {drawn} draws was as extreme, and {whose} would be needed to tell (n_null={finding.draws_needed})"
    return said


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _one_of(names: Sequence[str], all_names: Collection[str], unit: str) -> str:
    """Names that can't be told apart: the one, ``one of a, b and c``, or how many."""
    if len(names) == 1:
        return names[0]
    if len(names) > MOST_NAMED:
        return f"one of {len(names)} of the {len(all_names)}{unit}"
    return f"one of {_listed(names)}"
