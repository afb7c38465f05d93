"""The catalogue: every method by family, searched as one types; a click opens its panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets

from widgets import _html
from widgets.panel import Panel
from workbench import asking
from workbench.core.errors import WorkbenchError
from workbench.core.method import Method
from workbench.core.registry import methods

ALL = "(all families)"


def browse(*subjects: Any, search: str = "") -> Browser:
    """Return the catalogue of methods.

    Parameters
    ----------
    subjects : what the panels that a click opens are asked of: subjects, tables, arrays, tensors, modules. Only methods that
        can be asked of these, as their first inputs or their only ones, are listed. What else a method takes is chosen in
        its panel among the notebook's variables.
    search : words that all must occur in what is listed at first.

    Raises
    ------
    WorkbenchError
        A subject is nothing that methods can be asked of.
    """
    return Browser(subjects, search)


class Browser(_html.Static):
    """A search field, the methods that match, and the panel and documentation of the one that is clicked.

    Attributes
    ----------
    search : words that all must occur in a method's name, family, documentation or parameters.
    family : the dropdown that narrows to one family.
    found : the matching methods.
    panel : the panel that is open, or None.
    """

    def __init__(self, subjects: Sequence[Any] = (), search: str = ""):
        self.subjects = [asking.taken(thing) for thing in subjects]
        self.panel: Panel | None = None
        self._panels: dict[str, Panel] = {}
        self._methods: dict[str, Method] = {}
        self._texts: dict[str, str] = {}
        self.search = ipywidgets.Text(search, placeholder="words", description="search")
        self.family = ipywidgets.Dropdown(options=[ALL], value=ALL, description="family")
        self.found = ipywidgets.Select(rows=14, layout={"width": "auto"})
        self.documentation = ipywidgets.HTML(layout={"width": "100%"})
        self.opened = ipywidgets.VBox()
        self._count = ipywidgets.HTML()
        self.found.observe(self._open, "value")
        self._narrow()
        self.search.observe(self._narrow, "value")
        self.family.observe(self._narrow, "value")
        super().__init__(
            [
                ipywidgets.HBox([self.search, self.family, self._count], layout={"flex_flow": "row wrap"}),
                self.found,
                self.opened,
                self.documentation,
            ]
        )

    @property
    def names(self) -> list[str]:
        """Names of the methods that match, in the list's order."""
        return [value for _, value in self.found.options]

    @property
    def method(self) -> Method | None:
        """The chosen method, or None before one is."""
        return self._methods.get(str(self.found.value))

    def static_html(self) -> str:
        """The methods that match, as a table."""
        rows = ((m.name, m.family, m.summary) for m in (self._methods[n] for n in self.names))
        return _html.table(["method", "family", "what it does"], rows)

    def _answers(self, m: Method) -> bool:
        """Whether the subjects can be the method's first inputs; of nothing in particular, every method is listed."""
        if not self.subjects:
            return True
        return (
            bool(m.inputs)
            and len(self.subjects) <= len(m.inputs)
            and all(map(asking.suits, m.inputs, self.subjects))
        )

    def _look(self) -> None:
        """Take in what was defined since: a method of a cell is listed at the next search."""
        found = {m.name: m for m in methods() if self._answers(m)}
        if found == self._methods:
            return
        self._methods = found
        self._texts = {n: _searched(m) for n, m in found.items()}
        chosen = self.family.value
        with self.family.hold_trait_notifications():
            self.family.options = [ALL, *sorted({m.family for m in found.values()})]
            self.family.value = chosen if chosen in self.family.options else ALL

    def _narrow(self, _: object = None) -> None:
        self._look()
        words, family = self.search.value.lower().split(), self.family.value
        names = [
            n
            for n, text in self._texts.items()
            if all(w in text for w in words) and family in (ALL, self._methods[n].family)
        ]
        names.sort(key=lambda n: (self._methods[n].family, n))
        chosen = self.found.value
        listed = ((self._methods[n].family, n, self._methods[n].summary) for n in names)
        self.found.unobserve(self._open, "value")  # new options choose the first, which nobody clicked
        self.found.options = [(f"{family}: {n}. {summary}", n) for family, n, summary in listed]
        self.found.value = chosen if chosen in names else None
        self.found.observe(self._open, "value")
        names_of = " and ".join(map(asking.called, self.subjects))
        asked = f" that {_html.text(names_of)} can be asked" if names_of else ""
        self._count.value = _html.status(f"{len(names)} of {len(self._texts)} methods{asked}")

    def _open(self, _: object) -> None:
        chosen = self.method
        if chosen is None:
            return
        folded = f"<summary>All about {chosen.name}</summary><pre>{_html.text(chosen.__doc__ or '')}</pre>"
        self.documentation.value = f"<details><{folded[1:]}</details>"
        try:
            self.panel = self._panel(chosen)
            self.opened.children = [self.panel]
        except WorkbenchError as e:
            self.panel = None
            self.opened.children = [ipywidgets.HTML(self._told(chosen, e))]

    def _panel(self, chosen: Method) -> Panel:
        """The method's panel, the same one on coming back: its answers are kept, and what runs goes on."""
        if chosen.name not in self._panels or self._panels[chosen.name].method is not chosen:
            self._panels[chosen.name] = Panel(chosen, *(self.subjects if chosen.inputs else ()))
        return self._panels[chosen.name]

    def _told(self, chosen: Method, error: WorkbenchError) -> str:
        """What the method is, and why it has no panel here."""
        reference = f"<p>{_html.text(chosen.reference)}</p>" if chosen.reference else ""
        said = f"<p><b>{_html.text(chosen.name)}</b>: {_html.text(chosen.summary)}</p>{reference}"
        return said + _html.status(_html.text(error))


def _searched(m: Method) -> str:
    return " ".join(
        [m.name, m.name.replace("_", " "), m.family, m.verb, m.__doc__ or "", *m.parameters]
    ).lower()
