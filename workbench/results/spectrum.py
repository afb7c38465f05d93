"""Numbers in descending order of importance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import Plotted, band, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Spectrum(Plotted):
    """Numbers in descending order of importance, with the band that the null gives.

    Attributes
    ----------
    values : (k,). null_low, null_high : (k,) 95 % band under the null, or empty.
    quantity : what a value is, with unit. index : what the position is.
    """

    kind: ClassVar[str] = "spectrum"
    values: Float[np.ndarray, " k"]
    null_low: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    null_high: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    quantity: str = "value"
    index: str = "component"

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Twelve falling numbers."""
        return cls(title="a spectrum", values=np.geomspace(10 + variant, 0.1, 12))

    def table(self) -> pd.DataFrame:
        import pandas as pd

        out = pd.DataFrame(
            {self.quantity: self.values}, index=pd.RangeIndex(1, len(self.values) + 1, name=self.index)
        )
        if len(self.null_low):
            out["null, 2.5 %"], out["null, 97.5 %"] = self.null_low, self.null_high
        return out

    def draw(self, *, log: bool = False) -> go.Figure:
        import plotly.graph_objects as go

        k = np.arange(1, len(self.values) + 1)
        figure = go.Figure()
        if len(self.null_low):
            band(figure, k, self.null_low, self.null_high, theme.NULL, "null, 95 %")
        figure.add_trace(
            go.Scatter(
                x=k,
                y=self.values,
                mode="lines+markers",
                marker={"size": 6, "color": theme.ACCENT},
                line={"color": theme.ACCENT},
                name=safe(self.quantity),
            )
        )
        figure.update_layout(
            **theme.layout(
                xaxis={"title": safe(self.index)},
                yaxis={"title": safe(self.quantity), "type": "log" if log else "linear"},
            )
        )
        return figure
