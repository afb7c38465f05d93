"""What the tours of the kinds of attention show: each kind's idea in words, and its pictures."""

from workbench.report.geometry.ideas import IDEAS, Idea
from workbench.report.geometry.pictures import pictures

__all__ = ["IDEAS", "Idea", "pictures"]
