"""Numbers, each with its interval and null."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.core.evidence import Evidence
from workbench.results import theme
from workbench.results.plotted import Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Estimate(Plotted):
    """One or more numbers, each with interval and null in ``evidence``, optionally one a row.

    Attributes
    ----------
    per_row : (n, m) the same quantities row by row, or empty; ``ids`` their rows, ``names`` their names.
    """

    kind: ClassVar[str] = "estimate"
    per_row: Float[np.ndarray, "n m"] = field(default_factory=lambda: np.empty((0, 0)))
    ids: Int[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, np.int64))
    names: tuple[str, ...] = ()

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """One number with its interval and null."""
        null = tuple(np.linspace(0, 0.3, 9))
        asked = Evidence(
            id="share",
            question="Is there anything?",
            label="share",
            value=0.5 + 0.1 * variant,
            n=20,
            interval=(0.4, 0.7),
            interval_method="of an example",
            null="rows shuffled",
            null_values=null,
        )
        return cls(title="a share", evidence=(asked,))

    def table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "id": e.id,
                    "of": e.of,
                    "label": e.label,
                    "value": e.value,
                    "low": (e.interval or (np.nan, np.nan))[0],
                    "high": (e.interval or (np.nan, np.nan))[1],
                    "n": e.n,
                    "p": e.p_value,
                }
                for e in self.evidence
            ]
        )

    def draw(self) -> go.Figure:
        """One line a number: the value with its interval, the null's draws in grey behind it."""
        import plotly.graph_objects as go

        figure = go.Figure()
        names = [safe(e.label) for e in self.evidence]
        for name, e in zip(names, self.evidence, strict=True):
            if e.null_values:
                figure.add_trace(
                    go.Scatter(
                        x=e.null_values,
                        y=[name] * len(e.null_values),
                        mode="markers",
                        showlegend=False,
                        marker={"color": theme.NULL, "symbol": "line-ns-open", "size": 12, "opacity": 0.6},
                        hovertemplate="null: %{x:.4g}<extra></extra>",
                    )
                )
        value = [e.value for e in self.evidence]
        low = [v - e.interval[0] if e.interval else 0 for v, e in zip(value, self.evidence, strict=True)]
        high = [e.interval[1] - v if e.interval else 0 for v, e in zip(value, self.evidence, strict=True)]
        figure.add_trace(
            go.Scatter(
                x=value,
                y=names,
                mode="markers",
                marker={"size": 11, "color": theme.ACCENT},
                showlegend=False,
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": high,
                    "arrayminus": low,
                    "thickness": 2,
                },
                hovertemplate="%{y}: %{x:.4g}<extra></extra>",
            )
        )
        wide = any(e.conservative for e in self.evidence if e.interval)
        interval = "interval of at least 95 %" if wide else "95 % interval"
        figure.update_layout(
            **theme.layout(
                height=170 + 44 * len(names),
                yaxis={"autorange": "reversed", "type": "category"},
                xaxis={"title": f"value with its {interval} (grey ticks: draws of the null)"},
            )
        )
        return figure
