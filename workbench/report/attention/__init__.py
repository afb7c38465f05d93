"""What the tours of the kinds of attention show: each kind's idea in words, its pictures, its costs and its promises."""

from workbench.report.attention.costs import beside_standard, costs, differences, promises
from workbench.report.attention.ideas import IDEAS, Idea
from workbench.report.attention.pictures import pictures

__all__ = ["IDEAS", "Idea", "beside_standard", "costs", "differences", "pictures", "promises"]
