"""Graphs whose nodes stand for sets of rows."""

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
class GraphResult(Plotted):
    """A graph whose nodes stand for sets of rows.

    Attributes
    ----------
    positions : (n, 2) where to draw a node. edges : (m, 2) node positions in 0..n-1.
    member_ids, member_starts : row ids of each node, one node after another, and where each starts (n + 1).
    """

    kind: ClassVar[str] = "graph"
    positions: Float[np.ndarray, "n 2"]
    edges: Int[np.ndarray, "m 2"]
    member_ids: Int[np.ndarray, " c"]
    member_starts: Int[np.ndarray, " s"]
    values: Float[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0))
    values_name: str = ""

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """A triangle whose nodes stand for two rows each."""
        return cls(
            title="a triangle",
            positions=np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0 + variant]]),
            edges=np.array([[0, 1], [1, 2], [2, 0]]),
            member_ids=np.arange(6),
            member_starts=np.array([0, 2, 4, 6]),
        )

    def members(self, node: int) -> Int[np.ndarray, " c"]:
        """Row ids of a node."""
        return self.member_ids[self.member_starts[node] : self.member_starts[node + 1]]

    def table(self) -> pd.DataFrame:
        import pandas as pd

        degree = np.bincount(self.edges.ravel(), minlength=len(self.positions))
        return pd.DataFrame({"rows": np.diff(self.member_starts), "degree": degree})

    def draw(self) -> go.Figure:
        import plotly.graph_objects as go

        x, y = self.positions.T if len(self.positions) else (np.empty(0), np.empty(0))
        gap = np.full(len(self.edges), np.nan)
        lines = [np.column_stack([c[self.edges[:, 0]], c[self.edges[:, 1]], gap]).ravel() for c in (x, y)]
        members = [self.members(i).tolist() for i in range(len(x))]
        sizes = np.array([len(m) for m in members], dtype=float)
        values = self.values if len(self.values) else sizes
        name = self.values_name or "rows"
        figure = go.Figure()
        figure.add_trace(
            go.Scatter(
                x=lines[0],
                y=lines[1],
                mode="lines",
                line={"width": 1, "color": theme.NULL},
                hoverinfo="skip",
                showlegend=False,
            )
        )
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                mode="markers",
                customdata=members,
                showlegend=False,
                hoverinfo="text",
                hovertext=[
                    f"node {i}: {len(m)} rows, {safe(name)} {v:.3g}"
                    for i, (m, v) in enumerate(zip(members, values, strict=True))
                ],
                marker={
                    "size": 7 + 18 * np.sqrt(sizes / max(sizes.max(initial=1), 1)),
                    "color": values,
                    "colorscale": theme.SEQUENTIAL,
                    "colorbar": {"title": {"text": safe(name)}, "thickness": 12, "outlinewidth": 0},
                    "line": {"width": 1, "color": "white"},
                },
            )
        )
        hidden = {"visible": False, "showgrid": False}
        figure.update_layout(**theme.layout(height=520, xaxis=hidden, yaxis={**hidden, "scaleanchor": "x"}))
        return figure
