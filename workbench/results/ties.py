"""A graph whose edges have strengths: lines as wide as they are strong, coloured by group, with a slider over time.

Every position of the slider has marks of its own, shown one set at a time, so that what stands behind a line is the same
in a report, in JupyterLab and for the selection.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import SLIDER, Plotted, safe
from workbench.results.sliders import slider

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Bool, Float, Int

WIDEST, THINNEST, LEVELS = 11.0, 1.5, 8
BENT = 11  # points of a line, near enough to each other that a click anywhere on it hits one
ASIDE, BESIDE = (
    0.42,
    0.09,
)  # how far the furthest line in a column lies off it, and lines between columns off each other


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Ties(Plotted):
    """How strongly things that stand in a grid are tied to each other, at several positions of a slider.

    Attributes
    ----------
    positions : (n, 2) where a thing stands. edges : (m, 2) the two of each tie, in 0..n-1.
    lines : (t, m) how strong each tie is at each position of the slider; ``lines_name`` says what that is,
        ``frame_names`` where. strong : (t, m) whether it is beyond ``thresholds`` (t, m).
    groups : (m,) which of ``group_names`` a tie belongs to, its colour.
    line_ids, line_starts : row ids behind each tie at each position, one after another, and where each starts
        (t * m + 1), or empty; ``line_notes`` (t * m) say in words what is behind it.
    node_names : one a thing. column_names, row_names : of positions 0, 1, ... across and down.
    """

    kind: ClassVar[str] = "ties"
    positions: Float[np.ndarray, "n 2"]
    edges: Int[np.ndarray, "m 2"]
    lines: Float[np.ndarray, "t m"]
    strong: Bool[np.ndarray, "t m"]
    thresholds: Float[np.ndarray, "t m"]
    groups: Int[np.ndarray, " m"]
    group_names: tuple[str, ...]
    frame_names: tuple[str, ...]
    node_names: tuple[str, ...]
    column_names: tuple[str, ...]
    row_names: tuple[str, ...]
    lines_name: str = "strength"
    line_ids: Int[np.ndarray, " r"] = field(default_factory=lambda: np.empty(0, np.int64))
    line_starts: Int[np.ndarray, " q"] = field(default_factory=lambda: np.empty(0, np.int64))
    line_notes: tuple[str, ...] = ()

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two networks of two layers, tied at their first."""
        return cls(
            title="two networks",
            positions=np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
            edges=np.array([[0, 2], [1, 3]]),
            lines=np.array([[0.9, 0.1 + 0.1 * variant]]),
            strong=np.array([[True, False]]),
            thresholds=np.array([[0.5, 0.5]]),
            groups=np.zeros(2, np.int64),
            group_names=("alike",),
            frame_names=("the end",),
            node_names=("0 of a", "1 of a", "0 of b", "1 of b"),
            column_names=("layer 0", "layer 1"),
            row_names=("a", "b"),
        )

    def behind(self, frame: int, edge: int) -> Int[np.ndarray, " r"]:
        """Row ids behind a tie at a position of the slider."""
        at = frame * len(self.edges) + edge
        return self.line_ids[self.line_starts[at] : self.line_starts[at + 1]]

    def table(self) -> pd.DataFrame:
        """One line a tie and position."""
        import pandas as pd

        t, m = self.lines.shape
        names, rows = np.array(self.node_names, dtype=object), self.positions[:, 1]
        columns = {
            "at": np.repeat(list(self.frame_names), m),
            "of": [self.group_names[g] for g in self.groups] * t,
            "from": np.tile(names[self.edges[:, 0]], t),
            "to": np.tile(names[self.edges[:, 1]], t),
            "between rows": np.tile(rows[self.edges[:, 0]] != rows[self.edges[:, 1]], t),
            self.lines_name: self.lines.ravel(),
            "threshold": self.thresholds.ravel(),
            "above": self.strong.ravel(),
            "behind": list(self.line_notes) or [""] * (t * m),
        }
        return pd.DataFrame(columns)

    def draw(self) -> go.Figure:
        """Lines that aren't beyond their threshold are thin, dotted and pale."""
        import plotly.graph_objects as go

        figure = go.Figure()
        for g, name in enumerate(self.group_names):
            figure.add_trace(
                go.Scatter(
                    x=[None],
                    y=[None],
                    mode="lines",
                    name=safe(name),
                    line={"width": 6, "color": _colour(g)},
                    hoverinfo="skip",
                )
            )
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="lines",
                name="not above its threshold",
                hoverinfo="skip",
                line={"width": 1.5, "color": theme.NULL, "dash": "dot"},
            )
        )
        shown = len(self.lines) - 1
        always = len(figure.data)
        frame_of: list[int] = []
        for t in range(len(self.lines)):
            traces = _of_frame(self, t)
            for trace in traces:
                trace.visible = t == shown
            figure.add_traces(traces)
            frame_of += [t] * len(traces)
        figure.add_trace(_nodes(self))
        names = (list(self.column_names), list(self.row_names))
        axes = [
            {
                "tickvals": list(range(len(n))),
                "ticktext": [safe(v) for v in n],
                "showgrid": False,
                "showline": False,
                "ticks": "",
            }
            for n in names
        ]
        low, high = self.positions.min(axis=0), self.positions.max(axis=0)
        height = max(420, 170 + 110 * len(names[1]))
        figure.update_layout(
            **theme.layout(
                height=height,
                legend=theme.LEGEND_ABOVE,
                hovermode="closest",
                xaxis={**axes[0], "range": [low[0] - 0.5, high[0] + 0.25]},
                yaxis={**axes[1], "range": [high[1] + 0.45, low[1] - 0.45]},
            )
        )
        if len(self.lines) > 1:
            steps = [
                {
                    "label": safe(name),
                    "method": "restyle",
                    "args": [{"visible": [True] * always + [f == t for f in frame_of] + [True]}],
                }
                for t, name in enumerate(self.frame_names)
            ]
            figure.update_layout(
                sliders=[slider(steps, active=shown)],
                height=height + SLIDER,
                margin_b=56 + SLIDER,
            )
        return figure


