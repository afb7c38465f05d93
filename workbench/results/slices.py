"""A graph in space whose nodes change with time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.core.errors import DataError
from workbench.results import theme
from workbench.results.plotted import SLIDER, Plotted, safe
from workbench.results.sliders import slider

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int

MOST_DRAWN = 2_000_000  # numbers of all slices together, which a page holds
HOVER = 80  # characters


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Slices(Plotted):
    """Nodes at places in space, joined by edges, with a number each that a slider takes through time, both ways.

    Attributes
    ----------
    positions : (n, 3). edges : (m, 2) node positions in 0..n-1. ids : (n,) row ids of the nodes.
    frames : (t, n), the numbers at each time, which are named by ``frame_names``. quantity : what they are.
    words : (n,) of each node, "" where it has none. axes : names of the three, "" for one that has none.
    """

    kind: ClassVar[str] = "slices"
    positions: Float[np.ndarray, "n 3"]
    edges: Int[np.ndarray, "m 2"]
    ids: Int[np.ndarray, " n"]
    frames: Float[np.ndarray, "t n"]
    frame_names: tuple[str, ...]
    quantity: str = "value"
    words: tuple[str, ...] = ()
    axes: tuple[str, ...] = ("", "", "")

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """A triangle whose numbers turn."""
        t = np.linspace(0, 2 * np.pi, 9)[:, None]
        return cls(
            title="a turning triangle",
            positions=np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.5], [0.5, 1.0, 1.0]]),
            edges=np.array([[0, 1], [1, 2], [2, 0]]),
            ids=np.arange(3),
            frames=np.sin(t + np.arange(3) + variant),
            frame_names=tuple(f"step {i}" for i in range(9)),
            quantity="rate",
            words=("one", "two", ""),
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        out = pd.DataFrame(self.positions, columns=list("xyz"), index=pd.Index(self.ids, name="row"))
        return out.assign(first=self.frames[0], last=self.frames[-1], spread=self.frames.std(axis=0))

    def draw(self) -> go.Figure:
        """Nodes coloured by their numbers; one scale for all times.

        Raises
        ------
        DataError
            More numbers than a page holds.
        """
        import plotly.graph_objects as go

        if self.frames.size > MOST_DRAWN:
            raise DataError(
                f"{len(self.frames):,} slices of {len(self.ids):,} nodes are more than the {MOST_DRAWN:,} numbers that a page holds. "
                "Give fewer slices."
            )
        ends = np.full((len(self.edges), 3, 3), np.nan)
        ends[:, :2] = self.positions[self.edges]
        lines = dict(zip("xyz", ends.reshape(-1, 3).T, strict=True))
        places = dict(zip("xyz", self.positions.T, strict=True))
        words = [safe(w[:HOVER]) for w in self.words] or [""] * len(self.ids)
        hover = [
            f"node {i}: {w}" if w else f"node {i}" for i, w in zip(self.ids.tolist(), words, strict=True)
        ]
        most = float(np.abs(self.frames).max(initial=0)) or 1.0
        name = safe(self.quantity)
        marker = {
            "size": 5,
            "line": {"width": 1, "color": theme.NULL},  # a number near 0 is as pale as the paper
            "color": self.frames[0].astype(np.float32),
            "cmin": -most,
            "cmax": most,
            "colorscale": theme.DIVERGING,
            "colorbar": {"title": {"text": name}, "thickness": 12, "outlinewidth": 0},
        }
        figure = go.Figure()
        figure.add_trace(
            go.Scatter3d(
                **lines,
                mode="lines",
                line={"width": 1, "color": theme.NULL},
                hoverinfo="skip",
                showlegend=False,
            )
        )
        figure.add_trace(
            go.Scatter3d(
                **places,
                mode="markers",
                customdata=self.ids,
                hoverinfo="text",
                hovertext=hover,
                showlegend=False,
                marker=marker,
            )
        )
        # the steps carry the numbers themselves, since pages keep a figure's data and layout, and not its frames
        steps = [
            {
                "label": safe(label),
                "method": "restyle",
                "args": [{"marker.color": [np.round(now, 3).tolist()]}, [1]],
            }
            for label, now in zip(self.frame_names, self.frames, strict=True)
        ]
        axes = zip("xyz", self.axes, strict=True)
        scene = {f"{a}axis": {"title": safe(title), "showticklabels": bool(title)} for a, title in axes}
        figure.update_layout(
            **theme.layout(
                height=560 + SLIDER,
                scene={**scene, "aspectmode": "manual", "aspectratio": {"x": 1.2, "y": 1.2, "z": 1.4}},
            )
        )
        figure.update_layout(sliders=[slider(steps, below=24)], margin_b=SLIDER)
        return figure
