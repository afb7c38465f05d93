"""How figures look: colour-blind-safe, legible in print and on a projector, light or dark."""

from __future__ import annotations

from typing import Any

import numpy as np

# Okabe and Ito's eight, the ones that read on white and on near-black first (black left out).
CATEGORICAL = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6BB1", "#A6761D")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "hexagon")
SYMBOLS_3D = (  # all that plotly has in three dimensions
    *("circle", "square", "diamond", "cross", "x", "circle-open", "square-open", "diamond-open"),
)
SEQUENTIAL = "Cividis"
DIVERGING = "RdBu"
NULL = "#8a8f98"  # everything that stands for the null is this grey
ACCENT = CATEGORICAL[0]
OTHER = "#b5b9c0"
# in the order of the lines: plotly's own order turns round, one name a line, as soon as a band is filled
LEGEND_ABOVE = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"}

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

AXIS: dict[str, Any] = {
    "showline": True,
    "linecolor": "#9aa0a8",
    "ticks": "outside",
    "tickcolor": "#9aa0a8",
    "ticklen": 4,
    "gridcolor": "rgba(128,134,144,0.18)",
    "zeroline": False,
    "automargin": True,
}


def log_axis(values: np.ndarray) -> dict[str, Any]:
    """A logarithmic axis; over few decades ticks at 1, 2 and 5, since plotly's nine a decade run into each other."""
    axis: dict[str, Any] = {"type": "log", "exponentformat": "power"}
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return axis
    low, high = np.floor(np.log10([positive.min(), positive.max()])).astype(int)
    if high - low > 2:
        return axis
    ticks = [m * 10.0**e for e in range(low - 1, high + 2) for m in (1, 2, 5)]
    return {**axis, "tickvals": ticks, "ticktext": [f"{t:.12g}" for t in ticks]}


def ink_on(values: np.ndarray, zmin: float | None = None, zmax: float | None = None) -> list[str]:
    """Black or white, whichever reads better on the colour that each value has on the sequential scale."""
    from plotly.colors import sample_colorscale

    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    low, high = low if zmin is None else zmin, high if zmax is None else zmax
    # plotly draws the middle of the scale where all values are one
    shares = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    shares = np.nan_to_num(shares, posinf=1.0, neginf=0.0).clip(0, 1)
    colours = np.array(sample_colorscale(SEQUENTIAL.lower(), shares.tolist(), colortype="tuple"))
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    # where black and white have the same contrast (WCAG): (Y + 0.05) / 0.05 = 1.05 / (Y + 0.05)
    return ["#000000" if y > 0.179 else "#ffffff" for y in luminance]


def layout(**changes: Any) -> dict[str, Any]:
    """The layout that every figure starts from; ``changes`` override it."""
    axis = AXIS
    base: dict[str, Any] = {
        "template": "none",
        "font": {"family": _FONT, "size": 13, "color": "#3c4350"},
        "title": {
            "font": {"size": 15},
            "x": 0,
            "xanchor": "left",
            "xref": "paper",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 12},
        },
        "colorway": list(CATEGORICAL),
        "margin": {"l": 64, "r": 24, "t": 56, "b": 56},
        "height": 440,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"align": "left", "font": {"size": 12, "family": _FONT}},
        "legend": {"itemsizing": "constant"},
        "xaxis": axis,
        "yaxis": axis,
    }
    for key, value in changes.items():
        base[key] = (
            {**base[key], **value} if isinstance(base.get(key), dict) and isinstance(value, dict) else value
        )
    return base
