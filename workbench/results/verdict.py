"""Verdicts on a claim: proven, refuted, or untold."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from workbench.results.written import Written

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    from jaxtyping import Float

SHOWN = 8  # numbers of an input or output that are written out
SIGNS = {"proven": "✓", "refuted": "✗", "untold": "?"}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Verdict(Written):
    """Whether a claim of mathematics holds, and by what that is known.

    Attributes
    ----------
    claim : a sentence about real arithmetic on the stored weights. domain : the inputs that it is about.
    verdict : ``proven``; ``refuted``, by an input at which it fails; ``untold``, neither: what was sampled is evidence alone.
    how : by what.
    counterexample : (d,) the input that refutes it, of float64's numbers; empty without one.
    first, second : (m,) what the two sides give there, in float64. apart : by how much they differ there in output ``output``,
        without rounding, as text.
    """

    kind: ClassVar[str] = "verdict"
    claim: str
    verdict: Literal["proven", "refuted", "untold"]
    how: str
    domain: str = ""
    counterexample: Float[np.ndarray, " d"] = field(default_factory=lambda: np.empty(0))
    first: Float[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0))
    second: Float[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0))
    output: int = -1
    apart: str = ""

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """A claim that an input refutes."""
        x = np.array([1.0 + variant])
        return cls(
            title="two functions",
            claim="x and x² are one function",
            verdict="refuted",
            how="They differ at an input.",
            domain="all inputs",
            counterexample=x + 1,
            first=x + 1,
            second=(x + 1) ** 2,
            output=0,
            apart=f"{(x[0] + 1) - (x[0] + 1) ** 2:g}",
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        rows = [("claim", self.claim), ("domain", self.domain), ("verdict", self.verdict), ("how", self.how)]
        if len(self.counterexample):
            rows += [
                ("counterexample", _numbers(self.counterexample)),
                ("the first gives", _numbers(self.first)),
                ("the second gives", _numbers(self.second)),
                (f"difference in output {self.output}", self.apart),
            ]
        return pd.DataFrame(rows, columns=["", "answer"])

    def html(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>"
            for name, said in self.table().itertuples(index=False)
            if name not in ("claim", "verdict") and said
        )
        head = f"<strong>{SIGNS[self.verdict]} {self.verdict.capitalize()}</strong>: {escape(self.claim)}."
        return f"<p>{head}</p><table>{rows}</table>"


def _numbers(values: np.ndarray) -> str:
    more = f" and {len(values) - SHOWN:,} more" if len(values) > SHOWN else ""
    return ", ".join(f"{v:.6g}" for v in values[:SHOWN]) + more
