"""Computation graphs: the operations that a network does on one sample, and what flows between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.subjects.graph import GraphSubject

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

SHOWN = 5  # operations that are named where a notebook shows it


class ComputationGraph(GraphSubject):
    """Operations as nodes; `workbench.computation_graph` makes one of a network.

    Parameters
    ----------
    edges : (m, 2) from the operation that makes a tensor to one that takes it. weights : (m,) bytes of that tensor.
    table : one line an operation: ``name``, ``operation``, ``module`` that it is in, ``level`` (operations on the longest
        way to it), ``shape`` and ``bytes`` of what it makes, ``parameters`` that it reads, ``flops`` (a multiplication and
        an addition are two).
    """

    def __init__(self, edges: np.ndarray, weights: np.ndarray, table: pd.DataFrame, *, name: str):
        super().__init__(edges, len(table), weights=weights, directed=True, name=name, table=table)

    @classmethod
    def example(cls, variant: int = 0) -> ComputationGraph:
        """Two products that are added."""
        import pandas as pd

        flops = np.array([0, 48 + variant, 48, 4])
        table = pd.DataFrame(
            {
                "name": ["x", "linear", "linear_1", "add"],
                "operation": ["input", "linear", "linear", "add"],
                "module": ["", "left", "right", ""],
                "level": [0, 1, 1, 2],
                "shape": ["1 x 6", "1 x 4", "1 x 4", "1 x 4"],
                "bytes": [24, 16, 16, 16],
                "parameters": [0, 28, 28, 0],
                "flops": flops,
            }
        )
        edges = np.array([[0, 1], [0, 2], [1, 3], [2, 3]])
        return cls(edges, np.array([24.0, 24, 16, 16]), table, name="two products")

    @property
    def holds(self) -> str:
        table = self._table
        return (
            f"a computation of {len(table):,} operations, {int(table['level'].max()) + 1:,} of them one after the other at most, "
            f"{int(table['flops'].sum()):,} floating point operations and {int(table['parameters'].sum()):,} parameters read"
        )

    def _more(self) -> list[str]:
        counts = self._table["operation"].value_counts()
        most = ", ".join(f"{n} {o}" for o, n in counts.head(SHOWN).items())
        return [f"Most often: {most}. Drawn by .figure()", *super()._more()]

    def figure(self) -> go.Figure:
        """Draw operations from left to right, each right of all that it takes from; colour says how much it computes."""
        import plotly.graph_objects as go

        from workbench.results import theme
        from workbench.results.plotted import safe

        table = self._table
        x, y = table["level"].to_numpy(float), _heights(self.edges, table["level"].to_numpy())
        lines = _arcs(x, y, self.edges)
        flops = table["flops"].to_numpy(float)
        said = [
            f"{safe(n)}: {safe(o)}<br>{safe(m)}<br>{safe(s)}, {f:,.0f} flops, {p:,} parameters"
            for n, o, m, s, f, p in zip(
                *(table[c] for c in ("name", "operation", "module", "shape", "flops", "parameters")),
                strict=True,
            )
        ]
        figure = go.Figure(
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
                showlegend=False,
                customdata=self.ids,
                hoverinfo="text",
                hovertext=said,
                marker={
                    "size": 9,
                    "color": np.log10(np.maximum(flops, 1)),
                    "colorscale": theme.SEQUENTIAL,
                    "colorbar": {"title": {"text": "flops, log10"}, "thickness": 12, "outlinewidth": 0},
                    "line": {"width": 1, "color": "white"},
                },
            )
        )
        figure.update_layout(
            **theme.layout(
                height=420,
                title={"text": safe(self.name)},
                xaxis={"title": "operations on the longest way here", "showgrid": False},
                yaxis={"visible": False, "showgrid": False},
            )
        )
        return figure


def _heights(edges: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Where operations of one level stand above each other: in the order of the mean height of what they take from."""
    n = len(level)
    height = np.zeros(n)
    for now in range(int(level.max(initial=0)) + 1):
        some = np.flatnonzero(level == now)
        taken = edges[np.isin(edges[:, 1], some)]
        total = np.bincount(taken[:, 1], height[taken[:, 0]], n)[some]
        mean = total / np.maximum(np.bincount(taken[:, 1], minlength=n)[some], 1)
        order = np.argsort(mean, kind="stable")
        height[some[order]] = np.arange(len(some)) - (len(some) - 1) / 2
    return height


def _arcs(x: np.ndarray, y: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines from node to node, each closed by a gap; one that passes levels by is an arc, or it would lie upon these."""
    t = np.linspace(0, 1, 9)
    (x0, x1), (y0, y1) = x[edges].T, y[edges].T
    rise = np.where(x1 - x0 > 1, 0.3 * np.sqrt(np.maximum(x1 - x0, 1)), 0)
    along = x0[:, None] + (x1 - x0)[:, None] * t
    height = y0[:, None] + (y1 - y0)[:, None] * t + rise[:, None] * 4 * t * (1 - t)
    gap = np.full((len(edges), 1), np.nan)
    return np.hstack([along, gap]).ravel(), np.hstack([height, gap]).ravel()
