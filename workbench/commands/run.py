"""``workbench run``: one command a method, made from its declaration."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.commands import _answers, _subjects
from workbench.commands._options import given, option
from workbench.commands.catalogue import example, find, heading, prose
from workbench.commands.console import progress

if TYPE_CHECKING:
    from workbench.core.method import Method


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
    "run",
    cls=Methods,
    short_help="Ask a method about your data.",
    subcommand_metavar="METHOD [INPUT]... [OPTIONS]",
)
def run() -> None:
    """Ask METHOD about its inputs, or run a source or an edit.

    An INPUT is a file or folder (a checkpoint, a cloud, a series, captured activations, an answer that was kept with
    --out), the name of a bundled network (minilm), or the name of a source (circle). A network is asked about what it
    computes on a text: its activations are captured first.

    What a method takes: workbench run METHOD --help.
    """


def command(method: Method) -> click.Command:
    """Build the command of a method: its inputs, an option for every parameter, and what its verb needs."""
    own = [option(p, method.name) for p in method.parameters.values()]
    about = _subjects.options(method)
    output = [
        *_answers.options(method),
        click.Option(["as_json", "--json"], is_flag=True, help="Write the answer as JSON on stdout."),
    ]
    taken = {flag for o in own for flag in (*o.opts, *o.secondary_opts)}
    for o in (*about, *output):
        _set_apart(o, taken)
    acts: dict[str, Callable[..., None]] = {"analysis": _analyse, "source": _make, "edit": _change}
    return Sectioned(
        method.name.replace("_", "-"),
        callback=_bind(acts[method.verb], method),
        params=[*_subjects.arguments(method), *own, *about, *output],
        sections={"Parameters": own, "What is asked": about, "Output": output},
        help=_help(method),
        short_help=method.summary,
        epilog=f"\b\nExample:\n  {example(method)}\n\nMore, with references: workbench info {method.name}",
        context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
    )


def _set_apart(general: click.Option, taken: set[str]) -> None:
    """Keep an option that many methods have from one method's parameter of the same name.

    The parameter keeps the name, here and inside; the general option is then called ``--run-name``.
    """
    general.opts = [f"--run-{flag[2:]}" if flag in taken else flag for flag in general.opts]
    general.secondary_opts = [
        f"--run-{flag[2:]}" if flag in taken else flag for flag in general.secondary_opts
    ]
    general.name = f"_{general.name}"


def _bind(act: Callable[..., None], method: Method) -> Callable[..., None]:
    """Split what was typed into the method's inputs, its parameters and the rest."""

    def call(**typed: Any) -> None:
        inputs = [typed.pop(f"_input{i}") for i in range(len(method.inputs))]
        values = given({n: typed.pop(n) for n in method.parameters})
        act(method, inputs, values, **given({n.removeprefix("_"): v for n, v in typed.items()}))

    return call


def _help(method: Method) -> str:
    """The docstring up to its first section, and what each input takes."""
    asks = "".join(
        f"\n\n{spec.name.upper()} is {spec.needs}.{f' {spec.help}' if spec.help else ''}"
        for spec in method.inputs
    )
    return prose(method).replace("`", "") + asks


def _analyse(
    method: Method,
    inputs: list[str | None],
    values: dict[str, Any],
    as_json: bool,
    out: Path | None = None,
    **asked: Any,
) -> None:
    if out is not None:
        _answers.require_answer(out)
        _answers.keep_inputs(inputs, out)
    with progress():
        result = method(*_subjects.prepare(method, inputs, **asked), **values)
        if out is not None:
            _answers.save(result, out)
    _answers.show(result, out, as_json=as_json)


def _make(
    method: Method,
    inputs: list[str | None],
    values: dict[str, Any],
    as_json: bool,
    out: Path | None = None,
) -> None:
    if out is not None:
        _answers.require_place(out, method.gives)
        _answers.keep_inputs(inputs, out)
    with progress():
        made = method(*_subjects.prepare(method, inputs), **values)
    if out is not None:
        made.save(out)
    _answers.show_subject(made, out, as_json=as_json)


def _change(
    method: Method,
    inputs: list[str | None],
    values: dict[str, Any],
    as_json: bool,
    out: Path,
    dtype: Any,
) -> None:
    _answers.require_weights(out)
    _answers.keep_inputs(inputs, out)
    with progress():
        things = _subjects.prepare(method, inputs)
        changed = things[0] + method(*things, **values)
        changed.save(out, dtype=dtype)
    _answers.show_subject(changed, out, as_json=as_json)
