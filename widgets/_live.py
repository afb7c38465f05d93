"""Figures that stay connected to the kernel, and to the selection of the rows that they speak of.

`Figure` is what is displayed: an anywidget, whose model the browser gives 2 s to start, so that it is small and hears nothing
later. What it draws (`Drawing`) and plotly itself (`Library`, once for the page) are models that ipywidgets has itself.
"""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import traitlets

from widgets._selection import shared
from workbench.core.result import Result
from workbench.report.points import asset, figure_script
from workbench.results.plotted import Plotted

WIDTH = 820  # fits a laptop, with the column of files open; a narrower cell has narrower figures


def figure(result: Result, *, width: int = WIDTH, **options: Any) -> ipywidgets.Widget:
    """Return a result as a widget: a figure whose selection is that of every other view of the same rows, or HTML.

    Parameters
    ----------
    width : pixels, at most.
    options : those of the kind.
    """
    if not isinstance(result, Plotted):
        return ipywidgets.HTMLMath(result.drawn(**options)["text/html"], layout={"max_width": f"{width}px"})
    return Figure(result, width, **options)


def redraw(
    widget: ipywidgets.Widget, result: Result, *, as_seen: bool = False, **options: Any
) -> ipywidgets.Widget:
    """Draw another result in a widget that is there, where it can be, so that the page stays as it is.

    Parameters
    ----------
    as_seen : what was zoomed or turned in the widget stays so; for the same answer, drawn again.
    """
    if not isinstance(result, Plotted) or not isinstance(widget, Figure):
        return figure(result, **options)
    widget.show(result, as_seen=as_seen, **options)
    return widget


class Library(ipywidgets.Widget):
    """Plotly as it is sent to the browser.

    Attributes
    ----------
    source : its script, compressed. version : of the script; a page loads one of each.
    """

    source = traitlets.Bytes().tag(sync=True)
    version = traitlets.Unicode().tag(sync=True)


class Drawing(ipywidgets.Widget):
    """What a figure draws, and what a hand did in it.

    Attributes
    ----------
    figure : its data and layout, as JSON.
    selected : of each trace the numbers of the marks that are lit, None where all are alike, False where none can be lit.
    view : what was zoomed and turned since it was drawn: ranges of axes and cameras, by their paths in the layout.
    """

    figure = traitlets.Unicode().tag(sync=True)
    selected: Any = traitlets.List().tag(sync=True)
    view = traitlets.Dict().tag(sync=True)


class Figure(anywidget.AnyWidget):
    """A result's figure, and its part in the selection: what is drawn around or clicked in it, and what it shows as selected.

    Attributes
    ----------
    plotted : the figure as plotly has it; in the browser without the evidence under its title, which is shown below it.
    state : the model of what the browser draws.
    """

    _esm = figure_script() + files("widgets").joinpath("live.js").read_text(encoding="utf-8")
    _css = asset("figure.css")
    width = traitlets.Int().tag(sync=True)
    drawing = traitlets.Unicode().tag(sync=True)
    library = traitlets.Unicode().tag(sync=True)

    def __init__(self, result: Plotted, width: int = WIDTH, **options: Any):
        self.state = Drawing()
        self.state.on_msg(self._act)
        self._shared = shared("")
        self.show(result, **options)
        super().__init__(width=width, drawing=self.state.model_id, library=_library().model_id)

    def show(self, result: Plotted, *, as_seen: bool = False, **options: Any) -> None:
        """Draw a result; ``as_seen`` keeps what was zoomed or turned."""
        self.plotted = result.figure(**options)
        self._marks = [_marks(trace) for trace in self.plotted.data]
        self._shared.leave(self)
        self._shared = shared(result.space)
        lit = self._shared.ids if result.space else np.empty(0, np.int64)
        with self.state.hold_sync():
            self.state.figure = self.plotted.to_json()
            self.state.selected = self._lit(lit)
            if not as_seen:
                self.state.view = {}
        if result.space:  # else its marks are no rows
            self._shared.join(self)

    def mark(self, ids: np.ndarray) -> None:
        """Light the marks that stand for one of these rows."""
        self.state.selected = self._lit(ids)

    def close(self) -> None:
        """Take the figure from the page."""
        self.state.close()
        super().close()

    def _lit(self, ids: np.ndarray) -> list[Any]:
        return [
            (np.unique(of[np.isin(known, ids)]).tolist() if len(ids) else None)
            if len(known) and _selectable(trace)
            else False
            for trace, (known, of) in zip(self.plotted.data, self._marks, strict=True)
        ]

    def _act(self, _: Any, told: dict[str, Any], buffers: Any = None) -> None:
        """Take over what a hand did in the browser."""
        if "cleared" in told:
            self._shared.set(())
        rows = [self._rows(trace, at) for trace, *at in told.get("picked", told.get("clicked", ()))]
        if "picked" in told or any(map(len, rows)):
            self._shared.set(np.concatenate([np.empty(0, np.int64), *rows]))

    def _rows(self, trace: int, marks: list[int]) -> np.ndarray:
        known, of = self._marks[trace]
        return known[np.isin(of, marks)]


def _library() -> Library:
    """The kernel's one copy of plotly, made when the first figure needs it."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    if not _libraries or _libraries[-1].comm is None:  # or closed with all other widgets
        source = gzip.compress(get_plotlyjs().encode(), 6, mtime=0)
        _libraries[:] = [Library(source=source, version=get_plotlyjs_version())]
    return _libraries[-1]


_libraries: list[Library] = []


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
