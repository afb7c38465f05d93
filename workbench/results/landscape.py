"""Numbers over two axes as a landscape: contours or a surface, with a path on it."""

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
    from jaxtyping import Float, Int

TICKS = 6
PATH = "#D55E00"  # reads on all of the colour scale


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Landscape(Plotted):
    """A number at every place of a plane, and a path over it.

    Attributes
    ----------
    values : (r, c). row_values, column_values : where on the two axes, named by ``row_title`` and ``column_title``.
    row_note, column_note : what else is to be known of an axis, left out where there is little room.
    path : (p, 2) a path over it (column's axis first). path_ids, path_values : its row ids and its values.
    log : whether it is coloured by its logarithm.
    """

    kind: ClassVar[str] = "landscape"
    values: Float[np.ndarray, "r c"]
    row_values: Float[np.ndarray, " r"]
    column_values: Float[np.ndarray, " c"]
    quantity: str = "value"
    row_title: str = ""
    column_title: str = ""
    row_note: str = ""
    column_note: str = ""
    path: Float[np.ndarray, "p 2"] = field(default_factory=lambda: np.empty((0, 2)))
    path_ids: Int[np.ndarray, " p"] = field(default_factory=lambda: np.empty(0, np.int64))
    path_values: Float[np.ndarray, " p"] = field(default_factory=lambda: np.empty(0))
    log: bool = False

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """A bowl, and a way down into it."""
        axis = np.linspace(-1, 1, 9)
        values = np.add.outer(axis**2, (1 + variant) * axis**2)
        path = np.stack([np.linspace(1, 0, 5)] * 2, axis=1)
        return cls(
            title="a bowl",
            values=values,
            row_values=axis,
            column_values=axis,
            path=path,
            path_ids=np.arange(5),
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        rows, columns = (
            pd.Index([f"{v:.4g}" for v in axis]) for axis in (self.row_values, self.column_values)
        )
        return pd.DataFrame(self.values, index=rows, columns=columns)

    def draw(self, *, surface: bool = False) -> go.Figure:
        """Contours over the plane, or with ``surface`` the surface itself; the path's marks carry its row ids."""
        import plotly.graph_objects as go

        z = np.log10(np.maximum(self.values, _least(self))) if self.log else self.values
        bar = {
            "title": {"text": safe(self.quantity)},
            "thickness": 12,
            "outlinewidth": 0,
            **_ticks(z, self.log),
        }
        shown: dict[str, Any] = {
            "x": self.column_values,
            "y": self.row_values,
            "z": z,
            "colorscale": theme.SEQUENTIAL,
            "colorbar": bar,
            "text": [[f"{v:.4g}" for v in row] for row in self.values],
            "name": "",
            "showlegend": False,
            "hovertemplate": f"{safe(self.quantity)} %{{text}}<br>%{{x:.3g}}, %{{y:.3g}}<extra></extra>",
        }
        figure = go.Figure()
        if surface:
            figure.add_trace(
                go.Surface(**shown, contours={"z": {"show": True, "usecolormap": True, "width": 1}})
            )
        else:
            figure.add_trace(
                go.Contour(**shown, ncontours=24, line={"width": 0.6}, contours={"coloring": "heatmap"})
            )
        if len(self.path):
            figure.add_trace(_path(self, surface))
        if surface:
            small = {"size": 12}
            scene = {
                "xaxis": {"title": {"text": safe(self.column_title), "font": small}},
                "yaxis": {"title": {"text": safe(self.row_title), "font": small}},
                "zaxis": {"title": safe(self.quantity), **_ticks(z, self.log)},
                "aspectmode": "cube",
                # a little farther off and lower than plotly looks from, which cuts the titles of both lower axes
                "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.15}, "center": {"x": 0, "y": 0, "z": -0.15}},
            }
            figure.update_layout(**theme.layout(height=620, scene=scene))
        else:
            x, y = _noted(self.column_title, self.column_note), _noted(self.row_title, self.row_note)
            figure.update_layout(**theme.layout(height=540, xaxis={"title": x}, yaxis={"title": y}))
        return figure


def _noted(title: str, note: str) -> str:
    return safe(f"{title} ({note})" if note else title)


def _path(result: Landscape, three: bool) -> Any:
    import plotly.graph_objects as go

    x, y = result.path.T
    values = result.path_values if len(result.path_values) else np.full(len(x), np.nan)
    look: dict[str, Any] = {
        "mode": "lines+markers",
        "line": {"color": PATH, "width": 5 if three else 2},
        "name": "the descent",
        "showlegend": False,
        "customdata": result.path_ids,
        "hoverinfo": "text",
        "hovertext": [f"step {i}: {v:.4g}" for i, v in zip(result.path_ids, values, strict=True)],
        "marker": {
            "size": 3 if three else 6,
            "color": PATH,
            "line": {"width": 0 if three else 1, "color": "white"},
        },
    }
    if not three:
        return go.Scatter(x=x, y=y, **look)
    z = np.log10(np.maximum(values, _least(result))) if result.log else values
    lift = 0.01 * float(np.ptp(z) if len(z) else 0.0)  # else the surface hides half of every mark
    return go.Scatter3d(x=x, y=y, z=z + lift, **look)


def _least(result: Landscape) -> float:
    """What 0 is drawn as on a logarithmic scale."""
    positive = result.values[result.values > 0]
    return float(positive.min()) if len(positive) else 1e-12


def _ticks(z: np.ndarray, log: bool) -> dict[str, Any]:
    """On a logarithmic scale the values stand at the ticks, not their logarithms."""
    if not log:
        return {}
    at = np.linspace(float(z.min()), float(z.max()), TICKS)
    return {"tickvals": at.tolist(), "ticktext": [f"{10**v:.3g}" for v in at]}
