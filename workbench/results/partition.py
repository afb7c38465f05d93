"""Rows put into groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import MAX_CATEGORIES, Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Partition(Plotted):
    """Rows put into groups.

    Attributes
    ----------
    labels : (n,) group of each row, from 0; -1 for none. ids : (n,) row ids.
    names : one name a group, or empty.
    spectrum : the numbers that chose the number of groups (eigenvalues), or empty.
    """

    kind: ClassVar[str] = "partition"
    rowwise: ClassVar[tuple[str, ...]] = ("labels",)
    labels: Int[np.ndarray, " n"]
    ids: Int[np.ndarray, " n"]
    names: tuple[str, ...] = ()
    spectrum: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Three groups of 32 rows."""
        labels = (
            np.random.default_rng(variant).permutation(np.repeat([0, 1, 2], 32))
            if variant
            else np.repeat([0, 1, 2], 32)
        )
        return cls(title="three groups", labels=labels, ids=np.arange(96))

    @property
    def n_groups(self) -> int:
        """Number of groups, not counting -1."""
        return int(self.labels.max()) + 1 if len(self.labels) else 0

    def name_of(self, group: int) -> str:
        """A group's name, or its number."""
        return self.names[group] if self.names else str(group)

    def members(self, group: int) -> Int[np.ndarray, " m"]:
        """Row ids of a group."""
        return self.ids[self.labels == group]

    def table(self) -> pd.DataFrame:
        import pandas as pd

        names = [self.name_of(g) if g >= 0 else "" for g in self.labels]
        return pd.DataFrame({"group": self.labels, "name": names}, index=pd.Index(self.ids, name="row"))

    def draw(self) -> go.Figure:
        """One bar a group, its rows behind it; the numbers that chose how many stand beside."""
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots

        groups = range(self.n_groups)
        members = [self.members(g) for g in groups]
        names = [safe(self.name_of(g), width=40) for g in groups]
        columns = 2 if len(self.spectrum) else 1
        figure = make_subplots(
            rows=1, cols=columns, column_widths=[0.62, 0.38][:columns], horizontal_spacing=0.12
        )
        figure.add_trace(
            go.Bar(
                x=[len(m) for m in members],
                y=[f"{g}" for g in groups],
                orientation="h",
                customdata=[m.tolist() for m in members],
                text=names,
                textposition="auto",
                textangle=0,
                hovertext=[f"{n}: {len(m)} rows" for n, m in zip(names, members, strict=True)],
                hoverinfo="text",
                marker={"color": [theme.CATEGORICAL[g % MAX_CATEGORIES] for g in groups]},
                showlegend=False,
            ),
            row=1,
            col=1,
        )
        figure.update_layout(**theme.layout(height=max(320, 90 + 34 * len(members))))
        figure.update_xaxes(title="rows in it", row=1, col=1)
        figure.update_yaxes(
            title="cluster, largest first", type="category", autorange="reversed", row=1, col=1
        )
        if columns == 2:
            k = np.arange(1, len(self.spectrum) + 1)
            colours = [theme.ACCENT if i <= self.n_groups else theme.NULL for i in k]
            figure.add_trace(
                go.Scatter(
                    x=k,
                    y=self.spectrum,
                    mode="markers",
                    marker={"color": colours, "size": 8},
                    showlegend=False,
                    hovertemplate="eigenvalue %{x}: %{y:.4f}<extra></extra>",
                ),
                row=1,
                col=2,
            )
            figure.update_xaxes(title="which eigenvalue, smallest first", row=1, col=2)
            figure.update_yaxes(title="Laplacian eigenvalue", row=1, col=2)
        return figure
