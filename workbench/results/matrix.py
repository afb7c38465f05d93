"""A number for every pair of named things."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class MatrixResult(Plotted):
    """A number for every pair of named things: ``values`` (r, c), ``low`` and ``high`` their intervals."""

    kind: ClassVar[str] = "matrix"
    values: Float[np.ndarray, "r c"]
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    low: Float[np.ndarray, "r c"] = field(default_factory=lambda: np.empty((0, 0)))
    high: Float[np.ndarray, "r c"] = field(default_factory=lambda: np.empty((0, 0)))
    quantity: str = "value"

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """How alike three layers are."""
        names = ("a", "b", "c")
        values = np.eye(3) + (0.5 - 0.1 * variant) * (1 - np.eye(3))
        return cls(title="three layers", values=values, row_names=names, column_names=names)

    def table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.values, index=list(self.row_names), columns=list(self.column_names))

    def draw(self) -> go.Figure:
        """A heat map, with the numbers in it where there is room."""
        import plotly.graph_objects as go

        scale = _scale(self.values)
        columns, rows = [safe(n) for n in self.column_names], [safe(n) for n in self.row_names]
        figure = go.Figure(
            go.Heatmap(
                z=self.values,
                x=columns,
                y=rows,
                colorscale=theme.SEQUENTIAL,
                **scale,
                colorbar={"title": {"text": safe(self.quantity)}, "thickness": 12, "outlinewidth": 0},
                hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
            )
        )
        places: dict[str, Any] = {
            "xaxis": {"type": "category"},
            "yaxis": {"type": "category", "autorange": "reversed"},
        }
        if 0 < self.values.size <= 400:
            # A trace of its own: a heat map's text is white or dark grey as plotly has it, faint on the middle of the scale.
            figure.add_trace(
                go.Scatter(
                    x=columns * len(rows),
                    y=[r for r in rows for _ in columns],
                    mode="text",
                    hoverinfo="skip",
                    showlegend=False,
                    text=[f"{v:.2f}" for v in self.values.ravel()],
                    textfont={"color": theme.ink_on(self.values.ravel(), **scale)},
                )
            )
            # which would leave a margin around the cells
            places = {
                "xaxis": {"type": "category", "range": [-0.5, len(columns) - 0.5]},
                "yaxis": {"type": "category", "range": [len(rows) - 0.5, -0.5]},
            }
        figure.update_layout(**theme.layout(height=max(380, 120 + 38 * len(rows)), **places))
        return figure


def _scale(values: np.ndarray) -> dict[str, float]:
    """From 0 to 1 where all values lie there (but for what scatters around 0), else as the values have it."""
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() >= -0.1 and 0.5 < finite.max() <= 1 + 1e-6:
        return {"zmin": 0.0, "zmax": 1.0}
    return {}
