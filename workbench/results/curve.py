"""Quantities along an axis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import MAX_CATEGORIES, Plotted, band, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float

MARKED = 80  # points of a curve; more are drawn as a line alone


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Curve(Plotted):
    """One or more quantities along an axis.

    Attributes
    ----------
    x : (n,) positions; ``x_names`` their names where they are things (layers).
    y : (n, m) one column a quantity, named by ``names``. low, high : (n, m) intervals, or empty.
    null_low, null_high : (n, m) band of the null, or of what ``beside`` names in its place; or empty.
    log : whether y is drawn on a logarithmic scale.
    spans : (s, 2) stretches of x that are shaded, named by ``span_names``.
    """

    kind: ClassVar[str] = "curve"
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, "n m"]
    names: tuple[str, ...]
    x_names: tuple[str, ...] = ()
    low: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    high: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    null_low: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    null_high: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    beside: str = "null"
    x_title: str = ""
    y_title: str = ""
    log: bool = False
    spans: Float[np.ndarray, "s 2"] = field(default_factory=lambda: np.empty((0, 2)))
    span_names: tuple[str, ...] = ()

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two quantities over twenty steps."""
        x = np.arange(20.0)
        y = np.stack([np.exp(-x / (5 + variant)), x / 20], axis=1)
        return cls(title="two curves", x=x, y=y, names=("falls", "rises"))

    def table(self) -> pd.DataFrame:
        import pandas as pd

        index = pd.Index(list(self.x_names) or self.x, name=self.x_title or "x")
        out = pd.DataFrame(self.y, index=index, columns=list(self.names))
        if self.low.size:
            for j, name in enumerate(self.names):
                out[f"{name}, low"], out[f"{name}, high"] = self.low[:, j], self.high[:, j]
        return out

    def draw(self) -> go.Figure:
        """Lines with their intervals in their own colour; nulls' bands in grey, edged like the line where there are several."""
        import plotly.graph_objects as go

        figure = go.Figure()
        x = [safe(n) for n in self.x_names] if self.x_names else self.x
        mode = "lines+markers" if len(self.x) <= MARKED else "lines"
        nulls = [
            j for j in range(len(self.names)) if self.null_low.size and np.isfinite(self.null_low[:, j]).any()
        ]
        for j in nulls:
            low, high = self.null_low[:, j], self.null_high[:, j]
            own = theme.CATEGORICAL[j % MAX_CATEGORIES] if len(nulls) > 1 else ""  # which curve's it is
            said = f"{self.beside}, 95 %" + (", dotted in the line's colour" if own else "")
            band(figure, x, low, high, theme.NULL, said, legend=j == nulls[0], edge_colour=own)
        for j, name in enumerate(self.names):
            colour = theme.CATEGORICAL[j % MAX_CATEGORIES]
            if self.low.size:
                band(
                    figure, x, self.low[:, j], self.high[:, j], colour, f"{name}: 95 % interval", legend=False
                )
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=self.y[:, j],
                    mode=mode,
                    name=safe(name),
                    line={"color": colour},
                    marker={"size": 7, "symbol": theme.SYMBOLS[j % len(theme.SYMBOLS)]},
                )
            )
        for (start, stop), name in zip(self.spans, self.span_names, strict=True):
            figure.add_vrect(
                x0=start,
                x1=stop,
                fillcolor=theme.NULL,
                opacity=0.22,
                line_width=0,
                layer="below",
                annotation={"text": safe(name), "font": {"size": 11}},
                annotation_position="top left",
            )
        scale = theme.log_axis(self.y) if self.log else {}
        figure.update_layout(
            **theme.layout(
                xaxis={"title": safe(self.x_title), **({"type": "category"} if self.x_names else {})},
                yaxis={"title": safe(self.y_title), **scale},
                legend=theme.LEGEND_ABOVE,
            )
        )
        return figure
