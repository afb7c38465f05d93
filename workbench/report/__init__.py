"""Notebooks run headlessly and become one page that works from disk, beside a manifest of what was asked."""

from workbench.report.running import report

__all__ = ["report"]
