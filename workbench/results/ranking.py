"""Things in order of a score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Ranking(Plotted):
    """Things in order of a score.

    Attributes
    ----------
    names : one a thing. scores : (n,). low, high : (n,) intervals, or empty.
    ids : (n,) row ids where the things are rows, or empty.
    columns : (n, c) more numbers of each thing for the table, named by ``column_names``, or empty.
    """

    kind: ClassVar[str] = "ranking"
    names: tuple[str, ...]
    scores: Float[np.ndarray, " n"]
    low: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    high: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    ids: Int[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, np.int64))
    quantity: str = "score"
    columns: Float[np.ndarray, "n c"] = field(default_factory=lambda: np.empty((0, 0)))
    column_names: tuple[str, ...] = ()

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Four things by their score."""
        return cls(
            title="four things", names=("a", "b", "c", "d"), scores=np.array([3.0, 1.0, 2.0 + variant, 0.5])
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        out = pd.DataFrame({"name": list(self.names), self.quantity: self.scores})
        if len(self.low):
            out["low"], out["high"] = self.low, self.high
        for j, name in enumerate(self.column_names):
            out[name] = self.columns[:, j]
        if len(self.ids):
            out.index = pd.Index(self.ids, name="row")
        return out.sort_values(self.quantity, ascending=False, kind="stable")

    def order(self, top: int) -> Int[np.ndarray, " k"]:
        """Positions of the highest scores, highest first."""
        return np.argsort(-self.scores, kind="stable")[:top]

    def draw(self, *, top: int = 20) -> go.Figure:
        import plotly.graph_objects as go

        order = self.order(top)
        error = None
        if len(self.low):
            error = {
                "type": "data",
                "symmetric": False,
                "array": (self.high - self.scores)[order],
                "arrayminus": (self.scores - self.low)[order],
                "color": theme.NULL,
            }
        figure = go.Figure(
            go.Bar(
                x=self.scores[order],
                y=[f"{i + 1}. {safe(self.names[j], width=40)}" for i, j in enumerate(order)],
                orientation="h",
                error_x=error,
                marker={"color": theme.ACCENT},
                hoverinfo="x+y",
                customdata=self.ids[order] if len(self.ids) else None,
            )
        )
        figure.update_layout(
            **theme.layout(
                height=max(320, 90 + 24 * len(order)),
                xaxis={"title": safe(self.quantity)},
                yaxis={"autorange": "reversed"},
            )
        )
        return figure