def _of_frame(result: Ties, t: int) -> list[Any]:
    """The lines of one position, those of equal look in one trace, and a mark in the middle of each."""
    import plotly.graph_objects as go

    alike: dict[tuple[int, bool, int], list[int]] = defaultdict(list)
    for e, g in enumerate(result.groups):
        strong = bool(result.strong[t, e])
        alike[int(g), strong, _level(result.lines[t, e]) if strong else 0].append(e)
    said = [_said(result, t, e) for e in range(len(result.edges))]
    short = [_tied(result, e) for e in range(len(result.edges))]  # repeated along the line
    rows = [result.behind(t, e).tolist() if len(result.line_starts) else [] for e in range(len(result.edges))]
    traces = []
    for (g, strong, level), edges in sorted(alike.items(), key=lambda kv: (kv[0][1], kv[0][2])):
        path = [np.vstack([_bent(result, e), [[np.nan, np.nan]]]) for e in edges]
        xy = np.concatenate(path).round(4)
        width = THINNEST + (WIDEST - THINNEST) * level / LEVELS if strong else THINNEST
        traces.append(
            go.Scatter(
                x=xy[:, 0],
                y=xy[:, 1],
                mode="lines",
                showlegend=False,
                hoverinfo="text",
                opacity=0.85 if strong else 0.45,
                line={
                    "width": width,
                    "shape": "spline",
                    "color": _colour(g),
                    "dash": "solid" if strong else "dot",
                },
                customdata=[r for e in edges for r in [rows[e]] * BENT + [[]]],
                hovertext=[s for e in edges for s in [short[e]] * BENT + [""]],
            )
        )
    middle = np.array([_bent(result, e)[BENT // 2] for e in range(len(result.edges))]).reshape(-1, 2).round(4)
    traces.append(
        go.Scatter(
            x=middle[:, 0],
            y=middle[:, 1],
            mode="markers",
            showlegend=False,
            hoverinfo="text",
            customdata=rows,
            hovertext=said,
            marker={
                "size": 9,
                "color": [_colour(int(g)) for g in result.groups],
                "line": {"width": 1, "color": "white"},
                "opacity": [0.95 if s else 0.5 for s in result.strong[t]],
            },
        )
    )
    return traces


def _nodes(result: Ties) -> Any:
    import plotly.graph_objects as go

    return go.Scatter(
        x=result.positions[:, 0],
        y=result.positions[:, 1],
        mode="markers",
        showlegend=False,
        hoverinfo="text",
        hovertext=[safe(n) for n in result.node_names],
        marker={"size": 22, "color": theme.OTHER, "line": {"width": 2, "color": "#6b7280"}},
    )


def _tied(result: Ties, e: int) -> str:
    a, b = (safe(result.node_names[i]) for i in result.edges[e])
    return f"<b>{safe(result.group_names[result.groups[e]])}</b>: {a} and {b}"


def _said(result: Ties, t: int, e: int) -> str:
    limit = result.thresholds[t, e]
    beyond = "above" if result.strong[t, e] else "not above"
    lines = [
        _tied(result, e),
        f"{safe(result.lines_name)} {result.lines[t, e]:.3f}"
        + (f", {beyond} {limit:.3f}" if np.isfinite(limit) else ""),
    ]
    note = result.line_notes[t * len(result.edges) + e] if result.line_notes else ""
    return "<br>".join([*lines, *([safe(note, width=60)] if note else [])])


def _level(value: float) -> int:
    return int(np.clip(np.ceil(value * LEVELS), 1, LEVELS))


def _bent(result: Ties, e: int) -> np.ndarray:
    """A line's points: one beside the other by group, and in a column to the left, clear of the nodes between."""
    a, b = result.positions[result.edges[e]].astype(np.float64)
    g, groups = int(result.groups[e]), len(result.group_names)
    if a[0] == b[0]:
        far = abs(b[1] - a[1]) - 1
        aside = np.array([-ASIDE * (1 + g + 0.6 * far) / (groups + 0.6 * (len(result.row_names) - 2)), 0.0])
    else:
        aside = np.array([0.0, BESIDE * (g - (groups - 1) / 2)])
    middle = (a + b) / 2 + 2 * aside  # a parabola goes half as far as its control point
    s = np.linspace(0, 1, BENT)[:, None]
    return (1 - s) ** 2 * a + 2 * s * (1 - s) * middle + s**2 * b


def _colour(group: int) -> str:
    return theme.CATEGORICAL[group % len(theme.CATEGORICAL)]
