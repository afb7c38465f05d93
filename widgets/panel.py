"""A control panel for any registered method, made from its declaration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from widgets import _html
from widgets._compare import comparison
from widgets._inputs import choosers
from widgets._live import WIDTH as FIGURE_WIDTH
from widgets._live import figure, redraw
from widgets._work import Work, explained
from widgets.controls import Control
from workbench import asking
from workbench.core.edit import Edit
from workbench.core.errors import Cancelled, ParameterError
from workbench.core.method import Method
from workbench.core.registry import method
from workbench.core.result import Result
from workbench.core.subject import Subject

EARLY = "Here is the figure; its control is being computed. Cancel keeps the figure, without a control."
WITHOUT = " The figure is kept: it has no control, so that nothing about it was tested."
EXPORTED = "Open the notebook in JupyterLab to change the settings and run it."


def panel(name: str | Method, *subjects: Any) -> Panel:
    """Return a control panel for one method, asked of one subject or several.

    Parameters
    ----------
    name : the method, or its name.
    subjects : what it is asked of, in the order of its inputs: a subject, an array, a table or a result; nothing for a
        source. Of one that has several parts (sites, tensors) the panel lets one be chosen. A network is asked of what
        it computes on texts: its activations are captured when the method is run. What is left out is chosen among the
        notebook's variables.

    Raises
    ------
    MissingError
        There is no such method.
    ViewError
        A subject can't give what the method needs.
    ParameterError
        One is missing and no variable of the notebook can stand for it, or there are too many.
    """
    return Panel(name if isinstance(name, Method) else method(name), *subjects)


class Panel(_html.Static):
    """Controls, Run and Cancel, progress, and the answer with its figure.

    Attributes
    ----------
    method : what is asked.
    inputs : input name to what it is asked of; its ``dropdown`` chooses a part, or among the notebook's variables.
    controls : parameter name to `Control`.
    reading : how a network is read, name to `Control`; empty where none is.
    table : which columns of a table are coordinates, name to `Control`; empty where none was one.
    results : every answer so far, the latest last; ``history`` chooses which of them is shown.
    early : the answer that is shown before its control has been computed, or after that was cancelled; else None.
    pinned : numbers of the answers (from 1) that stay in sight, to be compared with the one that is shown.
    error : the last run's exception, or None.
    """

    def __init__(self, asked: Method, *subjects: Any):
        self.method = asked
        self.inputs = choosers(asked, subjects)
        self.results: list[Any] = []
        self.early: Result | None = None
        self.error: BaseException | None = None
        self.controls = {p.name: Control(p, asked.name) for p in asked.parameters.values()}
        read = [c.spec for c in self.inputs.values() if asking.reads(c.spec, c.chosen.thing)]
        captured = bool(read)
        whole = all(map(asking.looks_inside, read))
        settings_of_reading = (
            asking.TEXTS.values() if whole else (*asking.READING.values(), asking.ROWS["sample"])
        )
        self.reading = {p.name: Control(p, asked.name) for p in settings_of_reading} if captured else {}
        tables = any(asking.has_columns(c.chosen.thing) for c in self.inputs.values())
        self.table = {p.name: Control(p, asked.name) for p in asking.TABLE.values()} if tables else {}
        self._listener: Callable[[], None] = lambda: None
        self.work = Work()
        self.run_button = ipywidgets.Button(description="Run", button_style="primary", tooltip=asked.summary)
        self.run_button.on_click(lambda _: self.run())
        self.history = ipywidgets.Dropdown(description="answer", layout={"width": "48em"})
        self.history.observe(self._look_back, "value")
        self.pin = ipywidgets.ToggleButton(
            description="Pin",
            tooltip="Keep this answer in sight, to compare others with it",
            layout={"width": "6em"},
        )
        self.pin.observe(self._pin, "value")
        self.pinned: dict[int, Any] = {}
        self.looking = ipywidgets.HBox([self.history, self.pin], layout={"display": "none"})
        self.compared = ipywidgets.HTML()
        self.kept = ipywidgets.HBox(layout={"flex_flow": "row wrap"})
        self.message = ipywidgets.HTML()
        self.shown = ipywidgets.VBox()
        for control in (*self.controls.values(), *self.reading.values(), *self.table.values()):
            control.on_change(self._check)
        about = ipywidgets.HTML(_about(asked))
        chosen = [c.dropdown for c in self.inputs.values() if c.dropdown is not None]
        # beside each other where the notebook is wide enough, so that Run and the answer are in sight
        settings = ipywidgets.HBox(
            [*chosen, *self.controls.values()], layout={"flex_flow": "row wrap", "width": "100%"}
        )
        texts = ipywidgets.HBox(list(self.reading.values()), layout={"flex_flow": "row wrap"})
        folded = [ipywidgets.Accordion([texts], titles=["What the network reads"])] if captured else []
        if tables:
            columns = ipywidgets.HBox(list(self.table.values()), layout={"flex_flow": "row wrap"})
            folded.append(ipywidgets.Accordion([columns], titles=["Which columns of the table"]))
        super().__init__(
            [
                _html.Notice(),
                about,
                settings,
                *folded,
                ipywidgets.HBox([self.run_button, self.work]),
                self.message,
                self.looking,
                self.shown,
                self.compared,
                self.kept,
            ]
        )

    @property
    def values(self) -> dict[str, Any]:
        """What the controls are set to.

        Raises
        ------
        ParameterError
            One of them isn't legal.
        """
        return {name: control.value for name, control in self.controls.items()}

    @property
    def result(self) -> Any:
        """The latest answer, or None."""
        return self.results[-1] if self.results else None

    def run(self) -> None:
        """Start the method with the present settings; returns at once."""
        if self.work.running:
            return
        try:
            values = self.values
            arguments = self._arguments()
        except ParameterError as e:
            self._say(e)
            return
        self.early = self.error = None
        self.message.value = ""
        self.run_button.disabled = True
        self.work.start(lambda: self.method(*arguments(), **values), self._finished, self._show_early)

    def cancel(self) -> None:
        """Stop the running method at its next step."""
        self.work.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs; return whether that is so."""
        return self.work.wait(timeout)

    def on_answer(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every answer."""
        self._listener = listener

    def static_html(self) -> str:
        """The settings as a table, and the answer if there is one."""
        if isinstance(self.result, Result):
            return _html.answer(self.result)
        rows = [
            (n, c.field.value if c.error else c.value, c.parameter.help) for n, c in self.controls.items()
        ]
        named = [c.chosen.said for c in self.inputs.values() if c.chosen.thing is not None]
        of = f" of {_html.text(' and '.join(named))}" if named else ""
        said = f"<p><b>{self.method.name}{of}</b>: {_html.text(self.method.summary)} {EXPORTED}</p>"
        return said + _html.table(["parameter", "value", "what it does"], rows)

    def static_result(self) -> Result | None:
        """The latest answer."""
        return self.result if isinstance(self.result, Result) else None

    def _arguments(self) -> Callable[[], list[Any]]:
        """What makes the method's inputs, as they are chosen now, in the thread that may take its time over it."""
        chosen = {name: c.chosen for name, c in self.inputs.items()}
        read = {name: control.value for name, control in self.reading.items()}
        rows = {name: read.pop(name) for name in asking.ROWS if name in read}
        table = {name: control.value for name, control in self.table.items()}
        return lambda: asking.prepare(
            self.method,
            [c.thing for c in chosen.values()],
            lambda spec, *_: chosen[spec.name].part,
            reading=read,
            rows=rows,
            table=table,
        )

    def _wrong(self) -> bool:
        return any(c.error for c in (*self.controls.values(), *self.reading.values(), *self.table.values()))

    def _check(self) -> None:
        self.run_button.disabled = self.work.running or self._wrong()

    def _show_early(self, result: Result) -> None:
        """Show an answer whose control is being computed; none of those in the list is then shown."""
        self.early = result
        self._choose(None)
        self._show(result)
        self.message.value = _html.status(EARLY)

    def _finished(self, outcome: Any) -> None:
        if isinstance(outcome, BaseException):
            self.error = outcome
            kept = self.early is not None and isinstance(outcome, Cancelled)
            if self.early is not None and not kept:
                self._show_last()
            self._say(outcome, WITHOUT if kept else "")
        else:
            self.results.append(outcome)
            k = len(self.results)
            said = f"{k}: {_difference(self.method, outcome)}"
            self._choose(k - 1, (said, k - 1))
            self.looking.layout.display = ""
            self.message.value = ""
            self._show(outcome, follows=self.early)
            self.early = None
            self.restate()
            self._listener()
        self.run_button.disabled = self._wrong()

    def _choose(self, at: int | None, *more: tuple[str, int]) -> None:
        """Have the list of answers say which is shown, None for one that isn't in it, without showing it."""
        self.history.unobserve(self._look_back, "value")  # new options choose the first of them
        self.history.options = [*self.history.options, *more]
        self.history.value = at
        self.history.observe(self._look_back, "value")

    def _look_back(self, change: Any) -> None:
        if change["new"] is not None:
            self.early = None
            self._show(self.results[change["new"]])

    def _show_last(self) -> None:
        """Show the last finished answer instead of an early one; nothing where there is none."""
        self.early = None
        if self.results:
            self._choose(len(self.results) - 1)
            self._show(self.results[-1])
        else:
            self.shown.children = []

    def _pin(self, change: Any) -> None:
        """Keep the answer that is shown in sight, or let it go."""
        k = self.history.value + 1
        if change["new"] and k not in self.pinned:
            self.pinned[k] = ipywidgets.VBox(
                [
                    ipywidgets.HTML(f"<b>answer {k}</b>"),
                    figure(self.results[k - 1], width=FIGURE_WIDTH // 2),
                ]
            )
        elif not change["new"]:
            self.pinned.pop(k, None)
        self._set_side_by_side()

    def _set_side_by_side(self) -> None:
        """Set the pinned answers beside the one that is shown."""
        k = 0 if self.history.value is None else self.history.value + 1
        self.pin.unobserve(self._pin, "value")
        self.pin.value = k in self.pinned
        self.pin.observe(self._pin, "value")
        self.pin.disabled = not k or not isinstance(self.results[k - 1], Result)
        self.kept.children = [box for number, box in self.pinned.items() if number != k]
        numbers = sorted({*self.pinned, k}) if self.pinned and not self.pin.disabled else []
        self.compared.value = comparison({n: self.results[n - 1] for n in numbers}) if numbers else ""

    def _show(self, outcome: Any, follows: Result | None = None) -> None:
        """Show an answer; one that ``follows`` an early one of itself as it was looked at."""
        self._set_side_by_side()
        if not isinstance(outcome, Result):
            self.shown.children = [ipywidgets.HTML(f"<p>{_html.text(_words(outcome))}</p>")]
        elif self.shown.children:
            drawn, told = self.shown.children
            told.value = _html.answer(outcome)
            if (new := redraw(drawn, outcome, as_seen=follows is not None)) is not drawn:
                self.shown.children = [new, told]
        else:
            self.shown.children = [figure(outcome), ipywidgets.HTML(_html.answer(outcome))]

    def _say(self, error: BaseException, more: str = "") -> None:
        self.message.value = _html.status(explained(error) + more, wrong=not isinstance(error, Cancelled))


def _about(asked: Method) -> str:
    rows = [(i.name, i.needs, i.help) for i in asked.inputs]
    rows += [(p.name, p.legal, p.help) for p in asked.parameters.values()]
    reference = f"<p>{_html.text(asked.reference)}</p>" if asked.reference else ""
    settings = _html.table(["input or parameter", "it takes", "what it does"], rows)
    return (
        f"<b>{asked.name}</b>: {_html.text(asked.summary)}"
        f"<details><summary>What the settings mean</summary>{settings}{reference}</details>"
    )


def _words(made: Subject | Edit) -> str:
    """What a source or an edit made, in a line."""
    if isinstance(made, Edit):
        return f"An edit: {made.label}. Add it to a network: network + panel.result."
    return f"{made.name}: {made.holds}"


def _difference(asked: Method, outcome: Any) -> str:
    """The settings of an answer that aren't the defaults."""
    run = getattr(outcome, "run", None)
    given = run.parameters if run is not None else {}
    told = [f"{n}={v!r}" for n, v in given.items() if v != asked.parameters[n].default]
    where = [run.subject] if run is not None and run.inputs else []
    return ", ".join(where + told) or "as declared"
