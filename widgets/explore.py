"""Activations, site by site: an embedding to colour, and to select rows in with a lasso."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from widgets import _html
from widgets._live import figure, redraw
from widgets._work import Work, explained
from workbench.core.errors import MissingError, ParameterError, suggest
from workbench.core.registry import Method, methods
from workbench.core.results import Embedding
from workbench.core.subjects import Activations, as_subject
from workbench.core.views import Points

SHOWN_ROWS = 12
PLAIN = "(one colour)"
QUALITY = "quality"


def explore(
    subject: Any, *, method: str = "pca", color: str | None = None, sample: int = 2000, random_state: int = 0
) -> Explorer:
    """Return a view of a subject's rows: one embedding a site, coloured by a column, with a lasso.

    Parameters
    ----------
    subject : activations, a cloud, an array or a table.
    method : the embedding to begin with; the others are in the view's list.
    color : the column to colour by at first.
    sample : at most so many rows are drawn and embedded.
    random_state : seed of the sample and of the embedding.

    Raises
    ------
    ViewError
        The subject has no rows to embed.
    ParameterError
        There is no such embedding or column.
    """
    return Explorer(as_subject(subject), method, color, sample, random_state)


class Explorer(_html.Static):
    """An embedding of the rows, to choose site, method and colour of, and to select in.

    Attributes
    ----------
    selection : row ids, sorted; set by the lasso, or from code. Observe it with ``observe(f, "selection")``.
    selected : the selection as a subject, which any method can be asked about.
    site, method, color : the dropdowns.
    figure : the figure, live.
    """

    selection = traitlets.Tuple()

    def __init__(self, subject: Any, method: str, color: str | None, sample: int, random_state: int):
        if not isinstance(subject, Activations):
            subject.view(Points)  # refused here, with what it holds instead
        self.subject: Any = subject
        self.sample: Any = self.subject.sample(sample, random_state)
        self.random_state = random_state
        self._embedded: dict[tuple[str, str], Embedding] = {}
        self._methods = embeddings()
        sites = getattr(subject, "sites", [""])
        columns = list(map(str, self.subject.table.columns))
        _require("embedding", method, self._methods)
        if color is not None:
            _require("column", color, columns)
        self.site = ipywidgets.Dropdown(options=sites, value=sites[-1], description="at")
        self.method = ipywidgets.Dropdown(options=list(self._methods), value=method, description="method")
        self.color = ipywidgets.Dropdown(
            options=list(dict.fromkeys([PLAIN, *columns, QUALITY])),
            value=color or PLAIN,
            description="colour",
        )
        self.site.layout.display = "" if len(sites) > 1 else "none"
        self.work = Work()
        self.message = ipywidgets.HTML()
        self.holder = ipywidgets.VBox()
        self.told = ipywidgets.HTML()
        self.answer = ipywidgets.HTML()
        self.figure: Any = None
        super().__init__([
            ipywidgets.HBox([self.site, self.method, self.color]),
            self.work, self.message, self.holder, self.told, self.answer,
        ])  # fmt: skip
        self._finished(self._place, self._embed(self._place))
        for dropdown in (self.site, self.method):
            dropdown.observe(self._changed, "value")
        self.color.observe(lambda _: self._draw(), "value")

    @property
    def result(self) -> Embedding:
        """The embedding that is shown."""
        return self._embedded[self._place]

    @property
    def _place(self) -> tuple[str, str]:
        return str(self.site.value), str(self.method.value)

    @property
    def selected(self) -> Any:
        """The selected rows as a subject; refused while nothing is selected."""
        return self.subject.select(np.array(self.selection, dtype=np.int64))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being computed; return whether that is so."""
        return self.work.wait(timeout)

    def static_html(self) -> str:
        """What the embedding answers."""
        return _html.answer(self.result)

    def static_result(self) -> Embedding:
        """The embedding that is shown."""
        return self.result

    def _changed(self, _: Any = None) -> None:
        place = self._place
        if place in self._embedded:
            self._draw()
            return
        self.message.value = ""
        self.site.disabled = self.method.disabled = True
        self.work.start(lambda: self._embed(place), lambda outcome: self._finished(place, outcome))

    def _embed(self, place: tuple[str, str]) -> Embedding:
        site, name = place
        method = self._methods[name]
        seed = {"random_state": self.random_state} if "random_state" in method.parameters else {}
        return method(self.sample.at(site) if site else self.sample, **seed)

    def _finished(self, place: tuple[str, str], outcome: Any) -> None:
        self.site.disabled = self.method.disabled = False
        if isinstance(outcome, BaseException):
            self.message.value = _html.status(explained(outcome), wrong=True)
        else:
            self._embedded[place] = outcome
        if self._place != place:
            self._changed()
        elif place in self._embedded:
            self._draw()

    def _draw(self) -> None:
        if self._place not in self._embedded:
            return  # it failed, and its message stands
        result, color = self.result, self.color.value
        plain = color == PLAIN or (color == QUALITY and not len(result.quality))
        options = {"color": None if plain else color}
        if self.figure is None:
            self.figure = figure(result, **options)
            self.holder.children = [self.figure]
        else:
            redraw(self.figure, result, **options)
        self._picked: list[int] = []
        for trace in self.figure.data:
            trace.on_selection(self._pick)
            trace.on_deselect(self._unpick)
        self._mark()
        self.answer.value = _html.answer(result)

    def _pick(self, trace: Any, points: Any, _: Any) -> None:
        """Collect from trace after trace; the last one completes the lasso."""
        ids = np.asarray(trace.customdata)
        self._picked += [int(i) for i in ids[points.point_inds]]
        if points.trace_index == len(self.figure.data) - 1:
            picked, self._picked = self._picked, []
            self.selection = tuple(sorted(picked))

    def _unpick(self, *_: Any) -> None:
        self.selection = ()

    @traitlets.validate("selection")
    def _known(self, proposal: Any) -> tuple[int, ...]:
        ids = sorted({int(i) for i in proposal["value"]})
        if unknown := set(ids).difference(self.subject.ids.tolist()):
            raise MissingError(f"{self.subject.name} has no row {min(unknown)}.")
        return tuple(ids)

    @traitlets.observe("selection")
    def _mark(self, _: Any = None) -> None:
        """Show the selection in the figure and as a table."""
        with self.figure.batch_update():
            for trace in (t for t in self.figure.data if "selectedpoints" in t):  # not in three dimensions
                at = np.flatnonzero(np.isin(np.asarray(trace.customdata), self.selection))
                trace.selectedpoints = at.tolist() if self.selection else None
        if not self.selection:
            self.told.value = _html.status("Draw around rows to select them (lasso).")
            return
        table = self.subject.table.loc[list(self.selection[:SHOWN_ROWS])]
        rows = (
            [i, *row] for i, row in zip(table.index, table.itertuples(index=False, name=None), strict=True)
        )
        more = f"; the first {SHOWN_ROWS}:" if len(self.selection) > SHOWN_ROWS else ""
        shown = _html.table(["row", *table.columns], rows)
        self.told.value = _html.status(f"{len(self.selection):,} rows selected{more}") + shown


def embeddings() -> dict[str, Method]:
    """The registered methods that place rows in few dimensions."""
    return {m.name: m for m in methods() if m.gives is Embedding and m.needs is Points}


def _require(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ParameterError(f"There is no {what} {name!r}. {suggest(name, known)}")
