"""Combining answers: many results asked together, along an axis, corrected for how many they are."""

from workbench.evidence.along import along
from workbench.evidence.correction import Finding, correct
from workbench.evidence.findings import FINDINGS_MIME, Findings

__all__ = ["FINDINGS_MIME", "Finding", "Findings", "along", "correct"]
