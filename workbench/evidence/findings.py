"""Findings: plain sentences made from results, each with its number, interval and null, corrected together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import MissingError, suggest
from workbench.core.history import Earlier, earlier
from workbench.core.result import Result
from workbench.evidence.claims import (
    Band,
    Claim,
    Verdict,
    capital,
    chance,
    in_order,
    of_networks,
    quote,
    untold,
)
from workbench.evidence.contrast import Contrast
from workbench.evidence.correction import LEVEL, Finding, correct
from workbench.evidence.differences import CHANGE, in_shares
from workbench.evidence.highest import possibly_highest
from workbench.evidence.nulls.untrained import beside_untrained
from workbench.evidence.pictured import pictured
from workbench.numerics.multiplicity import hochberg

FINDINGS_MIME = "application/vnd.workbench.findings+json"

LESS, MORE, ALIKE = (
    "lower than with {null}",
    "higher than with {null}",
    "not shown to differ from that with {null}",
)
MOST_NAMED = 4
"""So many names are listed of those that can't be told apart; of more, their number."""


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
        self._entries: list[Claim | Contrast] = []
        self._contrasts: list[Contrast] = []

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
        self._add(what, self.of(result, id, of), meaning=meaning)

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
        beside: Mapping[str, Sequence[Result]] | None = None,
        leads: bool = False,
    ) -> None:
        """Claim that a number lies beyond its null: the sentence, with the `verdict` in the place of its ``{}``.

        What was rejected, or couldn't be, stands beside the number in the words of the hypothesis itself. A number that
        wasn't tested supports none of the three: it is stated as what it is, with the reason. What is not told from its null
        is no finding, and neither is what other networks have as well.

        Parameters
        ----------
        result : None, where it couldn't be asked (see `ask`), states nothing.
        less, more, alike : what stands in the claim where the number is surely below the null, surely above, or neither;
            without them, that it is lower or higher than with what was drawn.
        meaning : as in `say`.
        beside : what networks are called that this one is set beside, to what they answered: untrained ones, or others in
            which there is nothing. Where they have as much, it isn't claimed of this one.
        leads : it stands first, where it holds: the strongest is not always what a reader came for.
        """
        if result is None:
            return
        finding = self.of(result, id, of)
        said = claim.replace("{}", self.verdict(result, id, of, less=less, more=more, alike=alike))
        said = said if _told(finding) else capital(finding.evidence.label)
        self._add(said, finding, meaning=meaning, beside=_beside(beside, id, of), leads=leads)

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
        beside: Mapping[str, Sequence[Result]] | None = None,
        leads: bool = False,
    ) -> None:
        """Claim one question's answers about several things, each in a sentence of its own.

        Parameters
        ----------
        result, beside, leads : as in `judge`.
        names : what an answer is of (see `Evidence.of`), to what to call it.
        less, more : the sentence where the number is below its null, and above, with a ``{}`` for the name.
        alike : the sentence where it is neither; "" takes the answer's own label.
        meaning : as in `say`.
        """
        if result is None:
            return
        for of, name in names.items():
            finding = self.of(result, id, of)
            label = capital(finding.evidence.label)
            said = self.verdict(result, id, of, less=less, more=more, alike=alike).replace("{}", name)
            said = capital(said) if said and _told(finding) else label
            self._add(said, finding, meaning=meaning, beside=_beside(beside, id, of), leads=leads)

    def judge_change(
        self,
        claim: str,
        result: Result | None,
        id: str,
        of: str = "",
        *,
        less: str,
        more: str,
        alike: str = "",
        meaning: str = "",
        begun: Sequence[Mapping[str, Result]] = (),
        leads: bool = False,
    ) -> None:
        """Claim that a number changed from the first step to the last otherwise than its null did.

        Both as a difference and as a share of where it began (see `in_shares`): what falls by more only because it began
        higher is no finding. Nor is an end that would pass for one more beginning.

        Parameters
        ----------
        result : follows something over steps; None, or a single step, states nothing.
        id, of : which of its numbers at the last step.
        less, more : what stands for ``{}`` where it fell by more than its null (or rose by less), and the other way.
        alike : the sentence where it did neither; "" takes the answer's own label.
        begun : the same number of networks at the beginning of other descents, each by one name.
        meaning, leads : as in `judge`.
        """
        if result is None or all(e.id != CHANGE for e in result.evidence):
            return
        finding, share = self.of(result, CHANGE, of), in_shares(result, id, of)
        change = finding.evidence
        first = result.evidence_of(id, of).value - change.value
        values = [r.evidence_of(id, of).value - first for one in begun for r in one.values()]
        others = of_networks(values, "networks at the beginning of other descents")
        numbers = [quote(finding), *([share.text] if share else [])]
        null = float(np.median(change.null_values or [np.nan]))
        if finding.found and share and not share.agrees(change.value, null):
            numbers.append(
                "as a difference it lies on one side of its null and as a share on the other: nothing is claimed"
            )
            finding = replace(finding, found=False)
        said = claim.replace("{}", self.verdict(result, CHANGE, of, less=less, more=more))
        if not finding.found:
            said = alike or f"{capital(change.label)}: not told from its null's"
            said = capital(change.label) if finding.draws_needed else said
        self._add(said, finding, numbers, meaning=meaning, beside=[others] if others else [], leads=leads)

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
            few = any(f.draws_needed for f in tested.values())
            nearest = min(tested, key=lambda n: (not tested[n].draws_needed, tested[n].q_value or 0.0))
            claim = f"{what}: {'too few draws to tell' if few else 'nowhere distinguishable from chance'}"
            self._add(
                claim,
                tested[nearest],
                [f"nearest {at} {nearest}, {quote(tested[nearest])}"],
                meaning=meaning,
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
        self._add(
            claim,
            findings[high],
            [f"{at} {n}, {quote(findings[n])}" for n in dict.fromkeys([high, low])],
            meaning=meaning,
        )

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
        leads: bool = False,
    ) -> None:
        """Claim what training did to a number, unless untrained networks have it too.

        The mean over all names is set beside that of untrained networks that read the same (`beside_untrained`). All
        contrasts of these findings are corrected together, by themselves: among tests that nearly always reject, a
        correction over every question would let one in twenty of them through. So a network that learned nothing has no
        finding here in 95 of 100 cases, however many contrasts there are.

        Parameters
        ----------
        what : the claim, with ``less`` or ``more`` in the place of its ``{}``.
        results : name (layer) to result, of the network. untrained : the same of each network of its architecture whose
            weights were drawn anew; see `Network.untrained`.
        at, meaning : as in `compare`. leads : as in `judge`.

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
        runs = [r.run for m in (results, *untrained) for r in m.values()]
        key = digest("contrast", [run.key if run else "" for run in runs])
        own = [r.run for r in results.values() if r.run]
        method = own[0].method if own else ""
        keys = tuple(run.key for run in own)
        made = Contrast(what, less, more, at, meaning, leads, answer, trained, others, key, keys, method)
        self._contrasts.append(made)
        self._entries.append(made)

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
    def claims(self) -> list[Claim]:
        """All that was judged: what holds first, the strongest before the others; what doesn't, and what wasn't tested, last."""
        findings = dict(zip(map(id, self._contrasts), self.contrasts, strict=True))
        return in_order(e if isinstance(e, Claim) else e.claim(findings[id(e)]) for e in self._entries)

    def _add(
        self,
        claim: str,
        finding: Finding,
        numbers: Sequence[str] = (),
        *,
        meaning: str,
        beside: Sequence[Band] = (),
        leads: bool = False,
    ) -> None:
        e = finding.evidence
        null = chance([e])
        verdict: Verdict = "beyond chance" if finding.found else untold(finding)
        if finding.found and beside:
            more = e.value > np.median(e.null_values)
            if any(e.value <= b.high if more else e.value >= b.low for b in beside):
                verdict = "in others too"
        bands = (*([null] if null else []), *beside)
        said = [f"{b.low:.3g} to {b.high:.3g} in {b.says}" for b in beside]
        self._entries.append(
            Claim(
                claim=claim,
                numbers=(*(numbers or [quote(finding)]), *said),
                meaning=meaning,
                verdict=verdict,
                finding=finding,
                bands=bands,
                judged_by=bands,
                keys=(finding.key,) if finding.key else (),
                method=finding.method,
                leads=leads,
            )
        )

    @property
    def sentences(self) -> list[str]:
        """The claims as text."""
        return [c.text for c in self.claims]

    def to_json(self) -> dict[str, Any]:
        """Sentences and all questions, for the page and the manifest."""
        return {
            "level": self.level,
            "counted": self.counted,
            "sentences": self.sentences,
            "claims": [c.to_json() for c in self.claims],
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
        tested = sum(f.q_value is not None for f in self.all)
        note = f"{sum(f.found for f in self.all)} of {tested} tests hold. {self.counted}"
        return {
            FINDINGS_MIME: self.to_json(),
            "text/html": pictured([c.to_json() for c in self.claims], note),
            "text/plain": "\n".join([*(f"- {s}" for s in self.sentences), note]),
        }


def _told(finding: Finding) -> bool:
    """Whether one of the three ways to say it can be chosen."""
    return finding.q_value is not None and not finding.draws_needed


def _beside(others: Mapping[str, Sequence[Result]] | None, id: str, of: str) -> list[Band]:
    def numbers(results: Sequence[Result]) -> list[float]:
        return [e.value for r in results for e in r.evidence if (e.id, e.of) == (id, of)]

    made = [of_networks(numbers(results), says) for says, results in (others or {}).items()]
    return [band for band in made if band]


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
