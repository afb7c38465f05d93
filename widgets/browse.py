"""The catalogue: every method, searched as one types."""

from __future__ import annotations

import ipywidgets

from widgets import _html
from workbench.core.registry import Method, methods


def browse(search: str = "") -> Browser:
    """Return the catalogue of methods, narrowed to those that mention ``search``."""
    return Browser(search)


class Browser(_html.Static):
    """A search field, the methods that match, and the documentation of the chosen one.

    Attributes
    ----------
    search : words that all must occur in a method's name, family, documentation or parameters.
    found : the matching methods.
    """

    def __init__(self, search: str = ""):
        self._texts = {m.name: _searched(m) for m in methods()}
        self._methods = {m.name: m for m in methods()}
        self.search = ipywidgets.Text(search, placeholder="words", description="search")
        self.found = ipywidgets.Select(rows=16, layout={"width": "24em"})
        self.documentation = ipywidgets.HTML(layout={"width": "100%"})
        self._count = ipywidgets.HTML()
        self.search.observe(self._narrow, "value")
        self.found.observe(self._document, "value")
        self._narrow()
        super().__init__([
            ipywidgets.HBox([self.search, self._count]),
            ipywidgets.HBox([self.found, self.documentation]),
        ])  # fmt: skip

    @property
    def names(self) -> list[str]:
        """Names of the methods that match, in the list's order."""
        return [value for _, value in self.found.options]

    @property
    def method(self) -> Method | None:
        """The chosen method, or None where nothing matches."""
        return self._methods.get(str(self.found.value))

    def static_html(self) -> str:
        """The methods that match, as a table."""
        rows = ((m.name, m.family, m.summary) for m in (self._methods[n] for n in self.names))
        return _html.table(["method", "family", "what it does"], rows)

    def _narrow(self, _: object = None) -> None:
        words = self.search.value.lower().split()
        names = [n for n, text in self._texts.items() if all(w in text for w in words)]
        chosen = self.found.value
        self.found.options = [(f"{self._methods[n].family}: {n}", n) for n in names]
        self.found.value = chosen if chosen in names else next(iter(names), None)
        self._count.value = _html.status(f"{len(names)} of {len(self._texts)} methods")

    def _document(self, _: object) -> None:
        chosen = self.method
        self.documentation.value = "" if chosen is None else f"<pre>{_html.text(chosen.__doc__ or '')}</pre>"


def _searched(m: Method) -> str:
    return " ".join(
        [m.name, m.name.replace("_", " "), m.family, m.verb, m.__doc__ or "", *m.parameters]
    ).lower()
