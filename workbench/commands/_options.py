"""Options of the command line, made from what a `Parameter` declares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from workbench.core.parameters import Parameter

METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT", bool: "True|False"}


@dataclass(frozen=True)
class Typed:
    """A value that was typed, None among them."""

    value: Any


class Spelled(click.ParamType):
    """What a `Parameter` makes of the text that was typed."""

    name = "parameter"

    def __init__(self, parameter: Parameter, method: str):
        self.parameter = parameter
        self.method = method

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Typed:
        """Return the value; `ParameterError` says what is legal."""
        return value if isinstance(value, Typed) else Typed(self.parameter.parse(value, self.method))


def option(parameter: Parameter, method: str) -> click.Option:
    """The option of one parameter; what isn't typed is left to the default."""
    name = f"--{parameter.name.replace('_', '-')}"
    said = f"{parameter.help}  [{parameter.legal}; default {parameter.default!r}]"
    if parameter.base is bool and not (parameter.optional or parameter.sequence or parameter.choices):
        return click.Option(
            [parameter.name, f"{name}/--no-{name[2:]}"],
            default=None,
            help=f"{parameter.help}  [default {parameter.default!r}]",
        )
    metavar = "|".join(map(str, parameter.choices)) if parameter.choices else METAVARS[parameter.base]
    if parameter.sequence:
        metavar += ",..."
    return click.Option([parameter.name, name], type=Spelled(parameter, method), metavar=metavar, help=said)


def cwd_option(without: str) -> Any:
    """The option ``--cwd`` of the commands that run a notebook; ``without`` it, which folder is taken."""
    return click.option(
        "--cwd",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help=f"The folder that the notebook runs in. Default: {without}.",
    )


def given(typed: dict[str, Any]) -> dict[str, Any]:
    """The values that were typed, by name, without those that weren't."""
    return {n: v.value if isinstance(v, Typed) else v for n, v in typed.items() if v is not None}
