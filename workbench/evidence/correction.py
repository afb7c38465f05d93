"""Correction for the number of questions asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.evidence import Evidence, finite
from workbench.core.history import Asked, asked
from workbench.core.result import Result


@dataclass(frozen=True)
class Finding:
    """One question after correction.

    Attributes
    ----------
    title, key, method, subject : of the result that asked it; all but the title are its run's, or "".
    q_value : the smallest false discovery rate at which the null is rejected; None without a null.
    found : whether it is rejected at the rate that was asked for.
    """

    title: str
    key: str
    method: str
    subject: str
    evidence: Evidence
    q_value: float | None
    found: bool

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
        }


def correct(
    results: Iterable[Result | Asked] | None = None, *, false_discovery_rate: float = 0.05
) -> list[Finding]:
    """Correct the p-values of all questions together (Benjamini and Hochberg).

    Parameters
    ----------
    results : whose questions; None for everything asked in this process, also what nobody looked at,
        which is what makes the correction right.
    false_discovery_rate : expected share of false findings among the findings, in (0, 1).

    Returns
    -------
    list of Finding
        One an evidence, in order; those without a null have no q-value and are never ``found``.

    References
    ----------
    Benjamini and Hochberg 1995, Controlling the false discovery rate, J. R. Stat. Soc. B 57.
    """
    questions = [(r, e, e.p_value) for r in (asked() if results is None else results) for e in r.evidence]
    tested = [i for i, (_, _, p) in enumerate(questions) if p is not None]
    q = np.full(len(questions), np.nan)
    if tested:
        q[tested] = q_values([questions[i][2] or 0.0 for i in tested])
    return [
        Finding(
            title=r.title,
            key=r.run.key if r.run else "",
            method=r.run.method if r.run else "",
            subject=r.run.subject if r.run else "",
            evidence=e,
            q_value=None if p is None else float(v),
            found=p is not None and bool(v <= false_discovery_rate),
        )
        for (r, e, p), v in zip(questions, q, strict=True)
    ]


def q_values(p: Sequence[float]) -> np.ndarray:
    """The smallest false discovery rates at which each of several p-values is a finding (Benjamini and Hochberg)."""
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p, method="bh")) if len(p) else np.empty(0)
