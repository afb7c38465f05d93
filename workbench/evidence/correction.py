"""Correction for the number of questions asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from workbench.core.evidence import Evidence
from workbench.core.history import Asked, asked
from workbench.core.result import Result


@dataclass(frozen=True)
class Finding:
    """One question after correction.

    Attributes
    ----------
    title, key : of the result that asked it (``key`` is its run's, or "").
    q_value : the smallest false discovery rate at which the null is rejected; None without a null.
    found : whether it is rejected at the rate that was asked for.
    """

    title: str
    key: str
    evidence: Evidence
    q_value: float | None
    found: bool


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
    from scipy.stats import false_discovery_control

    questions = [(r, e, e.p_value) for r in (asked() if results is None else results) for e in r.evidence]
    tested = [i for i, (_, _, p) in enumerate(questions) if p is not None]
    q = np.full(len(questions), np.nan)
    if tested:
        q[tested] = false_discovery_control([questions[i][2] for i in tested], method="bh")
    return [
        Finding(
            title=r.title,
            key=r.run.key if r.run else "",
            evidence=e,
            q_value=None if p is None else float(v),
            found=p is not None and bool(v <= false_discovery_rate),
        )
        for (r, e, p), v in zip(questions, q, strict=True)
    ]
