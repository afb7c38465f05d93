"""Rows to look around in: an embedding with lasso, search and table, and other results of the same rows beside it."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from widgets import _html
from widgets._inputs import part_dropdown
from widgets._live import figure
from widgets._selection import shared
from widgets._work import Work, explained
from widgets.points import PointView
from workbench.core.errors import DataError, MissingError, ParameterError, ViewError, suggest
from workbench.core.method import Method
from workbench.core.registry import methods
from workbench.core.result import RESULT_MIME, Result
from workbench.core.subject import Rowed, as_subject
from workbench.report.points import POINTS_MIME
from workbench.results.embedding import Embedding
from workbench.results.partition import Partition
from workbench.results.ranking import Ranking
from workbench.subjects.activations import Aligned
from workbench.subjects.points import Points

PLAIN = ""
DIMENSIONS = (2, 3)
Place = tuple[str, str, int]  # site, method, dimensions
OWN = "(as given)"


def explore(
    subject: Any,
    *,
    method: str | Embedding = "pca",
    color: Any = None,
    dimensions: int = 2,
    sample: int = 2000,
    random_state: int = 0,
) -> Explorer:
    """Return a view of a subject's rows: an embedding to colour, search, and draw around rows in.

    Parameters
    ----------
    subject : activations, a cloud, an array or a table.
    method : the embedding to begin with, by name, or one that has been computed; the others are in the view's
        list. Of several layers ``aligned_umap`` makes one layout each, and a slider moves the rows between them.
    color : the column to colour by at first, or a Partition or Ranking of the same rows.
    dimensions : 2, or 3 for a cloud to turn.
    sample : at most so many rows are drawn and embedded; a computed embedding is shown whole.
    random_state : seed of the sample and of the embedding.

    Raises
    ------
    ViewError
        The subject has no rows to embed.
    ParameterError
        There is no such embedding or column, or it speaks of other rows.
    """
    if dimensions not in DIMENSIONS:
        raise ParameterError(f"explore: dimensions={dimensions!r}; a view has 2 dimensions or 3.")
    return Explorer(as_subject(subject), method, color, dimensions, sample, random_state)


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
    """

    selection = traitlets.Tuple()

    def __init__(
        self,
        subject: Any,
        method: str | Embedding,
        color: Any,
        dimensions: int,
        sample: int,
        random_state: int,
    ):
        if Points.__name__ not in subject.gives:
            subject.view(Points)  # refused here, with what it holds instead
        parts = subject.parts(Points)
        if not isinstance(subject, Rowed):
            raise ViewError(
                f"{subject.name} is {subject.holds}, and not one set of rows: choose with .at(name)"
                + (f", for example .at({parts[-1]!r})." if parts else ".")
            )
        self.subject: Any = subject
        self._most = sample
        self.random_state = random_state
        self._embedded: dict[Place, Embedding] = {}
        self._added: dict[str, Result] = {}
        self._methods = embeddings(several=bool(parts) and Aligned.__name__ in subject.gives)
        given = method if isinstance(method, Embedding) else None
        if isinstance(method, str):
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
        self._shared = shared(self._space)
        self.work = Work()
        self.message = ipywidgets.HTML()
        self.answer = ipywidgets.HTML()
        self.beside = ipywidgets.VBox()
        self._embedded[self._place] = self._embed(self._place)
        self.view = PointView(self.result, "" if given is not None else self._drawn())
        super().__init__(
            [
                _html.Notice(),
                ipywidgets.HBox([self.method, self.site, self.dimensions], layout={"flex_flow": "row wrap"}),
                self.work,
                self.message,
                self.view,
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

    @functools.cached_property
    def sample(self) -> Any:
        """The rows that are embedded."""
        return self.subject.sample(self._most, self.random_state)

    @property
    def result(self) -> Embedding:
        """The embedding that is shown."""
        return self._embedded[self._place]

    @property
    def color(self) -> str:
        """Name of the column that colours the points, or "". Set it to a column, a Partition or a Ranking."""
        return self.view.color

    @color.setter
    def color(self, color: Any) -> None:
        if isinstance(color, Partition | Ranking):
            self._added[_name(color)] = color
            self.view.show(self.result, self._extra())
            color = _name(color)
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
                self._added[_name(result)] = result
                self.view.show(self.result, self._extra())
            self.beside.children = [*self.beside.children, figure(result)]

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
        self._show_selection()

    def static_html(self) -> str:
        """What the embedding answers."""
        return _html.answer(self.result)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """The widget, and for a page without a kernel the same view with what it holds."""
        bundle = super()._repr_mimebundle_(**kwargs)
        facts = self.result.facts()
        return {**bundle, POINTS_MIME: self.view.packed(), RESULT_MIME: facts}

    def _drawn(self) -> str:
        few, all_ = len(self.sample), len(self.subject)
        return f"A sample of {few:,} of {all_:,} rows; sample=... draws more." if few < all_ else ""

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

    def _extra(self) -> dict[str, Any]:
        return {name: _values(result, self.result.ids) for name, result in self._added.items()}

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
        self.work.start(lambda: self._embed(place), lambda outcome: self._finished(place, outcome))

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
        if self._place != place:
            self._changed()
        elif place in self._embedded:
            self._draw()

    def _draw(self, *, anew: bool = True) -> None:
        site, _, dimensions = self._place
        self.site.layout.display = "" if site and len(self.site.options) > 1 else "none"
        self.dimensions.layout.display = "" if dimensions else "none"
        if anew:
            self.view.show(self.result, self._extra())
        self._show_selection()
        self.answer.value = _html.answer(self.result)
        self.restate()

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


def _name(result: Result) -> str:
    made = result.run.method if result.run else result.kind
    return (
        f"{made} cluster"
        if isinstance(result, Partition)
        else f"{made} {getattr(result, 'quantity', '')}".strip()
    )


def _values(result: Result, ids: np.ndarray) -> np.ndarray:
    """What a result says of each of these rows."""
    if isinstance(result, Partition):
        of = dict(zip(result.ids.tolist(), result.labels.tolist(), strict=True))
        groups = (of.get(i, -2) for i in ids.tolist())
        names = [f"{g}: {name}" for g, name in enumerate(result.names)] or list(
            map(str, range(result.n_groups))
        )
        said = [names[g] if g >= 0 else ("none", "not asked")[-1 - g] for g in groups]
        return np.array(said, dtype=object)
    assert isinstance(result, Ranking)
    scores = dict(zip(result.ids.tolist(), result.scores.tolist(), strict=False))
    return np.array([scores.get(i, np.nan) for i in ids.tolist()], dtype=np.float32)


def _require(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ParameterError(f"There is no {what} {name!r}. {suggest(name, known)}")
