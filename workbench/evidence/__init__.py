"""Combining answers: many results asked together, along an axis, corrected for how many they are."""

from workbench.evidence.along import along, side_by_side
from workbench.evidence.correction import Finding, correct
from workbench.evidence.findings import FINDINGS_MIME, Findings

__all__ = ["FINDINGS_MIME", "Finding", "Findings", "along", "correct", "side_by_side"]
