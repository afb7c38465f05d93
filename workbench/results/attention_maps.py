"""Attention maps of one text: from each token to each, a small picture a head."""

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

COLUMNS = 2
HEIGHT = 215  # pixels of a small picture
ALONE = 520  # of one by itself


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class AttentionMaps(Plotted):
    """How much each token of a text looks at each, in several heads or layers.

    Attributes
    ----------
    maps : (h, t, t) weights from a token (row) to a token (column).
    names : one a map. order : (h,) places of the maps, those to be looked at first in front.
    notes : what a map is remarkable for, in a few words, or "".
    tokens : (t,) as they are spelled. ids : (t,) their row ids; empty where the text is none of a subject's.
    measures : (h, m) more numbers of each map, named by ``measure_names``.
    """

    kind: ClassVar[str] = "attention_maps"
    maps: Float[np.ndarray, "h t t"]
    names: tuple[str, ...]
    tokens: tuple[str, ...]
    ids: Int[np.ndarray, " t"]
    order: Int[np.ndarray, " h"] = field(default_factory=lambda: np.empty(0, np.int64))
    notes: tuple[str, ...] = ()
    measures: Float[np.ndarray, "h m"] = field(default_factory=lambda: np.empty((0, 0)))
    measure_names: tuple[str, ...] = ()

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two heads over three tokens: one looks back by one, one at all alike."""
        back = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
        even = np.tril(np.ones((3, 3))) / np.arange(1, 4)[:, None]
        maps = np.stack([back, (1 - 0.1 * variant) * even])
        names = ("layer 0, head 0", "layer 0, head 1")
        return cls(title="two heads", maps=maps, names=names, tokens=("a", "cat", "sat"), ids=np.arange(3))

    def table(self) -> pd.DataFrame:
        """One line a map: its measures and what it is remarkable for."""
        import pandas as pd

        out = pd.DataFrame(index=pd.Index(list(self.names), name="map"))
        for j, name in enumerate(self.measure_names):
            out[name] = self.measures[:, j]
        out["note"] = list(self.notes) or [""] * len(self.names)
        return out.iloc[self.order] if len(self.order) else out

    def draw(self, *, top: int = 8, head: str = "") -> go.Figure:
        """Small pictures of the first ``top`` maps, or the one that is called ``head`` by itself; dots are the tokens' rows."""
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots

        shown = self._shown(top, head)
        alone = len(shown) == 1
        columns = min(COLUMNS, len(shown))
        rows = -(-len(shown) // columns)
        height = ALONE if alone else HEIGHT * rows
        titles = [f"{safe(self.names[j])}<br>{safe(self._note(j))}" for j in shown]
        figure = make_subplots(
            rows=rows,
            cols=columns,
            subplot_titles=titles,
            horizontal_spacing=0.06,
            vertical_spacing=0.0 if rows == 1 else min(0.9 / (rows - 1), 48 / height),
        )
        t = len(self.tokens)
        spelled = [f"{i} {safe(token, width=24)}" for i, token in enumerate(self.tokens)]
        for k, j in enumerate(shown):
            place: dict[str, Any] = {"row": k // columns + 1, "col": k % columns + 1}
            figure.add_trace(
                go.Heatmap(
                    z=self.maps[j].astype(np.float32),
                    zmin=0,
                    zmax=1,
                    colorscale=theme.SEQUENTIAL,
                    showscale=k == 0,
                    colorbar={
                        "title": {"text": "weight", "side": "top"},
                        "orientation": "h",
                        "y": 0,
                        "yanchor": "top",
                        "ypad": 90 if alone else 8,
                        "len": 0.6,
                        "thickness": 8,
                        "outlinewidth": 0,
                    },
                    hovertemplate="from %{y} to %{x}: %{z:.3f}<extra></extra>",
                ),
                **place,
            )
            # the rows' own marks, which a selection lights and a lasso takes; cells stand for two rows each
            figure.add_trace(
                go.Scatter(
                    x=np.full(t, -1.0),
                    y=np.arange(t),
                    mode="markers",
                    marker={"size": 4, "symbol": "square", "color": theme.ACCENT},
                    customdata=self.ids if len(self.ids) else None,
                    showlegend=False,
                    hovertemplate="%{y}<extra></extra>",
                ),
                **place,
            )
        axis: dict[str, Any] = {
            "tickmode": "array",
            "tickvals": list(range(t)),
            "ticktext": spelled,
            "showticklabels": alone,
            "showgrid": False,
            "ticks": "",
            "showline": False,
        }
        figure.update_layout(**theme.layout(height=height + 150, margin={"l": 16, "r": 16, "b": 64}))
        figure.update_xaxes(**axis, range=[-1.6, t - 0.5], tickangle=-60)
        figure.update_yaxes(**axis, range=[t - 0.5, -0.5])
        figure.update_annotations(font={"size": 11})
        return figure

    def _shown(self, top: int, head: str) -> list[int]:
        from workbench.core.errors import MissingError, suggest

        if head:
            if head not in self.names:
                raise MissingError(f"{self.title} has no map {head!r}. {suggest(head, self.names)}")
            return [self.names.index(head)]
        order = self.order if len(self.order) else np.arange(len(self.names))
        return [int(j) for j in order[: max(1, top)]]

    def _note(self, j: int) -> str:
        return self.notes[j] if self.notes else ""
