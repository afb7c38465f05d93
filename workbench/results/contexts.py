"""Tokens in their contexts, in order of a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int

BEFORE, BEHIND = 22, 48  # characters of a context that are drawn
LINE = 36  # pixels


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Contexts(Plotted):
    """Tokens in their contexts, the highest score first.

    Attributes
    ----------
    before, tokens, behind : (n,) the text before each token, the token, and the text behind it.
    scores : (n,) descending. ids : (n,) row ids.
    """

    kind: ClassVar[str] = "contexts"
    before: tuple[str, ...]
    tokens: tuple[str, ...]
    behind: tuple[str, ...]
    scores: Float[np.ndarray, " n"]
    ids: Int[np.ndarray, " n"]
    quantity: str = "score"

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two tokens."""
        return cls(
            title="two tokens",
            before=("a ", "a black "),
            tokens=("cat", "dog"),
            behind=(" sat", " ran far"),
            scores=np.array([2.0, 1.0 - 0.5 * variant]),
            ids=np.array([1, 6]),
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        columns = {"before": self.before, "token": self.tokens, "behind": self.behind}
        out = pd.DataFrame({k: list(v) for k, v in columns.items()}, index=pd.Index(self.ids, name="row"))
        out[self.quantity] = self.scores
        return out

    def draw(self, *, top: int = 20) -> go.Figure:
        """A line a token: its context with the token in bold, and under it a bar as long as its score."""
        import plotly.graph_objects as go

        n = min(max(top, 1), len(self.scores))
        lines = [self._line(i) for i in range(n)]
        place = np.arange(n)
        low = min(0.0, float(self.scores[:n].min()))
        figure = go.Figure(
            go.Bar(
                x=self.scores[:n],
                y=place + 0.3,
                width=0.22,
                orientation="h",
                marker={"color": theme.ACCENT},
                customdata=self.ids[:n],
                hovertext=lines,
                hovertemplate="%{hovertext}<br>%{x:.4g}<extra></extra>",
                showlegend=False,
            )
        )
        figure.add_trace(
            go.Scatter(
                x=np.full(n, low),
                y=place - 0.12,
                mode="text",
                text=lines,
                textposition="middle right",
                hoverinfo="skip",
                showlegend=False,
            )
        )
        figure.update_layout(
            **theme.layout(
                height=110 + LINE * n,
                margin={"l": 40},
                xaxis={"title": safe(self.quantity)},
                yaxis={
                    "range": [n - 0.4, -0.6],
                    "tickmode": "array",
                    "tickvals": place,
                    "ticktext": [str(i + 1) for i in place],
                    "showgrid": False,
                    "ticks": "",
                },
            )
        )
        return figure

    def _line(self, i: int) -> str:
        before, behind = self.before[i], self.behind[i]
        before = f"…{before[-BEFORE:]}" if len(before) > BEFORE else before
        behind = f"{behind[:BEHIND]}…" if len(behind) > BEHIND else behind
        return f"{safe(before)}<b>{safe(self.tokens[i])}</b>{safe(behind)}"
