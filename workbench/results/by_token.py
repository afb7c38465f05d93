"""What figures of layers by tokens share: the tokens' own marks, and the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.results import theme
from workbench.results.plotted import safe

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from jaxtyping import Int


def lay_out(
    figure: go.Figure,
    layers: Sequence[str],
    places: Int[np.ndarray, " t"],
    tokens: Sequence[str],
    ids: np.ndarray,
    *,
    title: str,
    room: int,
) -> None:
    """Give a figure of cells, a line a layer from below, a mark for each token and axes with their names.

    Parameters
    ----------
    places : positions that are shown. tokens : what stands under each, escaped already. ids : their row ids, or empty.
    title : under the tokens, escaped. room : pixels beside the lines of cells.
    """
    import plotly.graph_objects as go

    # a selection lights these and a lasso takes them; cells stand for a token and a layer each
    figure.add_trace(
        go.Scatter(
            x=places,
            y=np.full(len(places), -0.9),
            mode="markers",
            marker={"size": 6, "symbol": "square", "color": theme.ACCENT},
            customdata=ids if len(ids) else None,
            showlegend=False,
            hovertemplate="%{x}<extra></extra>",
        )
    )
    figure.update_layout(
        **theme.layout(
            height=max(300, room + 26 * len(layers)),
            margin={"l": 70, "r": 24},
            xaxis={
                "title": {"text": title, "font": {"size": 12}},
                "tickmode": "array",
                "tickvals": places,
                "ticktext": list(tokens),
                "tickangle": -50,
                "showgrid": False,
                "range": [places[0] - 0.5, places[-1] + 0.5],
            },
            yaxis={
                "tickmode": "array",
                "tickvals": np.arange(len(layers)),
                "ticktext": [safe(name) for name in layers],
                "showgrid": False,
                "range": [-1.3, len(layers) - 0.5],
            },
        )
    )
