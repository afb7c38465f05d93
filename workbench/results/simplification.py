"""What was left out of a network, step by step, and by what it is known that the function was kept."""

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

PROVEN, ROUNDED = "proven", "rounded"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Simplification(Plotted):
    """Steps that make a network smaller; the first entry of each array is the network as it was.

    Attributes
    ----------
    where : the layer of each step. what : what was done. proof : ``proven`` (the same function of real arithmetic, on the
        domain) or ``rounded`` (exact but for new weights that were rounded to float32).
    units : (k,) how many units each step took out or changed. effect : (k,) how far outputs moved by it at most, at inputs
        that were drawn.
    size : (k + 1,) multiplications of weights that an input takes, before the first step and after each.
    """

    kind: ClassVar[str] = "simplification"
    where: tuple[str, ...]
    what: tuple[str, ...]
    proof: tuple[str, ...]
    units: Int[np.ndarray, " k"]
    effect: Float[np.ndarray, " k"]
    size: Int[np.ndarray, " k1"]
    domain: str = ""

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two steps."""
        return cls(
            title="a small network",
            where=("0", "2"),
            what=("constant units folded", "normalization folded into a neighbour"),
            proof=(PROVEN, ROUNDED),
            units=np.array([3, 8]),
            effect=np.array([0.0, 1e-7]),
            size=np.array([100, 70, 60 - variant]),
            domain="all inputs",
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        steps = {
            "layer": ["", *self.where],
            "step": ["as it was", *self.what],
            "units": [0, *self.units.tolist()],
            "function kept": ["", *self.proof],
            "outputs moved by": [0.0, *self.effect.tolist()],
            "multiplications": self.size,
        }
        return pd.DataFrame(steps)

    def draw(self) -> go.Figure:
        import plotly.graph_objects as go

        names = ["as it was", *(f"{i}. {w}" for i, w in enumerate(self.what, 1))]
        figure = go.Figure()
        looks = {"": (theme.NULL, ""), PROVEN: (theme.ACCENT, ""), ROUNDED: (theme.ACCENT, "/")}
        for proof, label in (("", "as it was"), (PROVEN, "proven"), (ROUNDED, "exact but for rounding")):
            at = [i for i, p in enumerate(["", *self.proof]) if p == proof]
            if not at:
                continue
            colour, shape = looks[proof]
            figure.add_bar(
                x=self.size[at],
                y=[safe(names[i], width=44) for i in at],
                orientation="h",
                name=label,
                marker={"color": colour, "pattern": {"shape": shape}},
                text=[f"{self.size[i]:,}" for i in at],
                textposition="outside",
                cliponaxis=False,
                hoverinfo="x+y",
            )
        figure.update_layout(
            **theme.layout(
                height=max(300, 150 + 42 * len(names)),
                xaxis={
                    "title": "multiplications that an input takes",
                    "range": [0, 1.15 * float(self.size.max())],  # with room for the numbers
                },
                yaxis={
                    "categoryorder": "array",
                    "categoryarray": [safe(n, width=44) for n in names],
                    "autorange": "reversed",
                    "automargin": True,
                },
                barmode="overlay",
                legend=theme.LEGEND_ABOVE,
                showlegend=True,
            )
        )
        return figure
