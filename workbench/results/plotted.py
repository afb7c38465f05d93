"""What all plotted kinds share: title, evidence and row ids on a figure, and text that is shown as it is.

Every mark's ``customdata`` is the row id, or list of row ids, that it stands for, as text where JavaScript has no such
number; ``layout.meta`` has the set of ids (``space``) that they belong to. Text from data is escaped: plotly reads a little HTML.
"""

from __future__ import annotations

import functools
import html
import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from workbench.core.errors import ParameterError
from workbench.core.result import Result
from workbench.results import theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

PLOTLY_MIME = "application/vnd.plotly.v1+json"
LARGEST_EXACT = 2**53 - 1  # of the whole numbers that JavaScript holds exactly
MAX_CATEGORIES = len(theme.CATEGORICAL)
HOVER_CHARACTERS = 220
SLIDER = 76  # pixels under the axis
LEGEND_WIDTH = 660  # pixels
MENU = 40  # pixels of a menu above the axes
TITLE_WIDTH = 88  # characters
CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "toImageButtonOptions": {"format": "png", "scale": 3, "setBackground": "opaque"},
}
"""How a figure behaves where plotly alone draws it, as in a cell: nothing leaves the page, and pictures are fit to print."""
SUBTITLE_SENTENCES = 2  # what stands under a figure's title; the rest is in the result


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Plotted(Result):
    """Base of the kinds that are drawn as plotly figures: a kind writes ``draw``, whose keywords are its options."""

    has_cards: ClassVar[bool] = False
    """Whether all of a cell or mark that is clicked is shown under the figure (``layout.meta.cards``)."""

    def draw(self) -> go.Figure:
        """Draw the answer itself; what all figures share is added by `figure`."""
        raise NotImplementedError

    def figure(self, **options: Any) -> go.Figure:
        """Draw the result as a plotly figure that carries row ids; options depend on the kind.

        Raises
        ------
        ParameterError
            The kind has no such option.
        """
        known = type(self).draw.__kwdefaults__ or {}
        for name in options:
            if name not in known:
                legal = ", ".join(known) or "none"
                raise ParameterError(
                    f"A figure of kind {self.kind} has no option {name!r}. Options: {legal}."
                )
        figure = self.draw(**options)
        said = [
            line for e in self.evidence[:SUBTITLE_SENTENCES] for line in _lines(_unbroken(e.sentence()), 116)
        ]
        for axis in (*figure.select_xaxes(), *figure.select_yaxes()):  # also those beside the first pair
            axis.update({k: v for k, v in theme.AXIS.items() if axis[k] is None})
        for trace in figure.data:
            if trace.customdata is not None:
                trace.customdata = _exact(trace.customdata)
        title = _lines(self.title, TITLE_WIDTH) or [""]
        above = 17 * len(said) + 22 * (len(title) - 1) + _legend_height(figure)
        above += MENU * any(menu.yanchor == "bottom" for menu in figure.layout.updatemenus)
        figure.update_layout(
            title={
                "text": "<br>".join(map(safe, title)),
                "subtitle": {"text": "<br>".join(map(safe, said)), "font": {"size": 12}},
            },
            margin={"t": 64 + above},
            height=figure.layout.height + above,
            meta={"space": self.space, "kind": self.kind},
        )
        return figure

    def drawn(self, **options: Any) -> dict[str, Any]:
        return {PLOTLY_MIME: {**json.loads(self.figure(**options).to_json()), "config": CONFIG}}


def _exact(marks: Any) -> Any:
    """Row ids that a page can tell apart: one that JavaScript's numbers would round is text."""
    if isinstance(marks, np.ndarray) and marks.dtype.kind in "iu":
        far = len(marks) and max(int(marks.max()), -int(marks.min())) > LARGEST_EXACT
        return [_exact(int(m)) for m in marks] if far else marks
    if isinstance(marks, list | tuple | np.ndarray):
        return [_exact(m) for m in marks]
    is_far = isinstance(marks, int | np.integer) and abs(int(marks)) > LARGEST_EXACT
    return str(marks) if is_far else marks


def _lines(text: str, width: int) -> list[str]:
    """The text in lines, broken between words alone: a page joins them again, and breaks them for its own width."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _legend_height(figure: go.Figure) -> int:
    """Pixels that a legend above the axes takes, in as many lines as its names need on a page."""
    if figure.layout.legend.orientation != "h":
        return 0
    names = [t.name for t in figure.data if t.name and t.showlegend is not False]
    return 26 * max(1, -(-sum(48 + 7 * len(n) for n in names) // LEGEND_WIDTH))


def _unbroken(sentence: str) -> str:
    """With the numbers kept on the line of what they are of."""
    return sentence.replace(" = ", "\u00a0=\u00a0").replace("95 %", "95\u00a0%")


def safe(text: Any, *, width: int = 0) -> str:
    """Return text that plotly shows as it is: escaped, without control characters, wrapped at ``width``."""
    return _safe(str(text), width)


@functools.lru_cache(maxsize=100_000)  # a text stands behind each of its tokens
def _safe(text: str, width: int) -> str:
    clean = "".join(c if c.isprintable() else " " for c in text)
    if width:
        if len(clean) > HOVER_CHARACTERS:
            clean = clean[: HOVER_CHARACTERS - 1] + "…"
        return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(clean, width)) or " "
    return html.escape(clean, quote=False)


def hover(result: Result, ids: np.ndarray) -> list[str]:
    """One hover text a row: its id and what the row table says of it."""
    if result.rows is None or not len(result.rows.columns):
        return [f"row {i}" for i in ids]
    rows = result.rows.reindex(ids)
    columns = list(rows.columns)
    texts = []
    for i, values in zip(ids, rows.itertuples(index=False, name=None), strict=True):
        lines = [f"<b>{safe(c)}</b> {safe(v, width=60)}" for c, v in zip(columns, values, strict=True)]
        texts.append("<br>".join([f"row {i}", *lines]))
    return texts


def band(
    figure: Any,
    x: Any,
    low: np.ndarray,
    high: np.ndarray,
    colour: str,
    name: str,
    *,
    legend: bool = True,
    edge_colour: str = "",
) -> None:
    """Fill between two curves, under the ones that come after; edges are dotted, where they have a colour."""
    import plotly.graph_objects as go

    line = {"width": 1, "dash": "dot", "color": edge_colour} if edge_colour else {"width": 0}
    edge = {"x": x, "mode": "lines", "line": line, "hoverinfo": "skip", "legendgroup": name}
    figure.add_trace(go.Scatter(y=high, showlegend=False, **edge))
    fill = f"rgba({int(colour[1:3], 16)},{int(colour[3:5], 16)},{int(colour[5:7], 16)},0.22)"
    figure.add_trace(
        go.Scatter(y=low, fill="tonexty", fillcolor=fill, name=safe(name), showlegend=legend, **edge)
    )
