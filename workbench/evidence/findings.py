"""Findings: plain sentences made from results, each with its number, interval and null, corrected together."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from workbench.core.errors import MissingError
from workbench.core.evidence import Evidence, finite
from workbench.core.results import Result
from workbench.evidence.along import evidence_of
from workbench.evidence.correction import Finding, correct

FINDINGS_MIME = "application/vnd.workbench.findings+json"


class Findings:
    """Sentences about results, corrected for everything that was asked in this process.

    Parameters
    ----------
    false_discovery_rate : expected share of false findings among the findings.
    """

    def __init__(self, *, false_discovery_rate: float = 0.05):
        self.false_discovery_rate = false_discovery_rate
        self.all: list[Finding] = correct(false_discovery_rate=false_discovery_rate)
        self.sentences: list[str] = []

    def of(self, result: Result, statistic: str) -> Finding:
        """Return the corrected finding for one statistic of one result."""
        wanted, key = evidence_of(result, statistic), result.run.key if result.run else ""
        for finding in self.all:
            if finding.key == key and finding.evidence.statistic == wanted.statistic:
                return finding
        raise MissingError(
            f"{result.title} was not asked in this process before these findings were made, so it isn't in the "
            f"correction: run it, then make Findings()."
        )

    def say(self, what: str, result: Result, statistic: str) -> None:
        """Add one sentence on one number: what it is, how much, its interval, its null."""
        finding = self.of(result, statistic)
        unshown = finding.q_value is not None and not finding.found
        verdict = ", not distinguishable from the null" if unshown else ""
        self.sentences.append(f"{what}: {_quote(finding)}{verdict}.")

    def compare(self, what: str, results: Mapping[str, Result], statistic: str) -> None:
        """Add a sentence on where along an axis a statistic is highest and lowest, or that there is nothing."""
        findings = {name: self.of(r, statistic) for name, r in results.items()}
        tested = {n: f for n, f in findings.items() if f.q_value is not None}
        found = [f for f in tested.values() if f.found]
        if tested and not found:
            nearest = min(tested, key=lambda n: tested[n].q_value or 0.0)
            self.sentences.append(
                f"{what}: nowhere distinguishable from chance (nearest at {nearest}: {_quote(tested[nearest])})."
            )
            return
        high = max(findings, key=lambda n: findings[n].evidence.value)
        low = min(findings, key=lambda n: findings[n].evidence.value)
        text = f"{what} is highest at {high}, {_quote(findings[high])}"
        if low != high:
            text += f", and lowest at {low}, {_quote(findings[low])}"
            if not _apart(findings[high].evidence, findings[low].evidence):
                text += "; the intervals overlap, so the order may be chance"
        if len(found) < len(tested):
            text += f". It differs from the null at {len(found)} of {len(tested)}"
        self.sentences.append(text + ".")

    def to_json(self) -> dict[str, Any]:
        """Sentences and all questions, for the page and the manifest."""
        return {
            "false_discovery_rate": self.false_discovery_rate,
            "sentences": self.sentences,
            "questions": [
                {"title": f.title, "key": f.key, "question": f.evidence.question, "statistic": f.evidence.statistic,
                 "value": finite(f.evidence.value), "interval": finite(f.evidence.interval), "n": f.evidence.n, "unit": f.evidence.unit,
                 "null": f.evidence.null, "draws": len(f.evidence.null_values), "p": f.evidence.p_value, "q": f.q_value,
                 "found": f.found}
                for f in self.all
            ],
        }  # fmt: skip

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
