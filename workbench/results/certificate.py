"""How far what was merged can be taken out again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Int

CLASSES = ("none", "1: certified", "2", "3 to 4", "5 to 16", "more")
"""How many numbers the merge would have rounded to what is seen."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Certificate(Plotted):
    """Of each entry of merged tensors, how many numbers could have been there before.

    Attributes
    ----------
    names : of the tensors. counts : (n, 6) entries by the number of their candidates, see `CLASSES`.
    largest : (n,) most candidates of an entry. arithmetic : whose merge it is.
    """

    kind: ClassVar[str] = "certificate"
    names: tuple[str, ...]
    counts: Int[np.ndarray, "n six"]
    largest: Int[np.ndarray, " n"]
    arithmetic: str

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two tensors, one with a stronger adapter."""
        return cls(
            title="what can be taken out",
            names=("layer.0.query", "layer.0.value"),
            counts=np.array([[0, 960 - variant, 30, 8, 2, 0], [0, 500, 300, 150, 40, 10]]),
            largest=np.array([9, 40]),
            arithmetic="workbench",
        )

    @property
    def certified(self) -> float:
        """Share of all entries whose number before is certain."""
        return float(self.counts[:, 1].sum() / max(1, self.counts.sum()))

    def table(self) -> pd.DataFrame:
        import pandas as pd

        shares = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        held = {"tensor": list(self.names), "entries": self.counts.sum(axis=1)}
        return pd.DataFrame({**held, **dict(zip(CLASSES, shares.T, strict=True)), "most": self.largest})

    def draw(self, *, top: int = 30) -> go.Figure:
        import plotly.graph_objects as go

        shares = 100 * self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        some = np.argsort(shares[:, 1], kind="stable")[:top]
        figure = go.Figure()
        colours = ("#D55E00", "#0072B2", "#56B4E9", "#E69F00", "#CC79A7", theme.NULL)
        patterns = ("x", "", "", "/", "\\", ".")
        for j, label in enumerate(CLASSES):
            if not self.counts[:, j].any():
                continue
            figure.add_trace(
                go.Bar(
                    x=shares[some, j],
                    y=[safe(self.names[i], width=44) for i in some],
                    orientation="h",
                    name=label,
                    marker={"color": colours[j], "pattern": {"shape": patterns[j]}},
                    hovertemplate="%{y}: %{x:.2f} % " + label + "<extra></extra>",
                )
            )
        figure.update_layout(
            **theme.layout(
                barmode="stack",
                height=max(320, 120 + 24 * len(some)),
                xaxis={"title": "entries in %, by how many numbers could have been there", "range": [0, 100]},
                yaxis={"autorange": "reversed"},
                legend=theme.LEGEND_ABOVE,
            )
        )
        return figure
