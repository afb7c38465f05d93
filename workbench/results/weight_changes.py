"""What became of each tensor between two checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import Plotted, safe

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int

VERDICTS = (
    *("identical", "low-rank", "sparse", "requantized", "permuted"),
    *("permuted and trained on", "trained on", "unrelated"),
)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class WeightChanges(Plotted):
    """What became of each tensor, in order of surprise, those that are the same to the last bit at the end.

    Attributes
    ----------
    verdict : one of `VERDICTS`, of the whole; ``reasons`` say why, a sentence each.
    names, shapes, verdicts : one a tensor.
    changed, sizes : (n,) entries that differ, and that there are. norms, relative : (n,) Frobenius norm of the change, and
        over that of the tensor before. ranks : (n,) singular values above what rounding gives. surprise : (n,) the larger
        of largest singular value and largest entry over what noise of equal norm stays under 95 times in 100.
    cosines : (n,) between before and after. shares : (n,) of the squared norm that ``spectra`` hold.
    spectra : (n, k) largest singular values, 0 where there are no more. angles : (n, 2) smallest principal angle to the
        tensor's own leading directions, of what comes in and what goes out, in degrees.
    missing, extra, reshaped : names of tensors that only the first has, only the second, or both in two shapes.
    """

    kind: ClassVar[str] = "weight_changes"
    verdict: str
    reasons: tuple[str, ...]
    names: tuple[str, ...]
    shapes: tuple[str, ...]
    verdicts: tuple[str, ...]
    changed: Int[np.ndarray, " n"]
    sizes: Int[np.ndarray, " n"]
    norms: Float[np.ndarray, " n"]
    relative: Float[np.ndarray, " n"]
    ranks: Int[np.ndarray, " n"]
    surprise: Float[np.ndarray, " n"]
    cosines: Float[np.ndarray, " n"]
    shares: Float[np.ndarray, " n"]
    spectra: Float[np.ndarray, "n k"]
    angles: Float[np.ndarray, "n two"]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """An adapter's change of one matrix, a trained one, and one that nobody touched."""
        return cls(
            title="three tensors",
            verdict="low-rank",
            reasons=("1 of 2 changed tensors is described by factors of rank 2.",),
            names=("layer.0.query", "layer.0.value", "layer.0.key"),
            shapes=("40 x 24", "40 x 24", "40 x 24"),
            verdicts=("low-rank", "trained on", "identical"),
            changed=np.array([960, 950, 0]),
            sizes=np.array([960, 960, 960]),
            norms=np.array([2.0 + variant, 0.5, 0.0]),
            relative=np.array([0.2, 0.05, 0.0]),
            ranks=np.array([2, 24, 0]),
            surprise=np.array([2.5, 0.9, 0.0]),
            cosines=np.array([0.98, 0.999, 1.0]),
            shares=np.array([1.0, 0.4, 0.0]),
            spectra=np.array([[1.6, 1.2, 0.0], [0.2, 0.18, 0.15], [0.0, 0.0, 0.0]]),
            angles=np.array([[40.0, 55.0], [62.0, 58.0], [90.0, 90.0]]),
        )

    def columns(self) -> dict[str, Any]:
        """What the table holds, column by column."""
        return {
            "tensor": list(self.names),
            "verdict": list(self.verdicts),
            "shape": list(self.shapes),
            "norm": self.norms,
            "over the weights": self.relative,
            "rank": self.ranks,
            "changed": self.changed / np.maximum(self.sizes, 1),
            "over noise": self.surprise,
            "cosine": self.cosines,
            "held by these": self.shares,
            "angle in": self.angles[:, 0],
            "angle out": self.angles[:, 1],
        }

    def table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.columns())

    def _unchanged(self) -> go.Figure:
        """The figure of nothing, which is an answer as well: a line of words."""
        import plotly.graph_objects as go

        none: dict[str, Any] = {"visible": False, "range": [0, 1]}
        figure = go.Figure(
            go.Scatter(x=[0.5], y=[0.5], mode="markers", marker={"opacity": 0}, hoverinfo="skip")
        )
        figure.update_layout(**theme.layout(height=150, xaxis=none, yaxis=none))
        figure.add_annotation(text="no tensor changed", x=0.5, y=0.5, showarrow=False, font={"size": 14})
        return figure

    def draw(self, *, top: int = 6) -> go.Figure:
        from plotly.subplots import make_subplots

        figure = make_subplots(
            rows=2, cols=1, vertical_spacing=0.2, row_heights=[0.55, 0.45], subplot_titles=("", "")
        )
        moved = self.changed > 0
        if not moved.any():
            return self._unchanged()
        strongest = [j for j in range(len(self.names)) if moved[j] and self.spectra[j, :1].any()][:top]
        self._draw_changes(figure, moved)
        self._draw_spectra(figure, strongest)
        figure.add_hline(y=1, line={"color": theme.NULL, "dash": "dot"}, row=1, col=1)
        figure.update_layout(**theme.layout(height=620, legend=theme.LEGEND_ABOVE))
        log = {**theme.AXIS, "exponentformat": "power"}
        figure.update_xaxes(
            {**log, "type": "log", "title": "norm of the change over that of the weights"}, row=1, col=1
        )
        figure.update_yaxes({**log, "type": "log", "title": "over noise of equal norm"}, row=1, col=1)
        figure.update_xaxes(
            {**theme.AXIS, "title": f"rank, of the {max(1, len(strongest))} most surprising"}, row=2, col=1
        )
        figure.update_yaxes({**log, "type": "log", "title": "singular value"}, row=2, col=1)
        return figure

    def _draw_changes(self, figure: go.Figure, moved: np.ndarray) -> None:
        """Each tensor by the size of its change, and by how far that is over noise."""
        import plotly.graph_objects as go

        for i, verdict in enumerate(VERDICTS):
            at = np.flatnonzero(moved & (np.array(self.verdicts) == verdict) & (self.relative > 0))
            if not len(at):
                continue
            figure.add_trace(
                go.Scatter(
                    x=self.relative[at],
                    y=np.maximum(self.surprise[at], 1e-2),
                    mode="markers",
                    name=verdict,
                    marker={"color": theme.CATEGORICAL[i], "symbol": theme.SYMBOLS[i], "size": 9},
                    hovertext=[
                        f"<b>{safe(self.names[j], width=60)}</b><br>{safe(self.shapes[j])}, rank {self.ranks[j]}"
                        for j in at
                    ],
                    hoverinfo="text+x+y",
                ),
                row=1,
                col=1,
            )

    def _draw_spectra(self, figure: go.Figure, strongest: list[int]) -> None:
        import plotly.graph_objects as go

        for i, j in enumerate(strongest):
            values = self.spectra[j][self.spectra[j] > 0]
            figure.add_trace(
                go.Scatter(
                    x=np.arange(1, len(values) + 1),
                    y=values,
                    mode="lines+markers",
                    name=safe(self.names[j]),
                    showlegend=False,
                    line={"color": theme.CATEGORICAL[i % 8], "width": 1.5},
                    marker={"symbol": theme.SYMBOLS[i % 8], "size": 5},
                    hovertext=[safe(self.names[j], width=60)] * len(values),
                    hoverinfo="text+x+y",
                ),
                row=2,
                col=1,
            )
