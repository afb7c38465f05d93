"""A number for every pair of named things, which changes along a slider."""

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
    from jaxtyping import Float

MOST_DRAWN = 500_000  # numbers of all frames together, which a page holds


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class MatrixSlices(Plotted):
    """A number for every pair of named things at each position of a slider; NaN is drawn as nothing.

    Attributes
    ----------
    frames : (t, r, c), named by ``frame_names``. quantity : what the numbers are.
    row_names, column_names : of the things; ``row_title`` and ``column_title`` say what they are.
    shown : the frame that is drawn first.
    """

    kind: ClassVar[str] = "matrix_slices"
    frames: Float[np.ndarray, "t r c"]
    frame_names: tuple[str, ...]
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    row_title: str = ""
    column_title: str = ""
    quantity: str = "value"
    shown: int = 0

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Three things that grow alike."""
        names = ("a", "b", "c")
        frames = np.stack([(1 - s) * np.eye(3) + s for s in np.linspace(0, 0.8 + 0.1 * variant, 4)])
        return cls(
            title="three things that grow alike",
            frames=frames,
            frame_names=tuple(f"step {i}" for i in range(4)),
            row_names=names,
            column_names=names,
        )

    def table(self) -> pd.DataFrame:
        """The frame that is drawn first."""
        import pandas as pd

        return pd.DataFrame(
            self.frames[self.shown], index=list(self.row_names), columns=list(self.column_names)
        )

    def draw(self) -> go.Figure:
        """A heat map on one scale for all frames, and a slider.

        Raises
        ------
        DataError
            More numbers than a page holds.
        """
        import plotly.graph_objects as go

        if self.frames.size > MOST_DRAWN:
            raise DataError(
                f"{len(self.frames):,} frames of {self.frames[0].size:,} numbers are more than the {MOST_DRAWN:,} that a page holds. "
                "Give fewer frames."
            )
        finite = self.frames[np.isfinite(self.frames)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        figure = go.Figure(
            go.Heatmap(
                z=_cells(self.frames[self.shown]),
                x=[safe(n) for n in self.column_names],
                y=[safe(n) for n in self.row_names],
                zmin=min(low, 0.0),
                zmax=high if high > min(low, 0.0) else 1.0,
                colorscale=theme.SEQUENTIAL,
                colorbar={
                    "title": {"text": safe(self.quantity), "side": "right"},
                    "thickness": 12,
                    "outlinewidth": 0,
                },
                hoverongaps=False,
                hovertemplate="%{y} and %{x}: %{z:.3g}<extra></extra>",
            )
        )
        # the steps carry the numbers themselves, since pages keep a figure's data and layout, and not its frames
        steps = [
            {"label": safe(name), "method": "restyle", "args": [{"z": [_cells(frame)]}, [0]]}
            for name, frame in zip(self.frame_names, self.frames, strict=True)
        ]
        axis = {"type": "category", "showgrid": False}
        figure.update_layout(
            **theme.layout(
                height=max(380, 160 + 14 * len(self.row_names)) + SLIDER,
                xaxis={**axis, "title": {"text": safe(self.column_title), "standoff": 6}},
                yaxis={**axis, "title": safe(self.row_title), "autorange": "reversed"},
            )
        )
        figure.update_layout(
            margin_b=56 + SLIDER,
            sliders=[slider(steps, active=self.shown, below=62)],
        )
        return figure


def _cells(values: np.ndarray) -> list[list[float | None]]:
    """To four digits, as JSON has numbers: none where there is none."""
    return [[float(f"{v:.4g}") if np.isfinite(v) else None for v in row] for row in values.tolist()]
