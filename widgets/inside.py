"""What a network does while it reads the text of a selected row: a list of methods, and the panel of the one that is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import ipywidgets
import numpy as np

from widgets import _html
from widgets._work import Work, explained
from widgets.panel import Panel
from workbench import asking
from workbench.capturing import reading as reading_of
from workbench.core.errors import ParameterError
from workbench.core.method import Method
from workbench.core.registry import methods
from workbench.core.result import Result
from workbench.subjects.activations import Activations
from workbench.subjects.reading import Reading

TEXT = "text_id"  # the parameter, and the column, that says which text
FIRST = "patch_map"
MOST = 50  # texts of a selection that can be chosen among
SHOWN = 60  # characters of a text in the list
NOTHING = "(select a row to look inside at its text)"


def looks_inside(subject: Any) -> TypeGuard[Activations]:
    """Whether rows of a subject are tokens of texts that a network has read."""
    return isinstance(subject, Activations) and {TEXT, "position", "text"} <= set(subject.table.columns)


class Inside(ipywidgets.VBox):
    """A text of the selected rows, a method, and a button that asks the network about it; the method's panel opens below.

    Attributes
    ----------
    text, method : the dropdowns.
    panel : what is open, or None. panels : method name to panel; each keeps its answers.
    reading : the network with the texts, once somebody has looked.

    Raises
    ------
    ParameterError
        The reading's rows aren't the subject's.
    """

    def __init__(
        self, subject: Activations, reading: Reading | None = None, changed: Callable[[], None] = lambda: None
    ):
        if reading is not None and reading.space != subject.space:
            raise ParameterError(
                f"explore: reading={reading.name!r} has other rows than {subject.name}. Give workbench.reading(network, texts) of "
                "the capture's own texts, with its max_length and markers."
            )
        self.subject = subject
        self.reading = reading
        self.panel: Panel | None = None
        self.panels: dict[str, Panel] = {}
        self._told = changed
        known = askable()
        self.text = ipywidgets.Dropdown(
            options=[(NOTHING, None)], description="text", layout={"width": "34em"}, disabled=True
        )
        self.method = ipywidgets.Dropdown(
            options=[(n.replace("_", " "), n) for n in known],
            value=FIRST if FIRST in known else next(iter(known)),
            description="ask",
            layout={"width": "18em"},
        )
        self.button = ipywidgets.Button(
            description="Look inside",
            tooltip="Ask the network what it does while it reads this text",
            disabled=True,
        )
        self.about = ipywidgets.HTML()
        self.work = Work()
        self.message = ipywidgets.HTML()
        self.opened = ipywidgets.VBox()
        self.button.on_click(lambda _: self.look())
        self.method.observe(lambda _: self._say_what(), "value")
        self._say_what()
        row = ipywidgets.HBox([self.text, self.method, self.button], layout={"flex_flow": "row wrap"})
        super().__init__([row, self.about, self.work, self.message, self.opened])

    @property
    def results(self) -> list[Result]:
        """The answer that each panel shows, of those that have one."""
        return [p.result for p in self.panels.values() if isinstance(p.result, Result)]

    def offer(self, ids: np.ndarray) -> None:
        """List the texts of these rows, the first of them chosen."""
        table = self.subject.table
        of = table.loc[ids[np.isin(ids, self.subject.ids)], [TEXT, "text"]].drop_duplicates(TEXT).head(MOST)
        listed = [(f"{i}: {_cut(str(text))}", int(i)) for i, text in zip(of[TEXT], of["text"], strict=True)]
        before = self.text.value
        self.text.options = listed or [(NOTHING, None)]
        known = [i for _, i in self.text.options]
        self.text.value = before if before in known else known[0]
        self.text.disabled = self.button.disabled = not listed

    def look(self) -> None:
        """Open the method's panel and ask it about the text; returns at once."""
        if self.work.running or self.text.value is None:
            return
        self.message.value = ""
        if self.reading is not None:
            self._open(self.reading)
            return
        self.work.label.value = "reading the texts"
        self.work.start(lambda: reading_of(self.subject), self._open)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being computed; return whether that is so."""
        return self.work.wait(timeout) and (self.panel is None or self.panel.wait(timeout))

    def _open(self, made: Any) -> None:
        if isinstance(made, BaseException):
            self.message.value = _html.status(explained(made), wrong=True)
            return
        self.reading = made
        name = str(self.method.value)
        if name not in self.panels:
            self.panels[name] = Panel(askable()[name], made)
            self.panels[name].on_answer(self._told)
        self.panel = self.panels[name]
        if TEXT in self.panel.controls:
            self.panel.controls[TEXT].value = self.text.value
        self.opened.children = [self.panel]
        self.about.value = ""  # the panel says it
        self.panel.run()

    def _say_what(self) -> None:
        asked = askable()[str(self.method.value)]
        whole = "" if TEXT in asked.parameters else " It asks all texts."
        self.about.value = _html.status(_html.text(asked.summary + whole))


def askable() -> dict[str, Method]:
    """The methods that are asked of a network and the texts that it reads, those of one text first."""
    found = [
        m
        for m in methods()
        if m.verb == "analysis"
        and m.inputs
        and asking.looks_inside(m.inputs[0])
        and all(i.optional for i in m.inputs[1:])
    ]
    return {m.name: m for m in sorted(found, key=lambda m: (TEXT not in m.parameters, m.name))}


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
