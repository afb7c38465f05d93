"""Correction for the number of questions asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from workbench.core.evidence import Evidence
from workbench.core.results import Result


@dataclass(frozen=True)
class Finding:
    """One question of one result after correction.

    Attributes
    ----------
    q_value : the smallest false discovery rate at which the null is rejected; None without a null.
    found : whether it is rejected at the rate that was asked for.
    """

    result: Result
    evidence: Evidence
    q_value: float | None
    found: bool

    def sentence(self) -> str:
        """The evidence's sentence with the corrected value."""
        said = self.evidence.sentence()
        if self.q_value is None:
            return said
        return f"{said[:-1]}, q = {self.q_value:.2g}{'' if self.found else ': not distinguishable from the null'}."


def correct(results: Iterable[Result], *, false_discovery_rate: float = 0.05) -> list[Finding]:
    """Correct the p-values of all questions that ``results`` asked, together (Benjamini and Hochberg).

    Parameters
    ----------
    results : everything that was asked, what came out as nothing too: leaving questions out makes the
        correction wrong.
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

    asked = [(r, e, e.p_value) for r in results for e in r.evidence]
    tested = [i for i, (_, _, p) in enumerate(asked) if p is not None]
    q = np.full(len(asked), np.nan)
    if tested:
        q[tested] = false_discovery_control([asked[i][2] for i in tested], method="bh")
    return [
        Finding(r, e, None if p is None else float(v), p is not None and v <= false_discovery_rate)
        for (r, e, p), v in zip(asked, q, strict=True)
    ]
