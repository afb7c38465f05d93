"""Laws: forms of an output in some inputs, by their size and their error."""

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
    from jaxtyping import Float, Int

PARTS = ("fitted", "held out", "out of range")
SHOWN = 40  # characters of a form
LINE = 34  # pixels of a form
BESIDE = 1.0  # times the measured range, by how much farther than it the fit is drawn


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Law(Plotted):
    """Forms of an output, of which no shorter one has less error, and those near the best; and how the best one fits.

    Attributes
    ----------
    target : what the forms are of.
    forms : as text, the best first; ``latex_forms`` as LaTeX. sizes : (k,) symbols of each.
    errors : (k, 3) root mean squared error in units of the output's standard deviation: on the rows it was fitted to, on those
        held out, and on those farthest out; NaN where there are none.
    front : (k,) whether no form of its size or smaller has less error on the rows it was fitted to.
    measured, foretold : (n,) the output and what the best form gives; ``part`` 0 fitted, 1 held out, 2 out of range; ``ids``.
    kinds : what kind of function it is, as quick tests have it; ``shares`` (q,) of the variance that each explains.
    """

    kind: ClassVar[str] = "law"
    target: str
    forms: tuple[str, ...]
    latex_forms: tuple[str, ...]
    sizes: Int[np.ndarray, " k"]
    errors: Float[np.ndarray, "k 3"]
    front: Int[np.ndarray, " k"]
    measured: Float[np.ndarray, " n"]
    foretold: Float[np.ndarray, " n"]
    part: Int[np.ndarray, " n"]
    ids: Int[np.ndarray, " n"]
    kinds: tuple[str, ...] = ()
    shares: Float[np.ndarray, " q"]

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two forms of a falling body's way."""
        t = np.linspace(0, 2, 12)
        way = (4.9 + variant) * t**2
        return cls(
            title="way = 49/10*t**2",
            target="way",
            forms=("49/10*t**2", "11*t - 4"),
            latex_forms=(r"\frac{49}{10}\,t^{2}", r"11\,t - 4"),
            sizes=np.array([5, 6]),
            errors=np.array([[0.01, 0.012, 0.011], [0.2, 0.25, 0.4]]),
            front=np.array([1, 0]),
            measured=way + 0.05 * np.sin(9 * t),
            foretold=way,
            part=np.arange(12) % 3,
            ids=np.arange(12),
            kinds=("affine",),
            shares=np.array([0.9]),
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {
                "form": list(self.forms),
                "size": self.sizes,
                **{f"error, {p}": self.errors[:, i] for i, p in enumerate(PARTS)},
                "none shorter is better": self.front.astype(bool),
            }
        )

    def latex(self) -> str:
        """The best form as LaTeX, without dollar signs."""
        return self.latex_forms[0]

    def draw(self, *, top: int = 8) -> go.Figure:
        """What the best form gives beside what was measured; beneath it the forms by size, with their errors."""
        from plotly.subplots import make_subplots

        order = sorted(range(len(self.forms)), key=lambda i: (i != 0, not self.front[i], i))[:top]
        order.sort(key=lambda i: (self.sizes[i], i))
        heights = [300, 60 + LINE * len(order)]
        figure = make_subplots(rows=2, cols=1, row_heights=heights, vertical_spacing=70 / (sum(heights) + 70))
        self._draw_fit(figure)
        self._draw_forms(figure, order)
        figure.update_layout(**theme.layout(height=sum(heights) + 190, legend=theme.LEGEND_ABOVE))
        return figure

    def _draw_fit(self, figure: go.Figure) -> None:
        import plotly.graph_objects as go

        low, high = float(self.measured.min()), float(self.measured.max())
        figure.add_trace(
            go.Scatter(
                x=[low, high],
                y=[low, high],
                mode="lines",
                line={"color": theme.NULL, "width": 1},
                showlegend=False,
                hoverinfo="skip",
            ),
            row=1,
            col=1,
        )
        for p, name in enumerate(PARTS):
            at = self.part == p
            if at.any():
                figure.add_trace(
                    go.Scatter(
                        x=self.measured[at],
                        y=self.foretold[at],
                        mode="markers",
                        name=name,
                        legendgroup=name,
                        customdata=self.ids[at],
                        marker={
                            "size": 7,
                            "color": theme.CATEGORICAL[p],
                            "symbol": theme.SYMBOLS[p],
                            "opacity": 0.75,
                        },
                        hovertemplate=f"measured %{{x:.4g}}<br>the form %{{y:.4g}}<extra>{name}</extra>",
                    ),
                    row=1,
                    col=1,
                )
        figure.update_xaxes(title=safe(f"{_short(self.target)}, measured"), row=1, col=1)
        figure.update_yaxes(title="by the best form", row=1, col=1)
        self._keep_near(figure, low, high)

    def _keep_near(self, figure: go.Figure, low: float, high: float) -> None:
        """Leave out what lies far beyond the measured range, else it would make a line of all the rest, and say how many."""
        room = BESIDE * (high - low)
        beyond = int(((self.foretold < low - room) | (self.foretold > high + room)).sum())
        if beyond and room:  # else one of them would make a line of all others
            figure.update_yaxes(range=[low - room, high + room], row=1, col=1)
            figure.add_annotation(
                text=f"{beyond} beyond what is shown",
                x=1,
                y=1,
                xref="x domain",
                yref="y domain",
                xanchor="right",
                yanchor="top",
                showarrow=False,
                font={"size": 11},
            )

    def _draw_forms(self, figure: go.Figure, order: list[int]) -> None:
        import plotly.graph_objects as go

        lines = list(range(len(order)))
        for p, name in enumerate(PARTS):
            e = self.errors[order, p]
            if np.isfinite(e).any():
                figure.add_trace(
                    go.Scatter(
                        x=[float(v) if np.isfinite(v) else None for v in np.maximum(e, 1e-12)],
                        y=lines,
                        mode="markers",
                        name=name,
                        legendgroup=name,
                        showlegend=False,
                        marker={"size": 9, "color": theme.CATEGORICAL[p], "symbol": theme.SYMBOLS[p]},
                        customdata=None,
                        text=[safe(self.forms[i], width=60) for i in order],
                        hovertemplate=f"%{{text}}<br>error %{{x:.3g}}<extra>{name}</extra>",
                    ),
                    row=2,
                    col=1,
                )
        for line, i in zip(lines, order, strict=True):
            mark = "<b>{}</b>" if i == 0 else "{}"
            figure.add_annotation(
                x=0,
                y=line,
                xref="x2 domain",
                yref="y2",
                yshift=13,
                xanchor="left",
                showarrow=False,
                align="left",
                font={"size": 11},
                text=mark.format(safe(_short(self.forms[i]))),
            )
        finite = self.errors[order][np.isfinite(self.errors[order])]
        figure.update_xaxes(
            title="error, in the output's standard deviations",
            **theme.log_axis(np.maximum(finite, 1e-12)),
            row=2,
            col=1,
        )
        figure.update_yaxes(
            title="size",
            tickvals=lines,
            ticktext=[str(self.sizes[i]) for i in order],
            range=[len(order) - 0.5, -0.9],
            row=2,
            col=1,
        )


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
