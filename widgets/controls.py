"""Controls: what a `Parameter` declares, as something to set by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from widgets import _html
from workbench.core.errors import ParameterError
from workbench.core.parameters import Parameter

SLIDER_STEPS = 200  # a longer range is typed: a slider couldn't hit its values
WIDTH = {"width": "30em"}
NAME_WIDTH = "13em"
COLUMN = "34.5em"  # the widest control with its box for None; two of them beside each other on a laptop


class Control(ipywidgets.VBox):
    """One parameter's control.

    A slider can't leave the range; what is typed outside it is refused in red below, with what is legal.

    Attributes
    ----------
    parameter : what it sets.
    field : the widget for the value.
    none : the box to tick for None; absent where None isn't legal.
    error : why the present value is refused, or "".
    """

    def __init__(self, parameter: Parameter, method: str):
        self.parameter = parameter
        self.method = method
        self.error = ""
        self.field = _field(parameter)
        self.field.description = parameter.name
        self.field.tooltip = f"{parameter.help} It takes {parameter.legal} (default {parameter.default!r})."
        self.field.style.description_width = NAME_WIDTH
        self.none: ipywidgets.Checkbox | None = None
        self._said = ipywidgets.HTML()
        self._listener: Callable[[], None] = lambda: None
        row: list[ipywidgets.Widget] = [self.field]
        if parameter.optional:
            self.none = ipywidgets.Checkbox(description="None", indent=False, layout={"width": "auto"})
            self.none.observe(self._changed, "value")
            row.append(self.none)
        self.value = parameter.default
        self.field.observe(self._changed, "value")
        super().__init__([ipywidgets.HBox(row), self._said], layout={"width": COLUMN})

    @property
    def value(self) -> Any:
        """The value, validated.

        Raises
        ------
        ParameterError
            What is set isn't legal.
        """
        if self.none is not None and self.none.value:
            return None
        raw = self.field.value
        if isinstance(self.field, ipywidgets.Text):
            return self.parameter.parse(raw, self.method)
        return self.parameter.validate(raw, self.method)

    @value.setter
    def value(self, value: Any) -> None:
        value = self.parameter.validate(value, self.method)
        if self.none is not None:
            self.none.value = value is None
        if value is not None:
            self.field.value = _spelled(value) if isinstance(self.field, ipywidgets.Text) else value

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every change, legal or not."""
        self._listener = listener

    def _changed(self, _: Any) -> None:
        self.field.disabled = self.none is not None and self.none.value
        try:
            self.value  # noqa: B018 - read to be validated
            self.error = ""
        except ParameterError as e:
            self.error = str(e)
        self._said.value = _html.status(_html.text(self.error), wrong=True)
        self._listener()


def _field(p: Parameter) -> Any:
    """The widget whose values are the legal ones, as far as a widget can hold them to that."""
    if p.sequence or (p.choices is None and p.base is str):
        return ipywidgets.Text(continuous_update=False, layout=WIDTH)
    if p.choices is not None:
        return ipywidgets.Dropdown(options=[(str(c), c) for c in p.choices], layout=WIDTH)
    if p.base is bool:
        return ipywidgets.Checkbox(indent=True, layout=WIDTH)
    return _whole(p) if p.base is int else _real(p)


def _whole(p: Parameter) -> Any:
    if p.low is not None and p.high is not None:
        low, high = int(p.low) + p.open_low, int(p.high) - p.open_high
        if high - low <= SLIDER_STEPS:
            start = min(max(0, low), high)
            return ipywidgets.IntSlider(start, min=low, max=high, continuous_update=False, layout=WIDTH)
    # No bounds: a field that has them puts another number in the place of what was typed, without a word.
    return ipywidgets.IntText(next((v for v in p.endpoints() if v is not None), 0), layout=WIDTH)


def _real(p: Parameter) -> Any:
    # Bounds that are open, absent or far apart are held by the validation: a slider would skip values.
    if p.low is None or p.high is None or p.open_low or p.open_high or p.high - p.low > 1:
        return ipywidgets.FloatText(next((v for v in p.endpoints() if v is not None), 0.0), layout=WIDTH)
    step = (p.high - p.low) / SLIDER_STEPS
    return ipywidgets.FloatSlider(
        p.low, min=p.low, max=p.high, step=step, readout_format=".4g", continuous_update=False, layout=WIDTH
    )


def _spelled(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
