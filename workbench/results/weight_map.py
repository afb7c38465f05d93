"""What the matrices of a checkpoint are: one line of numbers each, as a map by role and layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.errors import ParameterError
from workbench.results import theme
from workbench.results.plotted import Plotted, safe
from workbench.results.weight_cards import cards_of, lines_of

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd
    import plotly.graph_objects as go

QUANTITIES = {
    "stable_rank_share": "stable rank / side",
    "effective_rank_share": "effective rank / side",
    "entropy_below_random": "entropy below random",
    "largest_over_noise": "largest σ / noise edge",
    "outside_share": "squares outside noise",
    "alpha": "exponent of the tail",
    "norm": "rms of the entries",
    "sparsity": "share of zeros",
    "grid_noise": "rounding / rms",
    "row_outlier": "largest row / median",
    "column_outlier": "largest column / median",
    "non_finite": "entries not finite",
}
"""What the map can be coloured by, and how it is called."""
_SIZES = (7.0, 24.0)  # pixels across, of the smallest and the largest matrix


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class WeightMap(Plotted):
    """One line a matrix.

    Attributes
    ----------
    matrices : facts of each by name, plain numbers and words; None where there is no answer (the spectrum of a matrix that
        holds NaN). ``name``, ``role``, ``layer`` (-1 outside of layers), ``rows`` and ``columns`` are always there, and
        what `QUANTITIES` names. ``spectrum``: ``ranks``, the singular ``values`` there, and where noise of the level of their
        median has 95 % of its own (``low``, ``high``).
    """

    kind: ClassVar[str] = "weight_map"
    has_cards: ClassVar[bool] = True
    matrices: tuple[dict[str, Any], ...]

    @classmethod
    def example(cls, variant: int = 0) -> Self:
        """Two layers of two matrices, and an embedding."""
        lines = [("embed.weight", "embedding", -1, 90, 8)]
        lines += [(f"layer.{i}.{r}", r, i, 8, 8) for i in range(2) for r in ("query", "key")]
        return cls(
            title="five matrices",
            matrices=tuple(
                {
                    "name": n,
                    "role": role,
                    "confidence": 1.0,
                    "layer": layer,
                    "stored": "F32",
                    "rows": rows,
                    "columns": columns,
                    **dict.fromkeys(QUANTITIES),
                    "stable_rank_share": 0.1 * (i + 1 + variant),
                    "norm": 0.02 * (i + 1),
                    "spectrum": {
                        "ranks": [1, 2, 4, 8],
                        "values": [3.0 + i, 1.2, 0.8, 0.1],
                        "low": [1.4, 1.1, 0.7, 0.05],
                        "high": [1.8, 1.3, 0.9, 0.2],
                        "known": 8,
                    },
                }
                for i, (n, role, layer, rows, columns) in enumerate(lines)
            ),
        )

    def table(self) -> pd.DataFrame:
        import pandas as pd

        rows = [{k: v for k, v in m.items() if k != "spectrum"} for m in self.matrices]
        return pd.DataFrame(rows).set_index("name")

    def figure(self, **options: Any) -> go.Figure:
        """Draw the map as a plotly figure; a page shows all of a matrix that is clicked (``layout.meta.cards``)."""
        made = super().figure(**options)
        tested = {e.of: e.sentence() for e in self.evidence if e.id == "stable_rank"}
        made.layout.meta = {**made.layout.meta, "cards": cards_of(self._in_order(), tested)}
        return made

    def _in_order(self) -> tuple[dict[str, Any], ...]:
        """The matrices as they are drawn: small ones last, on top."""
        return tuple(sorted(self.matrices, key=lambda m: -m["rows"] * m["columns"]))

    def draw(self, *, colour: str = "stable_rank_share") -> go.Figure:
        """The map: roles by layers, a mark as large as its matrix; a menu colours it by another quantity (a page has a real one).

        Raises
        ------
        ParameterError
            ``colour`` is none of `QUANTITIES`.
        """
        import plotly.graph_objects as go

        if colour not in QUANTITIES:
            raise ParameterError(
                f"A weight map can't be coloured by {colour!r}. It takes one of {', '.join(QUANTITIES)}."
            )
        told = {q: {m.get(q) for m in self.matrices} - {None} for q in QUANTITIES}
        shown = [
            q for q in QUANTITIES if q == colour or len(told[q]) > 1
        ]  # one number for all colours nothing
        matrices = self._in_order()
        x, y, roles, ticks = _places(matrices, list(dict.fromkeys(m["role"] for m in self.matrices)))
        sizes = np.log10([m["rows"] * m["columns"] + 1.0 for m in matrices])
        low, high = sizes.min(), sizes.max()
        wide = _SIZES[0] + (_SIZES[1] - _SIZES[0]) * (sizes - low) / max(high - low, 1e-9)
        texts = [_hover(m) for m in matrices]
        figure = go.Figure(
            go.Scatter(
                x=x,
                y=y,
                mode="markers",
                hovertext=texts,
                hoverinfo="text",
                showlegend=False,
                marker={
                    "size": wide,
                    "opacity": 1,
                    "line": {"width": 1, "color": "#9aa0a8"},
                    "colorscale": theme.SEQUENTIAL,
                    "showscale": True,
                    "colorbar": _bar(),
                    **_colours(matrices, colour),
                },
            )
        )
        figure.update_layout(
            **theme.layout(
                height=220 + 34 * len(roles),
                margin={"l": 20, "r": 16, "b": 100},
                xaxis={
                    "title": {"text": "layer", "standoff": 4},
                    "tickvals": list(ticks),
                    "ticktext": list(ticks.values()),
                    "tickangle": 0,
                },
                yaxis={
                    "tickvals": list(range(len(roles))),
                    "ticktext": roles,
                    "range": [len(roles) - 0.4, -0.6],
                },
                updatemenus=[_menu(matrices, shown, colour)],
            )
        )
        return figure


def _places(
    matrices: tuple[dict[str, Any], ...], roles: list[str]
) -> tuple[list[float], list[float], list[str], dict[float, str]]:
    """Where each matrix stands: its layer, and its role's line; those of one place side by side."""
    beside: dict[tuple[int, str], list[int]] = {}
    for i, m in enumerate(matrices):
        beside.setdefault((m["layer"], m["role"]), []).append(i)
    x, y = [0.0] * len(matrices), [0.0] * len(matrices)
    for (layer, role), members in beside.items():
        for k, i in enumerate(members):
            x[i] = layer + 0.7 * ((k + 0.5) / len(members) - 0.5)
            y[i] = float(roles.index(role))
    layers = sorted({m["layer"] for m in matrices})
    every = max(1, len(layers) // 12)
    ticks = {float(n): "–" if n < 0 else str(n) for n in layers if n < 0 or n % every == 0}
    return x, y, [safe(r) for r in roles], ticks


def _colours(matrices: tuple[dict[str, Any], ...], quantity: str) -> dict[str, Any]:
    """Colours by a quantity between its 2nd and 98th per cent, so that one matrix doesn't take the scale; grey where there is none."""
    values = np.array([math.nan if m.get(quantity) is None else float(m[quantity]) for m in matrices])
    held = values[np.isfinite(values)]
    if not len(held):
        return {"color": [theme.NULL] * len(values)}
    low, high = np.quantile(held, [0.02, 0.98])
    if low == high:
        low, high = held.min(), held.max() or 1.0
    return {
        "color": [theme.NULL if math.isnan(v) else float(v) for v in values],
        "cmin": float(low),
        "cmax": float(high),
    }


def _bar() -> dict[str, Any]:
    return {
        "orientation": "h",  # beside the map it would take half of a narrow page
        "xanchor": "left",
        "x": 0,
        "y": 0,
        "yref": "container",
        "yanchor": "bottom",
        "len": 1,
        "thickness": 12,
        "outlinewidth": 0,
        "nticks": 5,
    }


def _menu(matrices: tuple[dict[str, Any], ...], shown: list[str], colour: str) -> dict[str, Any]:
    buttons = []
    for quantity in shown:
        colours = _colours(matrices, quantity)
        buttons.append(
            {
                "label": QUANTITIES[quantity],
                "method": "restyle",
                "args": [
                    {
                        "marker.color": [colours["color"]],
                        "marker.cmin": [colours.get("cmin")],
                        "marker.cmax": [colours.get("cmax")],
                    }
                ],
            }
        )
    return {
        "name": "colour",
        "buttons": buttons,
        "active": shown.index(colour),
        "x": 0,
        "xanchor": "left",
        "y": 1.02,
        "yanchor": "bottom",
        "bgcolor": "#e8ebef",
        "bordercolor": "#9aa0a8",
        "font": {"color": "#1c2026", "size": 12},
    }


def _hover(facts: dict[str, Any]) -> str:
    """A matrix's numbers, what belongs together on a line."""
    return "<br>".join(
        [f"<b>{safe(facts['name'], width=44)}</b>", *(safe(text, width=60) for text in lines_of(facts))]
    )
