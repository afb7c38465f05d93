"""Combining answers: many results asked together, corrected for how many they are."""

from workbench.evidence.correction import correct

__all__ = ["correct"]
