"""What all kinds share that are written rather than plotted: text, a formula, a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.core.result import Result


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Written(Result):
    """Base of the kinds that are shown as HTML: a kind writes ``html``, and ``latex`` where it is a formula.

    Whatever comes from data is escaped by the kind (`html.escape`); a report shows tables, lists, emphasis and
    MathML, and drops everything else.
    """

    def html(self) -> str:
        """Return the answer as HTML that runs nothing and loads nothing."""
        raise NotImplementedError

    def latex(self) -> str:
        """Return the answer as LaTeX, without dollar signs; "" where it has none."""
        return ""

    def drawn(self, **options: Any) -> dict[str, Any]:
        formula = self.latex()
        return {"text/html": self.html(), **({"text/latex": f"${formula}$"} if formula else {})}
