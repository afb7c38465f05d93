"""The catalogue: every method by family, searched as one types; a click opens its panel."""

from __future__ import annotations

from typing import Any

import ipywidgets

from widgets import _html
from widgets.panel import Panel
from workbench.core.errors import WorkbenchError
from workbench.core.method import Method
from workbench.core.registry import methods
from workbench.core.subject import as_subject
from workbench.subjects.checkpoint import Checkpoint

ALL = "(all families)"


def browse(search: str = "", subject: Any = None) -> Browser:
    """Return the catalogue of methods.

    Parameters
    ----------
    search : words that all must occur in what is listed at first.
    subject : what the panels that a click opens are asked of, and only methods that can be asked of it are listed;
        without one, sources can be run and the others say what they need.

    Raises
    ------
    WorkbenchError
        The subject is nothing that methods can be asked of.
    """
    return Browser(search, subject)


class Browser(_html.Static):
    """A search field, the methods that match, and the panel and documentation of the one that is clicked.

    Attributes
    ----------
    search : words that all must occur in a method's name, family, documentation or parameters.
    family : the dropdown that narrows to one family.
    found : the matching methods.
    panel : the panel that is open, or None.
    """

    def __init__(self, search: str = "", subject: Any = None):
        self.subject = None if subject is None else as_subject(subject)
        self.panel: Panel | None = None
        self._panels: dict[str, Panel] = {}
        self._methods = {m.name: m for m in methods() if self._answers(m)}
        self._texts = {n: _searched(m) for n, m in self._methods.items()}
        self.search = ipywidgets.Text(search, placeholder="words", description="search")
        families = sorted({m.family for m in self._methods.values()})
        self.family = ipywidgets.Dropdown(options=[ALL, *families], value=ALL, description="family")
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
        """Whether the subject gives what the method needs; sources need nothing."""
        if self.subject is None or m.needs is None:
            return True
        return (
            isinstance(self.subject, Checkpoint)
            if m.needs is Checkpoint
            else m.needs.__name__ in self.subject.gives
        )

    def _narrow(self, _: object = None) -> None:
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
        asked = f" that {_html.text(self.subject.name)} can be asked" if self.subject is not None else ""
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
        if chosen.name not in self._panels:
            self._panels[chosen.name] = Panel(chosen, None if chosen.needs is None else self.subject)
        return self._panels[chosen.name]

    def _told(self, chosen: Method, error: WorkbenchError) -> str:
        """What the method is, and why it has no panel here."""
        why = str(error)
        if self.subject is None:
            why = f"It is asked of something: browse(subject=...) opens its panel, or panel({chosen.name!r}, subject)."
        reference = f"<p>{_html.text(chosen.reference)}</p>" if chosen.reference else ""
        said = f"<p><b>{_html.text(chosen.name)}</b>: {_html.text(chosen.summary)}</p>{reference}"
        return said + _html.status(_html.text(why))


def _searched(m: Method) -> str:
    return " ".join(
        [m.name, m.name.replace("_", " "), m.family, m.verb, m.__doc__ or "", *m.parameters]
    ).lower()
