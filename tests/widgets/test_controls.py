"""Controls: whatever a parameter declares can be set, and nothing else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import ipywidgets
import pytest
from annotated_types import Gt, Interval
from typing_extensions import Doc

from widgets.controls import Control
from workbench.core.errors import ParameterError
from workbench.core.parameters import Parameter, parameters_of
from workbench.core.registry import methods

PARAMETERS = [(m.name, p) for m in methods() for p in m.parameters.values()]


def declared() -> dict[str, Parameter]:
    def method(
        *,
        few: Annotated[int, Interval(ge=1, le=50), Doc("A short range.")] = 5,
        many: Annotated[int, Interval(ge=1, lt=10**6), Doc("A long range.")] = 15,
        share: Annotated[float, Interval(ge=0, le=1), Doc("A bounded number.")] = 0.25,
        scale: Annotated[float, Gt(0), Doc("An open range.")] = 1.5,
        free: Annotated[float | None, Doc("Any number.")] = None,
        kind: Annotated[Literal["a", "b"], Doc("A choice.")] = "b",
        flag: Annotated[bool, Doc("Yes or no.")] = True,
        label: Annotated[str, Doc("A text.")] = "<b>x</b>",
        dims: Annotated[tuple[Annotated[int, Interval(ge=0, le=2)], ...], Doc("A list.")] = (0, 1),
        epochs: Annotated[int | None, Interval(ge=1, le=100), Doc("Optional.")] = None,
    ) -> None: ...

    return parameters_of(method)


@pytest.fixture(params=declared())
def control(request: pytest.FixtureRequest) -> Control:
    return Control(declared()[request.param], "method")


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS, ids=lambda x: x if isinstance(x, str) else x.name)
def test_every_declared_parameter_has_a_control_that_starts_at_its_default(
    name: str, parameter: Parameter
) -> None:
    made = Control(parameter, name)
    assert made.value == parameter.default
    assert type(made.value) is type(parameter.default)
    assert parameter.legal in made.field.tooltip
    assert parameter.help in made.field.tooltip
    for value in parameter.endpoints():
        made.value = value
        assert made.value == value
        assert made.error == ""


def test_a_control_takes_its_legal_endpoints(control: Control) -> None:
    assert control.value == control.parameter.default
    for value in control.parameter.endpoints():
        control.value = value
        assert control.value == value


def test_a_control_refuses_from_code_what_the_method_refuses(control: Control) -> None:
    before = control.value
    for value in control.parameter.illegal():
        with pytest.raises(ParameterError, match=control.parameter.name):
            control.value = value
    assert control.value == before


@pytest.mark.parametrize(
    ("name", "typed", "held"),
    [("few", 99, 50), ("few", -3, 1), ("share", 7.0, 1.0), ("epochs", 0, 1)],
)
def test_a_slider_cannot_leave_the_range(name: str, typed: Any, held: Any) -> None:
    control = Control(declared()[name], "method")
    control.value = control.parameter.endpoints()[0]
    control.field.value = typed
    assert control.value == held


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("many", 0),
        ("many", 10**9),
        ("scale", 0.0),
        ("scale", float("nan")),
        ("dims", "0, 7"),
        ("dims", "one"),
    ],
)
def test_what_a_widget_cannot_hold_back_is_refused_inline(name: str, typed: Any) -> None:
    control = Control(declared()[name], "method")
    heard: list[str] = []
    control.on_change(lambda: heard.append(control.error))
    control.field.value = typed
    said = control.children[1].value
    assert control.error.startswith(f"method: {name}=")
    assert 'role="alert"' in said
    assert control.parameter.legal in said
    with pytest.raises(ParameterError):
        control.value  # noqa: B018
    control.field.value = {"many": 7, "scale": 0.5, "dims": "0, 2"}[name]
    assert control.error == ""
    assert control.children[1].value == ""
    assert len(heard) == 2


def test_what_is_refused_is_shown_as_text() -> None:
    control = Control(declared()["dims"], "method")
    control.field.value = "<script>alert(1)</script>"
    assert "<script" not in control.children[1].value
    assert "&lt;script" in control.children[1].value


def test_none_is_a_box_to_tick() -> None:
    control = Control(declared()["epochs"], "method")
    assert isinstance(control.none, ipywidgets.Checkbox)
    assert control.none.value
    assert control.field.disabled
    control.none.value = False
    assert not control.field.disabled
    assert control.value == control.field.value == 1
    assert Control(declared()["few"], "method").none is None


@pytest.mark.parametrize(
    ("name", "widget"),
    [
        ("few", ipywidgets.IntSlider),
        ("many", ipywidgets.IntText),
        ("share", ipywidgets.FloatSlider),
        ("scale", ipywidgets.FloatText),
        ("kind", ipywidgets.Dropdown),
        ("flag", ipywidgets.Checkbox),
        ("label", ipywidgets.Text),
        ("dims", ipywidgets.Text),
    ],
)
def test_the_kind_of_control_follows_from_the_declaration(name: str, widget: type) -> None:
    assert type(Control(declared()[name], "method").field) is widget
