"""Findings: plain sentences made from results, each with its number, interval and null, corrected together."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from workbench.core.errors import MissingError
from workbench.core.evidence import Evidence
from workbench.core.result import Result
from workbench.evidence.correction import Finding, correct
from workbench.evidence.differences import difference

FINDINGS_MIME = "application/vnd.workbench.findings+json"

_UNSHOWN = {"two-sided": "not distinguishable from", "greater": "not above", "less": "not below"}


class Statement(NamedTuple):
    """A claim, the numbers that it rests on, and what they mean."""

    claim: str
    numbers: tuple[str, ...]
    meaning: str

    @property
    def text(self) -> str:
        """All of it, as a sentence or two."""
        return f"{self.claim}: {'; '.join(self.numbers)}.{' ' * bool(self.meaning)}{self.meaning}"


class Findings:
    """Sentences about results, corrected for everything that was asked in this process.

    Each is about the answer of a result, or of several, to the question ``id``, of what ``of`` says: see `Evidence`.

    Parameters
    ----------
    false_discovery_rate : expected share of false findings among the findings.
    """

    def __init__(self, *, false_discovery_rate: float = 0.05):
        self.false_discovery_rate = false_discovery_rate
        self.all: list[Finding] = correct(false_discovery_rate=false_discovery_rate)
        self.statements: list[Statement] = []

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
        finding = self.of(result, id, of)
        unshown = finding.q_value is not None and not finding.found
        verdict = f", {_UNSHOWN[finding.evidence.alternative]} the null" if unshown else ""
        self._state(what, [f"{_quote(finding)}{verdict}"], meaning)

    def verdict(self, result: Result, id: str, of: str = "", *, less: str, more: str, alike: str) -> str:
        """Return which of three ways to say it holds: below the null, above it, or neither, once corrected."""
        finding = self.of(result, id, of)
        if not finding.found:
            return alike
        return less if finding.evidence.value < np.median(finding.evidence.null_values) else more

    def judge(
        self,
        claim: str,
        result: Result | None,
        id: str,
        of: str = "",
        *,
        less: str,
        more: str,
        alike: str,
        meaning: str = "",
    ) -> None:
        """State one number beside its null: the claim, with the `verdict` in the place of its ``{}``.

        Parameters
        ----------
        result : None, where it couldn't be asked (see `ask`), states nothing.
        less, more, alike : what stands in the claim where the number is surely below the null, surely above, or neither.
        meaning : as in `say`.
        """
        if result is not None:
            way = self.verdict(result, id, of, less=less, more=more, alike=alike)
            self.say(claim.replace("{}", way), result, id, of, meaning=meaning)

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
            claim = f"{what}: nowhere distinguishable from chance"
            self._state(claim, [f"nearest {at} {nearest}, {_quote(tested[nearest])}"], meaning)
            return
        high = max(findings, key=lambda n: findings[n].evidence.value)
        low = min(findings, key=lambda n: findings[n].evidence.value)
        claim = f"{what} is {highest} {at} {high}"
        if low != high:
            claim += f" and {lowest} {at} {low}"
            if not _apart(findings[high].evidence, findings[low].evidence):
                claim += " (the intervals overlap, so the order may be chance)"
        if len(found) < len(tested):
            claim += f"; it differs from the control in {len(found)} of {len(tested)} {unit}"
        self._state(claim, [f"{at} {n}, {_quote(findings[n])}" for n in dict.fromkeys([high, low])], meaning)

    def contrast(
        self,
        what: str,
        results: Mapping[str, Result],
        others: Mapping[str, Result],
        id: str,
        of: str = "",
        *,
        at: str = "at",
        unit: str = "of them",
        meaning: str = "",
    ) -> None:
        """State by how much a number of ``results`` exceeds that of ``others``, where most and where least.

        The difference's interval is made from both (`difference`), without a null: it holds where it excludes 0.
        """
        gaps = {
            n: difference(self.of(r, id, of).evidence, self.of(others[n], id, of).evidence)
            for n, r in results.items()
        }
        sure = [n for n, e in gaps.items() if e.interval and e.interval[0] > 0]
        most, least = (f(gaps, key=lambda n: gaps[n].value) for f in (max, min))
        many = f"all {len(gaps)}" if len(sure) == len(gaps) > 1 else f"{len(sure)} of {len(gaps)}"
        where = f"{at} {many} {unit}"
        claim = f"{what} {where}" + (f", most {at} {most}" if sure and len(gaps) > 1 else "")
        numbers = [f"{at} {n}, a difference of {gaps[n].quote()}" for n in dict.fromkeys([most, least])]
        self._state(claim, numbers, meaning)

    def _state(self, claim: str, numbers: list[str], meaning: str) -> None:
        self.statements.append(Statement(claim, tuple(numbers), meaning))

    @property
    def sentences(self) -> list[str]:
        """The statements as text."""
        return [s.text for s in self.statements]

    def to_json(self) -> dict[str, Any]:
        """Sentences and all questions, for the page and the manifest."""
        return {
            "false_discovery_rate": self.false_discovery_rate,
            "sentences": self.sentences,
            "statements": [s._asdict() for s in self.statements],
            "questions": [f.to_json() for f in self.all],
        }

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        items = "".join(f"<li>{html.escape(s)}</li>" for s in self.sentences)
        tested = sum(f.q_value is not None for f in self.all)
        note = (
            f"{sum(f.found for f in self.all)} of {tested} tests hold at a false discovery rate of "
            f"{self.false_discovery_rate:g} (Benjamini and Hochberg over every question asked)."
        )
        return {
            FINDINGS_MIME: self.to_json(),
            "text/html": f"<ul>{items}</ul><p>{note}</p>",
            "text/plain": "\n".join([*(f"- {s}" for s in self.sentences), note]),
        }


def _quote(finding: Finding) -> str:
    return finding.evidence.quote(finding.q_value)


def _apart(a: Evidence, b: Evidence) -> bool:
    """Whether two intervals don't overlap (a stricter demand than a difference of 95 %)."""
    if a.interval is None or b.interval is None:
        return True
    return a.interval[0] > b.interval[1] or b.interval[0] > a.interval[1]
