"""Combining answers: many results asked together, along an axis, corrected for how many they are."""

from workbench.core.history import as_control
from workbench.evidence.along import along, side_by_side
from workbench.evidence.arms import answers, comparisons, helping
from workbench.evidence.asking import Begun, ask, ask_each, ask_untrained, begin_each
from workbench.evidence.correction import Finding, correct
from workbench.evidence.findings import FINDINGS_MIME, Findings

__all__ = [
    "FINDINGS_MIME",
    "Begun",
    "Finding",
    "Findings",
    "along",
    "answers",
    "as_control",
    "ask",
    "ask_each",
    "ask_untrained",
    "begin_each",
    "comparisons",
    "correct",
    "helping",
    "side_by_side",
]
