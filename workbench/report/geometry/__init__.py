"""What the tours of the kinds of attention show: each kind's idea in words, its pictures, and how it stands beside others."""

from workbench.report.geometry.comparing import (
    bits_above,
    costs,
    differences,
    over_budget,
    promises,
    steps_at_equal_cost,
    verdicts,
)
from workbench.report.geometry.ideas import IDEAS, Idea
from workbench.report.geometry.pictures import pictures

__all__ = [
    "IDEAS",
    "Idea",
    "bits_above",
    "costs",
    "differences",
    "over_budget",
    "pictures",
    "promises",
    "steps_at_equal_cost",
    "verdicts",
]
