"""Rows to look around in: an embedding with lasso, search and table, and other results of the same rows beside it."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import ipywidgets
import numpy as np
import traitlets

from widgets import _html
from widgets._columns import as_columns, coordinates, name_of, values_of
from widgets._inputs import part_dropdown
from widgets._keeping import parquet, variable
from widgets._live import figure
from widgets._pictures import Pictures
from widgets._selection import shared
from widgets._work import Work, explained
from widgets.inside import Inside, looks_inside
from widgets.points import PointView, Shown
from workbench import asking
from workbench.core import lineage
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError, suggest
from workbench.core.history import attended, request
from workbench.core.method import Method
from workbench.core.parameters import require_integer
from workbench.core.registry import methods
from workbench.core.result import RESULT_MIME, Result
from workbench.core.subject import Rowed
from workbench.report.points import BESIDE_MIME, POINTS_MIME
from workbench.results.embedding import Embedding
from workbench.results.partition import Partition
from workbench.results.ranking import Ranking
from workbench.subjects.activations import Aligned
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.few_rows import require_several
from workbench.subjects.network import Network
from workbench.subjects.points import Points
from workbench.subjects.reading import Reading

if TYPE_CHECKING:
    import pandas as pd

PLAIN = ""
DIMENSIONS = (2, 3)
Place = tuple[str, str, int]  # site, method, dimensions
OWN = "(as given)"
EMBEDDED = 2000  # rows that are placed by a method where nobody says how many
MOST_ROWS = 1_000_000  # that a view holds


def explore(
    subject: Any,
    *,
    method: str | Embedding = "pca",
    x: str | None = None,
    y: str | None = None,
    color: Any = None,
    dimensions: int = 2,
    sample: int | None = None,
    images: Any = None,
    series: Any = None,
    reading: Reading | None = None,
    random_state: int = 0,
) -> Explorer:
    """Return a view of a subject's rows: an embedding to colour, search, filter, and draw around rows in.

    Parameters
    ----------
    subject : activations, a cloud, an array or a table.
    method : the embedding to begin with, by name, or one that has been computed; the others are in the view's
        list. Of several layers ``aligned_umap`` makes one layout each, and a slider moves the rows between them.
    x, y : columns of numbers to place the rows by at first, instead of an embedding; rows without either have no place.
    color : the column to colour by at first, or a Partition or Ranking of the same rows.
    dimensions : 2, or 3 for a cloud to turn.
    sample : at most so many rows are placed; None for 2,000 by a method, and for a million by ``x`` and ``y``. A computed
        embedding is shown whole. Search, colours, table and counts cover all rows, up to a million.
    images : a picture of each row: (n, height, width[, channels]) numbers in the subject's order, or one of each sample that rows
        belong to; or the name of a column with paths of image files. Without it they are rows that are images themselves, or
        a column of such paths, of which those inside of the table's folder are read.
    series : a line of each row: (n, steps) numbers in the subject's order. A column of arrays in the row table is shown
        without being named.
    reading : of a capture of texts: the network and these texts (`workbench.reading`), to look inside at the text of a
        selected row. A capture of this session has them.
    random_state : seed of the sample and of the embedding.

    Raises
    ------
    ViewError
        The subject has no rows to embed.
    MissingError
        There is no column ``x`` or ``y``.
    ParameterError
        There is no such embedding or column, it speaks of other rows, or holds no numbers; or pictures are not as many as rows.
    """
    if dimensions not in DIMENSIONS:
        raise ParameterError(f"explore: dimensions={dimensions!r}; a view has 2 dimensions or 3.")
    if (x is None) != (y is None):
        raise ParameterError(
            f"explore: x={x!r}, y={y!r}; own coordinates take both, each the name of a column."
        )
    opened = _with_rows(asking.taken(subject), subject)
    most = sample if sample is not None else EMBEDDED if x is None else MOST_ROWS
    axes = () if x is None or y is None else (x, y)
    pictures = Pictures(images, series)
    named = variable(subject)
    return Explorer(opened, method, axes, color, dimensions, most, pictures, random_state, named, reading)


def _with_rows(opened: Any, given: Any) -> Any:
    """What has rows to show; of a network those are what it computes, and the refusal is the line that captures it."""
    if not isinstance(opened, Network) and not (isinstance(opened, Checkpoint) and opened.has_network):
        return opened
    texts = isinstance(opened, Checkpoint) or opened.encode is not None
    source = "workbench.corpus('default')" if texts else "inputs"
    raise ViewError(
        f"explore shows rows of numbers, and {opened.called} is a network: what it computes is captured first. Write: "
        f"widgets.explore(workbench.capture({variable(given) or 'network'}, {source}))."
    )


class Explorer(_html.Static):
    """An embedding of the rows, to choose site and method of, and to select in.

    The selection is one for all views of the same rows: other explorers, and the figures of panels.

    Attributes
    ----------
    selection : row ids, sorted; set by the lasso, or from code. Observe it with ``observe(f, "selection")``, and
        ask about it with ``subject.select(explorer.selection)``.
    selected : that subject.
    site, method, dimensions : the dropdowns.
    view : the points.
    inside : asks the network about the text of a selected row; None where rows are no tokens of texts.
    """

    selection = traitlets.Tuple()

    def __init__(
        self,
        subject: Any,
        method: str | Embedding,
        axes: tuple[str, ...],
        color: Any,
        dimensions: int,
        sample: int,
        pictures: Pictures,
        random_state: int,
        called: str = "",
        reading: Reading | None = None,
    ):
        placed = Points.__name__ in subject.gives
        if not placed and not (axes and isinstance(subject, Rowed)):
            subject.view(Points)  # refused here, with what it holds instead
        parts = subject.parts(Points)
        if not isinstance(subject, Rowed):
            raise ViewError(
                f"{subject.name} is {subject.holds}, and not one set of rows: choose with .at(name)"
                + (f", for example .at({parts[-1]!r})." if parts else ".")
            )
        if placed and not axes and isinstance(method, str):
            require_several(len(subject.ids), subject.name)
        self.subject: Any = subject
        self._called = called or variable(subject)  # what the notebook calls it
        self._most = require_integer(sample, "sample", "explore", low=1)
        self._axes = axes
        self._given = pictures
        self.random_state = random_state
        self._embedded: dict[Place, Embedding] = {}
        self._early: dict[Place, Embedding] = {}
        self._added: dict[str, Result] = {}
        self._results: list[Result] = []
        several = bool(parts) and Aligned.__name__ in subject.gives
        self._methods = embeddings(several=several) if placed else {}
        given = coordinates(self.sample, axes) if axes else method if isinstance(method, Embedding) else None
        if isinstance(method, str) and placed:
            _require("embedding", method, self._methods)
        names = [*([OWN] if given else []), *self._methods]
        likely = subject.default_part(Points) or next(reversed(parts), "")
        self.site = part_dropdown(parts or [""], parts.index(likely) if parts else 0, "at")
        self.method = ipywidgets.Dropdown(options=names, value=OWN if given else method, description="method")
        self.dimensions = ipywidgets.Dropdown(
            options=DIMENSIONS, value=dimensions, description="dimensions", layout={"width": "13em"}
        )
        self._space = subject.space
        if given is not None:
            self._own(given)
        self._pictures, self._unseen = pictures.of(subject, self.sample.ids if given is None else given.ids)
        self._shared = shared(self._space)
        self.work = Work()
        self.message = ipywidgets.HTML()
        self.answer = ipywidgets.HTML()
        self.inside = Inside(subject, reading, self.restate) if looks_inside(subject) else None
        self.beside = ipywidgets.VBox()
        built = threading.Event()
        self._first(built)
        self.view = PointView(self._to_show())
        super().__init__(
            [
                _html.Notice(),
                ipywidgets.HBox([self.method, self.site, self.dimensions], layout={"flex_flow": "row wrap"}),
                self.work,
                self.message,
                self.view,
                *([self.inside] if self.inside else []),
                self.beside,
                self.answer,
            ]
        )
        if color is not None:
            self.color = color
        self._draw(anew=False)
        self._shared.join(self)
        for dropdown in (self.site, self.method, self.dimensions):
            dropdown.observe(self._changed, "value")
        self.view.observe(self._pick, "picked")
        self.view.on_msg(self._asked)
        self._enable(not self.work.running)
        built.set()

    @functools.cached_property
    def sample(self) -> Any:
        """The rows that are embedded."""
        return self.subject.sample(self._most, self.random_state)

    @property
    def result(self) -> Embedding:
        """The embedding that is shown; its controls may still be being computed."""
        return self._embedded.get(self._place) or self._early[self._place]

    @property
    def color(self) -> str:
        """Name of the column that colours the points, or "". Set it to a column, a Partition or a Ranking."""
        return self.view.color

    @color.setter
    def color(self, color: Any) -> None:
        if isinstance(color, Partition | Ranking):
            self._added[name_of(color)] = color
            self.view.show(self._to_show())
            color = name_of(color)
        if color != PLAIN:
            _require("column", color, self.view.names)
        self.view.color = color

    def add(self, *results: Result) -> None:
        """Show these results' figures below, linked to the points; a Partition or Ranking can colour them too.

        Raises
        ------
        ParameterError
            A result speaks of other rows than the subject's, so that nothing would link.
        """
        for result in results:
            if result.space != self._space:
                raise ParameterError(
                    f"{result.title or result.kind} speaks of other rows than {self.subject.name}, so a selection can't "
                    "hold in both: ask the method of this subject, or of a selection of it."
                )
            if isinstance(result, Partition | Ranking):
                self._added[name_of(result)] = result
                self.view.show(self._to_show())
            self._results.append(result)
            self.beside.children = [*self.beside.children, figure(result)]
        self.restate()

    @property
    def selected(self) -> Any:
        """The selected rows as a subject; refused while nothing is selected."""
        if not self.selection:
            raise DataError("Nothing is selected: draw around points, or set explorer.selection to row ids.")
        return self.subject.select(np.array(self.selection, dtype=np.int64))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being computed; return whether that is so."""
        return self.work.wait(timeout)

    def mark(self, ids: np.ndarray) -> None:
        """Show these rows as selected, those of them that the subject has."""
        own = ids if not len(ids) else ids[np.isin(ids, self.subject.ids)]
        self.set_trait("selection", tuple(own.tolist()))
        if self.inside is not None:
            self.inside.offer(own)
        self._show_selection()

    def static_html(self) -> str:
        """What the embedding answers."""
        return _html.answer(self.result)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget, and for a page without a kernel the same view with what it holds."""
        bundle = super()._repr_mimebundle_(**kwargs)
        facts = self.result.facts()
        return {**bundle, POINTS_MIME: self.view.packed(), RESULT_MIME: facts}

    def _still(self) -> dict[str, Any]:
        """With the figures beside the points, which a page draws too."""
        looked = [] if self.inside is None else self.inside.results
        bundles = [r._repr_mimebundle_() for r in (*self._results, *looked)]
        return {**super()._still(), BESIDE_MIME: {"outputs": bundles}}

    @property
    def code(self) -> str:
        """The line that makes this view again."""
        arguments = ", ".join([self._code()["subject"], *self._code()["arguments"]])
        color = f", color={self.color!r}" if self.color in self._code()["columns"] else ""
        return f"widgets.explore({arguments}{color})"

    def _code(self) -> dict[str, Any]:
        """How this view is made in Python, see `workbench.report.points.state`."""
        site, name, dimensions = self._place
        subject = self._called
        before = ""
        if not subject and self.subject.run is not None:
            *made, last = lineage.code(self.subject.run).rstrip().split("\n")
            before, subject = "\n".join([*made, last.replace("result =", "subject =", 1)]), "subject"
        subject = subject or "subject"
        if site and site != self.subject.default_part(Points):
            subject += f".at({site!r})"
        own = self._embedded.get(("", OWN, 0))
        arguments = {"method": repr(name)} if name != "pca" else {}
        if name == OWN:
            arguments = (
                {"x": repr(self._axes[0]), "y": repr(self._axes[1])}
                if self._axes
                else {"method": variable(own) or "result"}
            )
        elif dimensions > DIMENSIONS[0]:
            arguments["dimensions"] = str(dimensions)
        usual = MOST_ROWS if self._axes else EMBEDDED
        if self._most != usual and (self._axes or name != OWN):
            arguments["sample"] = str(self._most)
        arguments |= self._given.code()
        if self.random_state:
            arguments["random_state"] = str(self.random_state)
        return {
            "subject": subject,
            "arguments": [f"{n}={v}" for n, v in arguments.items()],
            "columns": [str(c) for c in self.subject.table.columns],
            "before": before,
        }

    def _to_show(self) -> Shown:
        """The embedding, with all rows of the subject where a view holds so many."""
        result = self.result
        known = len(self.subject) == len(result.ids) or bool(np.isin(result.ids, self.subject.ids).all())
        whole = known and len(self.subject) <= MOST_ROWS
        return Shown(
            result=result,
            table=self.subject.table if whole else None,
            extra={**as_columns(self.subject), **self._extra(), **self._pictures},
            note=" ".join(filter(None, [self._drawn(whole), self._unseen])),
            code=self._code(),
        )

    def _drawn(self, whole: bool) -> str:
        """What of the subject's rows has a place, where that isn't all."""
        few, every = len(self.result.ids), len(self.subject)
        if few >= every:
            return ""
        said = f"{few:,} of {every:,} rows of {self.subject.name} are placed"
        if self.method.value != OWN or (self._axes and len(self.sample) < every):
            said += f", drawn at random; sample={every} places all"
        elif self._axes:
            said += ": the others lack a number"
        covered = f"all {every:,}" if whole else "these alone"
        return f"{said}. Search, colours, table and counts cover {covered}."

    def _own(self, given: Embedding) -> None:
        strange = bool(given.space) and given.space != self._space
        if not strange and not np.isin(given.ids, self.subject.ids).all():
            # a descent also places its end, which comes after its last row
            strange = not np.isin(given.ids, self.subject.view(Points).ids).all()
        if strange:
            raise ParameterError(
                f"{given.title or 'This embedding'} places other rows than {self.subject.name} has: embed this subject."
            )
        self._embedded["", OWN, 0] = given

    def _extra(self) -> dict[str, pd.Series]:
        import pandas as pd

        if not self._added:
            return {}
        ids = np.union1d(self.subject.ids, self.result.ids)
        return {name: pd.Series(values_of(r, ids), index=ids) for name, r in self._added.items()}

    @property
    def _place(self) -> Place:
        name = str(self.method.value)
        method = self._methods.get(name)
        site = str(self.site.value) if method is not None and method.inputs[0].takes is Points else ""
        flat = method is None or "n_components" not in method.parameters
        return site, name, 0 if flat else int(self.dimensions.value)

    def _changed(self, _: Any = None) -> None:
        place = self._place
        if place in self._embedded:
            self._draw()
            return
        self.message.value = ""
        self._enable(False)
        self.work.start(
            lambda: self._embed(place),
            lambda outcome: self._finished(place, outcome),
            lambda early: self._show_early(place, early),
        )

    def _first(self, built: threading.Event) -> None:
        """Have the first layout; where somebody watches, its controls may follow once the view is ``built``."""
        place = self._place
        if place in self._embedded or not (request() and attended()):
            self._embedded[place] = self._embed(place)
            return
        arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def early(result: Result) -> None:
            self._early[place] = cast(Embedding, result)
            arrived.put(result)

        def finished(outcome: Any) -> None:
            if isinstance(outcome, Embedding):
                self._embedded[place] = outcome
            arrived.put(outcome)
            if place in self._early:
                built.wait()
                self._finished(place, outcome)

        self.work.start(lambda: self._embed(place), finished, early)
        try:
            outcome = arrived.get()
        except KeyboardInterrupt:
            self.work.cancel()
            raise
        if isinstance(outcome, BaseException):
            raise outcome

    def _show_early(self, place: Place, early: Result) -> None:
        """Show a layout whose controls are being computed."""
        self._early[place] = cast(Embedding, early)
        if self._place == place:
            self._draw()

    def _enable(self, enabled: bool) -> None:
        for dropdown in (self.site, self.method, self.dimensions):
            dropdown.disabled = not enabled

    def _embed(self, place: Place) -> Embedding:
        if place in self._embedded:
            return self._embedded[place]
        site, name, dimensions = place
        method = self._methods[name]
        asked = {"random_state": self.random_state, "n_components": dimensions}
        asked = {n: v for n, v in asked.items() if n in method.parameters}
        return method(self.sample.at(site) if site else self.sample, **asked)

    def _finished(self, place: Place, outcome: Any) -> None:
        self._enable(True)
        if isinstance(outcome, BaseException):
            self.message.value = _html.status(explained(outcome), wrong=True)
        else:
            self._embedded[place] = outcome
            follows = self._early.pop(place, None)
            if (
                follows is not None
                and self._place == place
                and np.array_equal(follows.values, outcome.values)
            ):
                self.view.spec = {**self.view.spec, "title": outcome.title}  # the points are there already
                self._draw(anew=False)
                return
        if self._place != place:
            self._changed()
        elif place in self._embedded or place in self._early:
            self._draw()

    def _draw(self, *, anew: bool = True) -> None:
        site, _, dimensions = self._place
        self.site.layout.display = "" if site and len(self.site.options) > 1 else "none"
        self.dimensions.layout.display = "" if dimensions else "none"
        if anew:
            self.view.show(self._to_show())
        self._show_selection()
        self.answer.value = _html.answer(self.result)
        self.restate()

    def _asked(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        """Send the selected rows, or all where none is selected, as a file for the browser to keep."""
        if content.get("ask") != "parquet":
            return
        try:
            self.view.send({"save": ".parquet"}, buffers=[self._file()])
        except Exception as error:  # whatever a column holds that Parquet doesn't
            self.view.send({"wrong": f"These rows can't be written as Parquet: {error}"})

    def _file(self) -> bytes:
        rows = np.array(self.selection, dtype=np.int64) if self.selection else self.subject.ids
        return parquet(self.subject.table, rows, self.result, self.view.names)

    def _pick(self, _: Any) -> None:
        """Take over what was drawn around; rows that aren't in the view stay out."""
        if not np.array_equal(self.view.selected, self._seen()):
            self._shared.set(self.view.selected)

    def _seen(self) -> np.ndarray:
        """The selected rows that the view shows, in its order."""
        return self.view.ids[np.isin(self.view.ids, np.array(self.selection, dtype=np.int64))]

    def _show_selection(self) -> None:
        self.view.mark(np.array(self.selection, dtype=np.int64))

    @traitlets.validate("selection")
    def _known(self, proposal: Any) -> tuple[int, ...]:
        ids = np.unique(np.array(proposal["value"], dtype=np.int64))
        unknown = ids[~np.isin(ids, self.subject.ids)]
        if len(unknown):
            raise MissingError(f"{self.subject.name} has no row {unknown[0]}.")
        return tuple(ids.tolist())

    @traitlets.observe("selection")
    def _tell(self, change: Any) -> None:
        ids = np.array(change["new"], dtype=np.int64)
        if not np.array_equal(ids, self._shared.ids[np.isin(self._shared.ids, self.subject.ids)]):
            self._shared.set(ids)


def embeddings(*, several: bool = False) -> dict[str, Method]:
    """The registered methods that place rows in few dimensions; with ``several`` those of several layers too."""
    needed = (Points, Aligned) if several else (Points,)
    return {
        m.name: m
        for m in methods()
        if issubclass(m.gives, Embedding)
        and m.inputs
        and m.inputs[0].takes in needed
        and all(i.optional for i in m.inputs[1:])
    }


def _require(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ParameterError(f"There is no {what} {name!r}. {suggest(name, known)}")
