"""Figures that stay connected to the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from workbench.core.results import Result

WIDTH = 900


def figure(result: Result, **options: Any) -> go.FigureWidget:
    """Return a result's figure as a widget."""
    import plotly.graph_objects as go

    return go.FigureWidget(_fitted(result, options))


def redraw(widget: go.FigureWidget, result: Result, **options: Any) -> None:
    """Draw another result in a widget that is there: a new one sends all of plotly to the page again."""
    new = _fitted(result, options)
    widget.data = ()
    widget.add_traces(list(new.data))
    widget.update_layout(new.layout.to_plotly_json(), overwrite=True)


def _fitted(result: Result, options: dict[str, Any]) -> go.Figure:
    """The figure without the evidence under its title, which is shown below it, and of a fixed width.

    A subtitle that is drawn before its figure is on the page lands on the title; a width that follows the
    cell does so only from the first change on, and the figure jumps.
    """
    drawn = result.figure(**options)
    return drawn.update_layout(title_subtitle_text="", width=WIDTH, margin_t=56)
