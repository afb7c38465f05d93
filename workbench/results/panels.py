"""Curves in panels side by side, and a slider that moves them all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.curve import Curve
from workbench.results.plotted import SLIDER, safe
from workbench.results.sliders import slider

if TYPE_CHECKING:
    from typing import Self

    import plotly.graph_objects as go
    from jaxtyping import Bool, Float

COLUMNS = 2
PANEL_HEIGHT = 250


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Panels(Curve):
    """Curves in panels side by side, which a slider may move.

    Attributes
    ----------
    panels : (m,) the name of the panel that each column of ``y`` is drawn in.
    alike : (m,) columns of one name look alike and share an entry of the legend; ``names`` without it.
    dashed : (m,) which columns are drawn dashed, or empty.
    frames : (t, n, m) y at each position of a slider, named by ``frame_names``, y being one of them; or empty.
    frame_marks : (t,) where on x each position's line is drawn, or empty.
    """

    kind: ClassVar[str] = "panels"
    panels: tuple[str, ...]
    alike: tuple[str, ...] = ()
    dashed: Bool[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0, bool))
    frames: Float[np.ndarray, "t n m"] = field(default_factory=lambda: np.empty((0, 0, 0)))
    frame_names: tuple[str, ...] = ()
    frame_marks: Float[np.ndarray, " t"] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two quantities in a panel each."""
        one = Curve.example(variant)
        return cls(title="two panels", x=one.x, y=one.y, names=one.names, panels=("left", "right"))

    def draw(self) -> go.Figure:
        """One panel for each name in ``panels``, in the order in which they come, each with a y axis of its own.

        A logarithmic scale and the title of y are those of the last panel. Where there are frames, a slider sets y in
        all panels, and a line at the frame's mark. Its steps carry the values themselves, since pages and widgets keep
        a figure's data and layout, not its frames.
        """
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots

        names = tuple(dict.fromkeys(self.panels))
        rows = -(-len(names) // COLUMNS)
        figure = make_subplots(
            rows=rows,
            cols=min(COLUMNS, len(names)),
            subplot_titles=[safe(n) for n in names],
            horizontal_spacing=0.09,
            vertical_spacing=0.28 / max(rows, 1),
        )
        kinds = self.alike or self.names
        places = {name: i for i, name in enumerate(dict.fromkeys(kinds))}
        for j, (panel, name) in enumerate(zip(self.panels, kinds, strict=True)):
            at = names.index(panel)
            first = name not in kinds[:j]
            colour = theme.CATEGORICAL[places[name] % len(theme.CATEGORICAL)]
            dash = "dash" if len(self.dashed) and self.dashed[j] else "solid"
            figure.add_trace(
                go.Scatter(
                    x=self.x,
                    y=self.y[:, j],
                    mode="lines",
                    name=safe(name),
                    legendgroup=name,
                    showlegend=first,
                    line={"color": colour, "dash": dash},
                ),
                row=at // COLUMNS + 1,
                col=at % COLUMNS + 1,
            )
        figure.update_layout(
            **theme.layout(
                height=80 + PANEL_HEIGHT * rows,
                legend={**theme.LEGEND_ABOVE, "y": 1 + 28 / (PANEL_HEIGHT * rows)},
            )
        )
        figure.update_xaxes(title=safe(self.x_title), row=rows)
        figure.update_annotations(font={"size": 13})
        last = f"y{len(names) if len(names) > 1 else ''}"
        if self.log:
            shown = self.y[:, [p == names[-1] for p in self.panels]]
            figure.update_layout({f"yaxis{last[1:]}": theme.log_axis(shown)})
        figure.update_layout({f"yaxis{last[1:]}": {"title": safe(self.y_title)}})
        if len(self.frames):
            _slide(figure, self, len(names), SLIDER)
        return figure


def _slide(figure: go.Figure, result: Panels, panels: int, room: int) -> None:
    moving = {"frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}, "mode": "immediate"}
    marks = result.frame_marks if len(result.frame_marks) else np.full(len(result.frames), np.nan)
    shown = next((t for t, y in enumerate(result.frames) if np.array_equal(y, result.y)), 0)
    steps = []
    for name, y, mark in zip(result.frame_names, result.frames.astype(np.float32), marks, strict=True):
        frame = {"data": [{"y": y[:, j]} for j in range(y.shape[1])], "traces": list(range(y.shape[1]))}
        frame["layout"] = {"shapes": _lines(float(mark), panels)}
        steps.append({"label": safe(name), "method": "animate", "args": [frame, moving]})
    figure.update_layout(
        shapes=_lines(float(marks[shown]), panels),
        height=figure.layout.height + room,
        margin_b=56 + room,
        sliders=[slider(steps, active=shown, below=62)],
    )


def _lines(x: float, panels: int) -> list[dict[str, Any]]:
    """A dotted line from bottom to top of every panel."""
    if not np.isfinite(x):
        return []
    axes = [str(i + 1) if i else "" for i in range(panels)]
    return [
        {
            "type": "line",
            "xref": f"x{a}",
            "yref": f"y{a} domain",
            "x0": x,
            "x1": x,
            "y0": 0,
            "y1": 1,
            "line": {"color": theme.NULL, "dash": "dot", "width": 1.5},
        }
        for a in axes
    ]
