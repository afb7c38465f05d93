"""How the scores of a ranking came to be: a panel each, on one scale a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import safe
from workbench.results.ranking import Ranking

if TYPE_CHECKING:
    from typing import Self

    import plotly.graph_objects as go
    from jaxtyping import Float, Int

COLUMNS = 3
PANEL_HEIGHT = 190
SETTLED = 0.25  # of the way, from where on a row's scale holds all; what is farther away before runs out of the panel


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Paths(Ranking):
    """A ranking that shows how each score came to be.

    Attributes
    ----------
    reference : what ``columns`` compare with beside what the scores do.
    paths : (n, t) the score of each thing over ``path_x``, named by ``path_title``. path_low, path_high : its interval.
    """

    kind: ClassVar[str] = "paths"
    paths: Float[np.ndarray, "n t"]
    path_low: Float[np.ndarray, "n t"]
    path_high: Float[np.ndarray, "n t"]
    path_x: Float[np.ndarray, " t"]
    path_title: str = ""
    reference: str = ""

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Three things whose scores grew."""
        x = np.arange(6.0)
        paths = np.outer([1.0, 0.5 + variant, -0.5], x)
        return cls(
            title="three paths",
            names=("a", "b", "c"),
            scores=paths[:, -1],
            paths=paths,
            path_low=paths - 0.5,
            path_high=paths + 0.5,
            path_x=x,
        )

    def draw(self, *, top: int = 20, paths: bool = False) -> go.Figure:
        """Bars, or with ``paths`` one panel a thing."""
        return _paths(self, self.order(top)) if paths else super().draw(top=top)


def _paths(result: Paths, order: Int[np.ndarray, " k"]) -> go.Figure:
    """One panel a thing, in the order given: the score over x with its interval, and a line at 0."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    columns = min(COLUMNS, len(order))
    rows = -(-len(order) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[safe(result.names[j], width=34) for j in order],
        horizontal_spacing=0.05,
        vertical_spacing=0.3 / rows,
        shared_yaxes=True,
    )
    x = result.path_x
    for place, j in enumerate(order):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        colour = theme.CATEGORICAL[0 if result.scores[j] >= 0 else 5]
        band = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=x, y=result.path_low[j], **band), **at)
        fill = f"rgba{(*bytes.fromhex(colour[1:]), 0.18)}"
        figure.add_trace(go.Scatter(x=x, y=result.path_high[j], fill="tonexty", fillcolor=fill, **band), **at)
        line = {"color": colour, "width": 2}
        figure.add_trace(
            go.Scatter(
                x=x, y=result.paths[j], mode="lines", line=line, showlegend=False, name=safe(result.names[j])
            ),
            **at,
        )
        figure.add_hline(y=0, line={"color": theme.NULL, "width": 1, "dash": "dot"}, **at)
    figure.update_layout(**theme.layout(height=110 + PANEL_HEIGHT * rows))
    figure.update_xaxes(**theme.AXIS)
    figure.update_yaxes(**theme.AXIS)
    for row in range(rows):
        figure.update_yaxes(range=_scale(result, order[row * columns : (row + 1) * columns]), row=row + 1)
    figure.update_annotations(font={"size": 12})
    for place in range(max(0, len(order) - columns), len(order)):  # the lowest of each column
        figure.update_xaxes(title=safe(result.path_title), row=place // columns + 1, col=place % columns + 1)
    figure.update_yaxes(
        title={"text": safe(result.quantity), "font": {"size": 11}}, row=(rows + 1) // 2, col=1
    )
    return figure


def _scale(result: Paths, order: np.ndarray) -> list[float]:
    x = result.path_x
    settled = x >= x[0] + SETTLED * (x[-1] - x[0])
    shown = [a[order][:, settled] for a in (result.path_low, result.path_high, result.paths)]
    low, high = min(0.0, *(float(a.min()) for a in shown)), max(0.0, *(float(a.max()) for a in shown))
    room = 0.08 * (high - low or 1.0)
    return [low - room, high + room]
