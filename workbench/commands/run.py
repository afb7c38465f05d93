"""``workbench run``: one command a method, made from its declaration."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.commands import _answers, _subjects
from workbench.commands._console import progress
from workbench.commands.catalogue import example, find, heading, needs_words, prose

if TYPE_CHECKING:
    from workbench.core.parameters import Parameter
    from workbench.core.registry import Method

METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT", bool: "True|False"}


@dataclass(frozen=True)
class Given:
    """A value that was typed, None among them."""

    value: Any


class Spelled(click.ParamType):
    """What a `Parameter` makes of the text that was typed."""

    name = "parameter"

    def __init__(self, parameter: Parameter, method: str):
        self.parameter = parameter
        self.method = method

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Given:
        """Return the value; `ParameterError` says what is legal."""
        return value if isinstance(value, Given) else Given(self.parameter.parse(value, self.method))


class Sectioned(click.Command):
    """A command whose help shows its options under several headings."""

    def __init__(self, *args: Any, sections: dict[str, list[click.Option]], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        known = [o for options in self.sections.values() for o in options]
        rest = [o for o in self.get_params(ctx) if o not in known and isinstance(o, click.Option)]
        for title, options in {**self.sections, "Other": rest}.items():
            lines = [line for o in options if (line := o.get_help_record(ctx)) is not None]
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


class Methods(click.Group):
    """The registry as a group of commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all methods, with dashes."""
        from workbench.core.registry import names

        return [n.replace("_", "-") for n in names()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Build the command of one method; only its own module is imported."""
        return command(find(cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the methods, family by family."""
        from workbench.core.registry import methods

        for said, members in itertools.groupby(methods(), key=heading):
            with formatter.section(said):
                formatter.write_dl([(m.name.replace("_", "-"), m.summary) for m in members])


@click.command(
    "run", cls=Methods, short_help="Ask a method something.", subcommand_metavar="METHOD [SUBJECT] [OPTIONS]"
)
def run() -> None:
    """Ask METHOD something of SUBJECT, or run a source or an edit.

    SUBJECT is a file or folder (a checkpoint, a cloud, a series, captured activations), the name of a bundled
    network (minilm), or the name of a source (circle). A network is asked about what it computes on a text:
    its activations are captured first.

    What a method takes: workbench run METHOD --help.
    """


def command(method: Method) -> click.Command:
    """Build the command of a method: SUBJECT, an option for every parameter, and what its verb needs."""
    own = [option(p, method.name) for p in method.parameters.values()]
    about = _subjects.options(method)
    output = [
        *_answers.options(method),
        click.Option(["as_json", "--json"], is_flag=True, help="Write the answer as JSON on stdout."),
    ]
    taken = {flag for o in own for flag in (*o.opts, *o.secondary_opts)}
    for o in (*about, *output):
        _set_apart(o, taken)
    arguments = [click.Argument(["_subject"], metavar="SUBJECT")] if method.needs is not None else []
    acts: dict[str, Callable[..., None]] = {"analysis": _analyse, "source": _make, "edit": _change}
    return Sectioned(
        method.name.replace("_", "-"),
        callback=_bind(acts[method.verb], method),
        params=[*arguments, *own, *about, *output],
        sections={"Parameters": own, "What is asked": about, "Output": output},
        help=_help(method),
        short_help=method.summary,
        epilog=f"\b\nExample:\n  {example(method)}\n\nMore, with references: workbench info {method.name}",
        context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
    )


def option(parameter: Parameter, method: str) -> click.Option:
    """The option of one parameter; what isn't typed is left to the method's default."""
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


def _set_apart(general: click.Option, taken: set[str]) -> None:
    """Keep an option that many methods have from one method's parameter of the same name.

    The parameter keeps the name, here and inside; the general option is then called ``--run-name``.
    """
    general.opts = [f"--run-{flag[2:]}" if flag in taken else flag for flag in general.opts]
    general.name = f"_{general.name}"


def _bind(act: Callable[..., None], method: Method) -> Callable[..., None]:
    """Split what was typed into the method's parameters and the rest."""

    def call(**typed: Any) -> None:
        own = {n: typed.pop(n) for n in method.parameters}
        values = {n: v.value if isinstance(v, Given) else v for n, v in own.items() if v is not None}
        act(method, values, **{n.removeprefix("_"): v for n, v in typed.items()})

    return call


def _help(method: Method) -> str:
    """The docstring up to its first section, and what the method needs."""
    asks = f"\n\nAsks for {needs_words(method)}." if method.needs is not None else ""
    return prose(method).replace("`", "") + asks


def _analyse(
    method: Method, values: dict[str, Any], subject: str, as_json: bool, out: Path | None, **asked: Any
) -> None:
    if out is not None:
        _answers.require_folder(out)
    with progress():
        result = method(_subjects.prepare(subject, method, **asked), **values)
    if out is not None:
        _answers.save(result, out)
    _answers.show(result, out, as_json=as_json)


def _make(method: Method, values: dict[str, Any], as_json: bool, out: Path | None) -> None:
    if out is not None:
        _answers.require_place(out, method.gives)
    with progress():
        made = method(**values)
    if out is not None:
        _answers.save_subject(made, out)
    _answers.show_subject(made, out, as_json=as_json)


def _change(
    method: Method, values: dict[str, Any], subject: str, as_json: bool, out: Path, dtype: Any
) -> None:
    _answers.require_weights(out)
    with progress():
        network: Any = _subjects.open_named(subject)
        changed = network + method(network, **values)
        changed.save(out, dtype=dtype)
    _answers.show_subject(changed, out, as_json=as_json)
