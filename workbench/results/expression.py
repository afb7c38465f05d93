"""Expressions: what a part of a network computes, as a formula."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.results.written import Written

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    from jaxtyping import Float


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Expression(Written):
    """A formula of what a part of a network computes, cut to the terms that matter.

    Attributes
    ----------
    target : what it stands for. formula : as text; ``latex_formula`` as LaTeX, both cut to the terms shown.
    terms : every term by its share, the largest first, as text. weights : (m,) their coefficients. shares : (m,) of the output's
        spread on the rows, each by itself.
    cuts : (c,) how many terms are kept; errors : (c,) root mean squared error of the formula cut to so many, in the output's
        standard deviations; beside : (c,) the same of as many random terms, their median; or empty.
    forms : ways to write the whole, exactly; costs : (f, 3) additions, multiplications and functions of each, -1 where refused.
    refused : why, or "", a form each.
    """

    kind: ClassVar[str] = "expression"
    target: str
    formula: str
    latex_formula: str
    terms: tuple[str, ...]
    weights: Float[np.ndarray, " m"]
    shares: Float[np.ndarray, " m"]
    cuts: Float[np.ndarray, " c"]
    errors: Float[np.ndarray, " c"]
    beside: Float[np.ndarray, " c"]
    forms: tuple[str, ...] = ()
    costs: Float[np.ndarray, "f 3"] = field(default_factory=lambda: np.empty((0, 3)))
    refused: tuple[str, ...] = ()

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """A neuron of two inputs."""
        return cls(
            title="a neuron",
            target="neuron 0",
            formula="relu(2*x1 - x2)",
            latex_formula=r"\mathrm{relu}\left(2\,x_{1} - x_{2}\right)",
            terms=("x1", "x2"),
            weights=np.array([2.0 + variant, -1.0]),
            shares=np.array([0.8, 0.2]),
            cuts=np.array([1.0, 2.0]),
            errors=np.array([0.4, 0.0]),
            beside=np.array([0.6, 0.0]),
            forms=("shared",),
            costs=np.array([[1.0, 1.0, 1.0]]),
            refused=("",),
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame({"term": list(self.terms), "weight": self.weights, "share": self.shares})

    def latex(self) -> str:
        return self.latex_formula

    def html(self) -> str:
        """The formula, what cutting it costs, and the ways to write it."""
        cut = "".join(
            f"<tr><td>{k:.0f}</td><td>{e:.3g}</td><td>{_or_none(b)}</td></tr>"
            for k, e, b in zip(
                self.cuts,
                self.errors,
                self.beside if len(self.beside) else [np.nan] * len(self.cuts),
                strict=True,
            )
        )
        ways = "".join(
            f"<tr><td>{escape(name)}</td>"
            + (f'<td colspan="3">{escape(why)}</td>' if why else "".join(f"<td>{c:,.0f}</td>" for c in row))
            + "</tr>"
            for name, row, why in zip(self.forms, self.costs, self.refused, strict=True)
        )
        return (
            f"<p><b>{escape(self.title)}</b></p>"
            f"<p>{escape(self.target)} ≈ <code>{escape(self.formula)}</code></p>"
            "<table><caption>Cut to its largest terms</caption><thead><tr><th>terms</th><th>error</th><th>of random terms</th></tr>"
            f"</thead><tbody>{cut}</tbody></table>"
            + (
                "<table><caption>The whole, exactly</caption><thead><tr><th>form</th><th>additions</th><th>multiplications</th>"
                f"<th>functions</th></tr></thead><tbody>{ways}</tbody></table>"
                if self.forms
                else ""
            )
            + "".join(f"<p>{escape(s)}</p>" for s in self.sentences())
        )


def _or_none(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "none drawn"
