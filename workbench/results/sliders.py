"""The slider under a figure: all look alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def slider(steps: Sequence[dict[str, Any]], *, active: int = 0, below: int = 56) -> dict[str, Any]:
    """A slider as plotly takes it.

    Parameters
    ----------
    steps : what each position is called and does. active : the position at first. below : pixels between axis and slider.
    """
    return {
        "active": active,
        "steps": list(steps),
        "pad": {"t": below},
        "x": 0,
        "len": 1,
        "ticklen": 4,
        "currentvalue": {"prefix": "", "xanchor": "left"},
        "bordercolor": "#9aa0a8",
        "borderwidth": 1,
    }
