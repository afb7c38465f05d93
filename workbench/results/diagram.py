"""Persistence diagrams, drawn as barcodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.results import theme
from workbench.results.plotted import MAX_CATEGORIES, Plotted

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Diagram(Plotted):
    """A persistence diagram.

    Attributes
    ----------
    pairs : (m, 3) birth, death (may be infinite) and homology dimension, as giotto-tda orders them.
    cycle_ids, cycle_starts : row ids of each bar's representative, one bar after another, and where each
        starts (m + 1 entries); both empty where there are none.
    noise : (k,) per dimension, how long the longest bar is at most in 95 % of the null's draws, on this diagram's
        scale: its death for components, log(death / birth) beyond; NaN without a null.
    """

    kind: ClassVar[str] = "diagram"
    pairs: Float[np.ndarray, "m 3"]
    cycle_ids: Int[np.ndarray, " c"] = field(default_factory=lambda: np.empty(0, np.int64))
    cycle_starts: Int[np.ndarray, " s"] = field(default_factory=lambda: np.empty(0, np.int64))
    noise: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Three pieces, one of them without end, and a loop of four rows."""
        pairs = np.array([[0, np.inf, 0], [0, 0.4, 0], [0, 0.3, 0], [0.5, 1.4 + 0.1 * variant, 1]])
        starts = np.array([0, 0, 0, 0, 4])
        return cls(title="a loop", pairs=pairs, cycle_ids=np.arange(4), cycle_starts=starts)

    def bars(self, dimension: int) -> Float[np.ndarray, "b 2"]:
        """Births and deaths in one dimension, longest first."""
        bars = self.pairs[self.pairs[:, 2] == dimension, :2]
        return bars[np.argsort(bars[:, 0] - bars[:, 1], kind="stable")]

    def cycle(self, bar: int) -> Int[np.ndarray, " c"]:
        """Row ids of the representative of bar ``bar`` (a position in ``pairs``); empty if there is none."""
        if not len(self.cycle_starts):
            return self.cycle_ids
        return self.cycle_ids[self.cycle_starts[bar] : self.cycle_starts[bar + 1]]

    def table(self) -> pd.DataFrame:
        import pandas as pd

        out = pd.DataFrame(self.pairs, columns=["birth", "death", "dimension"]).astype({"dimension": int})
        return out.assign(persistence=out.death - out.birth)

    def draw(self, *, max_bars: int = 60) -> go.Figure:
        """Barcodes, longest bars of each dimension first; across each a tick where 95 % of the null's longest have ended.

        A bar without an end is dotted to the edge and has no tick: how long it is isn't known.
        """
        import plotly.graph_objects as go

        figure = go.Figure()
        longest = [_longest(self, k, max_bars) for k in np.unique(self.pairs[:, 2]).astype(int)]
        end = 1.04 * max([_reach(self, rows) for rows, _ in longest], default=0.0) or 1.0
        at = 0
        for rows, note in longest:
            dimension = int(self.pairs[rows[0], 2])
            births, deaths = self.pairs[rows, :2].T
            heights = np.arange(at, at + len(rows))
            cycles: list[list[int]] = [self.cycle(int(bar)).tolist() for bar in rows]
            said = [
                f"H{dimension}: {b:.4g} to {f'{d:.4g}' if np.isfinite(d) else 'no end'}"
                + (f", cycle of {len(ids)} rows" if ids else "")
                for (b, d), ids in zip(self.pairs[rows, :2].tolist(), cycles, strict=True)
            ]
            colour = theme.CATEGORICAL[dimension % MAX_CATEGORIES]
            for which, name, dash in (
                (np.isfinite(deaths), f"{_kind_of_bar(dimension)}{note}", "solid"),
                (~np.isfinite(deaths), f"H{dimension}, without end", "dot"),
            ):
                if not which.any():
                    continue
                x, y = _segments(births[which], np.minimum(deaths[which], end), heights[which])
                few = np.flatnonzero(which)
                figure.add_trace(
                    go.Scatter(
                        x=x,
                        y=y,
                        mode="lines",
                        line={"width": 3, "color": colour, "dash": dash},
                        name=name,
                        customdata=[c for i in few for c in (cycles[i], cycles[i], [])],
                        hovertext=[t for i in few for t in (said[i], said[i], "")],
                        hoverinfo="text",
                    )
                )
            ticks = _null_ends(self, rows)
            if len(ticks):
                figure.add_trace(
                    go.Scatter(
                        x=ticks,
                        y=heights[np.isfinite(deaths)],
                        mode="markers",
                        name="95 % of the null's longest bars end before",
                        legendgroup="null",
                        showlegend=not at,
                        hoverinfo="skip",
                        marker={
                            "symbol": "line-ns-open",
                            "size": 7,
                            "color": theme.NULL,
                            "line": {"width": 2},
                        },
                    )
                )
            at += len(rows) + 2
        figure.update_layout(
            **theme.layout(
                height=480,
                xaxis={"title": "distance", "range": [0, end]},
                legend=theme.LEGEND_ABOVE,
                yaxis={
                    "title": "one line a bar, longest first",
                    "showticklabels": False,
                    "ticks": "",
                    "autorange": "reversed",
                },
            )
        )
        return figure


def _kind_of_bar(dimension: int) -> str:
    return f"H{dimension}" + ("", ": pieces", ": loops", ": voids")[dimension + 1 if dimension < 3 else 0]


def _longest(result: Diagram, dimension: int, most: int) -> tuple[np.ndarray, str]:
    """Positions of a dimension's longest bars, and a note where there are more."""
    rows = np.flatnonzero(result.pairs[:, 2] == dimension)
    order = rows[np.argsort(result.pairs[rows, 0] - result.pairs[rows, 1], kind="stable")][:most]
    return order, f" (longest {len(order)} of {len(rows)})" if len(rows) > len(order) else ""


def _null_ends(result: Diagram, rows: np.ndarray) -> np.ndarray:
    """Where each bar with an end would end, were it as long as the null's; empty without a null."""
    births, deaths = result.pairs[rows, :2].T.astype(np.float64)
    dimension = int(result.pairs[rows[0], 2])
    if dimension >= len(result.noise) or not np.isfinite(result.noise[dimension]):
        return np.empty(0)
    births = births[np.isfinite(deaths)]
    noise = float(result.noise[dimension])
    return births + noise if dimension == 0 else births * np.exp(noise)


def _reach(result: Diagram, rows: np.ndarray) -> float:
    """How far to the right bars need room: their ends, and the null's at the longest of them."""
    deaths = result.pairs[rows, 1]
    return float(max(deaths[np.isfinite(deaths)].max(initial=0), _null_ends(result, rows)[:1].max(initial=0)))


def _segments(start: np.ndarray, stop: np.ndarray, heights: np.ndarray) -> tuple[list[Any], list[Any]]:
    """Horizontal lines as one trace: two ends and a gap each."""
    x = [v for a, b in zip(start.tolist(), stop.tolist(), strict=True) for v in (a, b, None)]
    return x, [v for h in heights.tolist() for v in (h, h, None)]
