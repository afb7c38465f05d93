"""Figures that stay connected to the kernel, and to the selection of the rows that they speak of."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from widgets._selection import shared
from workbench.results.plotted import Plotted

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from workbench.core.result import Result

WIDTH = 820  # fits a laptop, with the column of files open
CHARACTER = 11  # pixels of a title


def figure(result: Result, *, width: int = WIDTH, **options: Any) -> ipywidgets.Widget:
    """Return a result as a widget: a figure whose selection is that of every other view of the same rows, or HTML."""
    if not isinstance(result, Plotted):
        return ipywidgets.HTMLMath(result.drawn(**options)["text/html"], layout={"max_width": f"{width}px"})
    import plotly.graph_objects as go

    widget = go.FigureWidget(_fitted(result, width, options))
    _link(widget, result)
    return widget


def redraw(widget: Any, result: Result, *, as_seen: bool = False, **options: Any) -> ipywidgets.Widget:
    """Draw another result in a widget that is there, where it can be: a new one sends all of plotly to the page again.

    Parameters
    ----------
    as_seen : what was zoomed or turned in the widget stays so; for the same answer, drawn again.
    """
    if not isinstance(result, Plotted) or not hasattr(widget, "_linked"):
        return figure(result, **options)
    new = _fitted(result, widget.layout.width or WIDTH, options)
    seen = {name: value for name, value in _looked_at(widget).items() if value != widget._drawn_at.get(name)}
    widget.data = ()
    widget.add_traces(list(new.data))
    widget.update_layout(new.layout.to_plotly_json(), overwrite=True)
    _link(widget, result)
    if as_seen:
        widget.update_layout(seen)
    return widget


def _link(widget: go.FigureWidget, result: Result) -> None:
    widget._linked = Linked(widget, result.space)
    widget._drawn_at = _looked_at(widget)


def _looked_at(widget: go.FigureWidget) -> dict[str, Any]:
    """The ranges of the axes and the cameras, as they were drawn or as somebody zoomed and turned since."""
    axes = (*widget.select_xaxes(), *widget.select_yaxes())
    ranges = {f"{axis.plotly_name}_range": axis.range for axis in axes}
    return ranges | {f"{s.plotly_name}_camera": s.camera.to_plotly_json() for s in widget.select_scenes()}


def _fitted(result: Plotted, width: int, options: dict[str, Any]) -> go.Figure:
    """The figure without the evidence under its title, which is shown below it, and of a fixed width.

    A subtitle that is drawn before its figure is on the page lands on the title; a width that follows the
    cell does so only from the first change on, and the figure jumps. A narrow figure's
    title and legend take as many lines as they need.
    """
    drawn = result.figure(**options)
    whole = (drawn.layout.title.text or "").replace("<br>", " ")  # broken anew, for this width
    title = textwrap.wrap(whole, width // CHARACTER, break_long_words=False)
    above = 34 + 22 * max(1, len(title))
    if drawn.layout.legend.orientation == "h":
        above += (
            max(2, _lines([t.name for t in drawn.data if t.name and t.showlegend is not False], width)) * 26
        )
    at_top = {"yref": "container", "y": 1, "yanchor": "top", "pad": {"t": 16}}
    return drawn.update_layout(
        title={**at_top, "text": "<br>".join(title), "subtitle": {"text": ""}}, width=width, margin_t=above
    )


def _lines(names: list[str], width: int) -> int:
    """How many lines a legend above a figure takes, an entry going to the next where it doesn't fit."""
    room = left = width - 88  # the margins
    lines = 1
    for name in names:
        takes = 48 + 7 * len(name)
        lines, left = (lines, left - takes) if takes <= left else (lines + 1, room - takes)
    return lines


class Linked:
    """A figure's part in the selection: what is drawn around or clicked in it, and what it shows as selected."""

    def __init__(self, widget: go.FigureWidget, space: str):
        self._widget = widget
        self._marks = [_marks(trace) for trace in widget.data]
        self._picked: list[np.ndarray] = []
        self._shared = shared(space)
        if not space:  # its marks are no rows
            return
        for at, trace in enumerate(widget.data):
            if not len(self._marks[at][0]):
                continue
            trace.on_click(self._click)
            if _selectable(trace):
                trace.on_selection(self._select)
                trace.on_deselect(self._clear)
        self._last = max((i for i, t in enumerate(widget.data) if self._hears(i, t)), default=-1)
        self._shared.join(self)

    def mark(self, ids: np.ndarray) -> None:
        """Light the marks that stand for one of these rows."""
        with self._widget.batch_update():
            for i, trace in enumerate(self._widget.data):
                if self._hears(i, trace):
                    known, of = self._marks[i]
                    trace.selectedpoints = np.unique(of[np.isin(known, ids)]).tolist() if len(ids) else None

    def _hears(self, at: int, trace: Any) -> bool:
        return bool(len(self._marks[at][0])) and _selectable(trace)

    def _rows(self, points: Any) -> np.ndarray:
        known, of = self._marks[points.trace_index]
        return known[np.isin(of, points.point_inds)]

    def _select(self, trace: Any, points: Any, _: Any) -> None:
        """Collect from trace after trace; the last one completes the lasso."""
        self._picked.append(self._rows(points))
        if points.trace_index == self._last:
            picked, self._picked = self._picked, []
            self._shared.set(np.concatenate(picked))

    def _click(self, trace: Any, points: Any, _: Any) -> None:
        if points.point_inds and len(rows := self._rows(points)):
            self._shared.set(rows)

    def _clear(self, *_: Any) -> None:
        self._shared.set(())


def _selectable(trace: Any) -> bool:
    return "selectedpoints" in trace and getattr(trace, "mode", "") != "lines"  # not in three dimensions


def _marks(trace: Any) -> tuple[np.ndarray, np.ndarray]:
    """Row ids of a trace's marks, one after another, and which mark each stands behind."""
    data = trace.customdata
    if data is None or not len(data):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    whole = np.asarray(data) if isinstance(data, np.ndarray) else None
    if whole is not None and whole.ndim == 1 and whole.dtype.kind in "iu":
        return whole.astype(np.int64), np.arange(len(whole))
    lists: list[Any] = [[] if m is None else np.atleast_1d(np.asarray(m, dtype=np.int64)) for m in data]
    of = np.repeat(np.arange(len(lists)), [len(m) for m in lists])
    return np.concatenate([np.asarray(m, np.int64) for m in lists]), of
