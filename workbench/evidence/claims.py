"""A claim: a short sentence, the number that it rests on, and the bands beside which that number is judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from workbench.core.evidence import Evidence, finite
from workbench.evidence.correction import Finding
from workbench.evidence.nulls.untrained import FEWEST, further_network

Verdict = Literal["beyond chance", "in others too", "too few draws to tell", "could be chance", "not tested"]
ORDER: tuple[Verdict, ...] = (
    "beyond chance",
    "in others too",
    "too few draws to tell",
    "could be chance",
    "not tested",
)
STRONGEST = 1e6  # half-widths; a band without width has no scale
WORDS = 15
"""A claim is read at a glance: no longer than this."""


class Band(NamedTuple):
    """Where a control's numbers lie: 95 % of the draws of a null, or of further networks.

    Attributes
    ----------
    kind : what it is drawn as: ``chance``, or ``network`` for untrained or other networks.
    says : what the control is.
    """

    kind: Literal["chance", "network"]
    low: float
    high: float
    says: str

    def distance(self, value: float) -> float:
        """How far outside a number lies, in half-widths; negative inside."""
        half = (self.high - self.low) / 2
        if half <= 0:
            return 0.0 if value == self.low else STRONGEST
        return float(min(abs(value - (self.low + half)) / half - 1, STRONGEST))


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One row of a report's findings.

    Attributes
    ----------
    claim : a plain sentence; ``numbers`` are what it rests on, in words, ``meaning`` is for who doesn't know the number.
    verdict : ``in others too`` where the null is rejected and networks in which there is nothing have as much; ``too few draws
        to tell`` where the number lies beyond every draw, and so few can't reject the null after correction.
    finding : the number, its interval and its corrected p-value.
    bands : of the controls, on the number's axis; ``judged_by`` are those that the verdict rests on.
    keys : of the runs that answered; ``method`` and ``subject`` are theirs. By them a page knows the figure.
    leads : whether it stands before stronger ones, where it holds.
    """

    claim: str
    numbers: tuple[str, ...]
    meaning: str
    verdict: Verdict
    finding: Finding
    bands: tuple[Band, ...] = ()
    judged_by: tuple[Band, ...] = ()
    keys: tuple[str, ...] = ()
    method: str = ""
    leads: bool = False

    @property
    def text(self) -> str:
        """All of it, as a sentence or two."""
        said = "" if self.verdict == "beyond chance" else f" ({self.verdict})"
        return f"{self.claim}{said}: {'; '.join(self.numbers)}.{' ' * bool(self.meaning)}{self.meaning}"

    @property
    def strength(self) -> float:
        """How far beyond its nearest control the number lies, in half-widths of that control's band."""
        value = self.finding.evidence.value
        distances = [b.distance(value) for b in self.judged_by]
        return min(distances) if distances and np.isfinite(value) else -1.0

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, for the page and the manifest."""
        e = self.finding.evidence
        return {
            "claim": self.claim,
            "numbers": list(self.numbers),
            "meaning": self.meaning,
            "verdict": self.verdict,
            "label": e.label,
            "question": e.question,
            "value": finite(e.value),
            "interval": finite(e.interval),
            "conservative": e.conservative,
            "q": self.finding.q_value,
            "untested": e.untested,
            "strength": self.strength,
            "bands": [{**b._asdict(), "low": finite(b.low), "high": finite(b.high)} for b in self.bands],
            "keys": list(self.keys),
            "method": self.method,
            "id": e.id,
            "of": e.of,
        }


def in_order(claims: Iterable[Claim]) -> list[Claim]:
    """What holds first, of that what leads and then the strongest; then what doesn't, and what wasn't tested."""

    def place(c: Claim) -> tuple[int, bool, float]:
        return ORDER.index(c.verdict), not (c.leads and c.verdict == ORDER[0]), -c.strength

    return sorted(claims, key=place)


def chance(answers: Sequence[Evidence]) -> Band | None:
    """The band of the null of one answer, or of the mean of several, for which it is wide enough; None where there is none."""
    drawn = [np.asarray(e.null_values) for e in answers]
    if not drawn or any(not len(d) or not np.isfinite(d).all() for d in drawn):
        return None
    low, high = np.mean([np.quantile(d, [0.025, 0.975]) for d in drawn], axis=0)
    return Band("chance", float(low), float(high), answers[0].null)


def of_networks(values: Sequence[float], says: str) -> Band | None:
    """Where 95 % of further networks like these lie; of fewer than three, from the lowest to the highest."""
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers) or not np.isfinite(numbers).all():
        return None
    if len(numbers) < FEWEST:
        return Band("network", float(numbers.min()), float(numbers.max()), says)
    low, high = np.quantile(further_network(numbers), [0.025, 0.975])
    return Band("network", float(low), float(high), says)


def untold(finding: Finding) -> Verdict:
    """The verdict on what isn't found."""
    if finding.q_value is None:
        return "not tested"
    return "too few draws to tell" if finding.draws_needed else "could be chance"


def quote(finding: Finding) -> str:
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


def capital(text: str) -> str:
    """A text with its first letter as a sentence has it."""
    return text[:1].upper() + text[1:]
