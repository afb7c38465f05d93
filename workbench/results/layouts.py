"""The same rows in each of a sequence of layouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.results.embedding import Embedding, near
from workbench.results.plotted import SLIDER, safe
from workbench.results.sliders import slider

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Layouts(Embedding):
    """Rows in each of a sequence of layouts (layers), between which a slider moves them.

    Attributes
    ----------
    frames : (t, n, k) the layouts, ``values`` being one of them; named by ``frame_names``.
    """

    kind: ClassVar[str] = "layouts"
    rowwise: ClassVar[tuple[str, ...]] = ()  # its frames have their rows second
    frames: Float[np.ndarray, "t n k"]
    frame_names: tuple[str, ...]

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """96 rows in three planes."""
        frames = np.random.default_rng(variant).standard_normal((3, 96, 2)).astype(np.float32).cumsum(axis=0)
        names = ("first", "second", "third")
        return cls(
            title="three planes", values=frames[-1], frames=frames, frame_names=names, ids=np.arange(96)
        )

    def displacement(self) -> Float[np.ndarray, "p n"]:
        """How far each row moves from each layout of ``frames`` to the next: (t - 1, n)."""
        return np.linalg.norm(np.diff(self.frames, axis=0), axis=2)

    def table(self) -> pd.DataFrame:
        return super().table().assign(displacement=self.displacement().sum(axis=0))

    def coloured(self, color: Any) -> tuple[str, np.ndarray | None]:
        """As for an embedding, and by ``"displacement"``: how far each row moves in all."""
        if isinstance(color, str) and color == "displacement":
            return color, self.displacement().sum(axis=0)
        return super().coloured(color)

    def draw(self, *, color: Any = None, size: float | None = None) -> go.Figure:
        """As an embedding, with a slider over the layouts."""
        figure = super().draw(color=color, size=size)
        _slide(figure, self)
        return figure


def _slide(figure: go.Figure, result: Layouts) -> None:
    """Add a slider over a sequence of layouts.

    Its steps carry the positions themselves, since pages and widgets keep a figure's data and layout, not its frames.
    """
    k = result.values.shape[1]
    at = {int(i): place for place, i in enumerate(result.ids)}
    rows = [np.array([at[int(i)] for i in trace.customdata], np.intp) for trace in figure.data]
    redraw = any(trace.type != "scatter" for trace in figure.data)
    shown = next((t for t, y in enumerate(result.frames) if np.array_equal(y, result.values)), 0)
    moving = {
        "frame": {"duration": 400, "redraw": redraw},
        "transition": {"duration": 0 if redraw else 400},
        "mode": "immediate",
    }
    steps = []
    for name, y in zip(result.frame_names, result.frames.astype(np.float32), strict=True):
        columns = [y[:, j] for j in range(min(k, 3))]
        traces = [dict(zip("xyz", (c[here] for c in columns), strict=False)) for here in rows]
        frame = {"data": traces, "traces": list(range(len(rows)))}
        steps.append({"label": safe(name), "method": "animate", "args": [frame, moving]})
    figure.update_layout(
        sliders=[slider(steps, active=shown)],
        height=figure.layout.height + SLIDER,
        margin_b=56 + SLIDER,
    )
    everywhere = result.frames.reshape(-1, k)
    view = near(everywhere)  # in all layouts together: the frame stays while the slider moves
    low, high = (
        view[1:] if view else (everywhere.min(axis=0).astype(float), everywhere.max(axis=0).astype(float))
    )
    room = 0.04 * (high - low) + 1e-6
    ranges = [[float(a - r), float(b + r)] for a, b, r in zip(low, high, room, strict=True)]
    if k >= 3:
        figure.update_scenes({f"{a}axis": {"range": r} for a, r in zip("xyz", ranges, strict=False)})
        return
    figure.update_xaxes(range=ranges[0])
    figure.update_yaxes(range=ranges[1] if k > 1 else [-1, 1])
