"""``workbench list`` and ``workbench info``: what there is, and what one method does."""

from __future__ import annotations

import inspect
import itertools
import re
import shlex
from typing import TYPE_CHECKING, Any

import click

from workbench.commands.console import say, say_json

if TYPE_CHECKING:
    from workbench.core.inputs import Input
    from workbench.core.method import Method

HEADINGS = {
    "analysis": "Analyses",
    "source": "Sources (subjects with known answers)",
    "edit": "Edits of a checkpoint",
}


def heading(method: Method) -> str:
    """What a method is listed under: its verb, and an analysis its family too."""
    said = HEADINGS[method.verb]
    return f"{said}: {method.family}" if method.verb == "analysis" else said


@click.command("list", short_help="Show the methods.")
@click.option(
    "--family",
    metavar="F",
    help="Only this family (embedding, topology ...) or verb (source, analysis, edit).",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Write JSON: name, verb, family, inputs, gives, summary, parameters.",
)
def list_methods(family: str | None, as_json: bool) -> None:
    """Show the methods, family by family, one a line.

    What a method does in full, its parameters and its references: workbench info METHOD.
    """
    from workbench.core.registry import methods

    found = methods()
    if family is not None:
        families = {m.family for m in found} | {m.verb for m in found}
        if family not in families:
            from workbench.core.errors import ParameterError, suggest

            raise ParameterError(f"There is no family {family!r}. {suggest(family, families)}")
        found = [m for m in found if family in (m.family, m.verb)]
    if as_json:
        say_json([describe(m) for m in found])
        return
    width = max(len(m.name) for m in found)
    for said, members in itertools.groupby(found, key=heading):
        say(said)
        for m in members:
            say(f"  {m.name:<{width}}  {m.summary}")
        say()


@click.command("info", short_help="Say what one method does, takes and returns.")
@click.argument("method")
def info(method: str) -> None:
    """Say what METHOD does, what it takes, what it returns and where it comes from."""
    found = find(method)
    takes = " and ".join(f"{spec.name} ({spec.needs})" for spec in found.inputs)
    say(f"{found.name}: {found.verb} ({found.family}); takes {takes or 'nothing'}, gives {_gives(found)}")
    say()
    say(found.__doc__ or found.summary)
    say()
    if found.verb == "analysis":
        from workbench.calibrating.ledger import lines, read, stale

        measured = read(found.name)
        if measured or "n_null" in found.parameters:
            say("Calibration")
            say("-----------")
            for line in lines(measured.values()) if measured else ():
                say(line)
            if not measured:
                say("How often it claims what isn't there was never measured.")
            if old := stale(found):
                say(f"Measured with earlier code: {'all' if len(old) == len(measured) else ', '.join(old)}.")
            say()
    say(f"At the command line:  {example(found)}")
    say(f"In Python:            workbench.{found.name}({', '.join(spec.name for spec in found.inputs)})")


def find(name: str) -> Method:
    """Return a method by name; an unknown one is a mistake in the command line."""
    from workbench.core.errors import MissingError, ParameterError
    from workbench.core.registry import method

    try:
        return method(name)
    except MissingError as e:
        raise ParameterError(str(e)) from None


def example(method: Method) -> str:
    """A command line that asks this method something; in capitals what there is no example of."""
    name = method.name.replace("_", "-")
    inputs, parts = "", ""
    needed = [spec for spec in method.inputs if not spec.optional]
    for spec in needed:
        typed, part = _typed(spec)
        inputs += f" {typed}"
        if part and method.verb == "analysis":
            parts += f" --at {shlex.quote(f'{spec.name}={part}' if len(needed) > 1 else part)}"
    first = next(iter(method.parameters.values()), None)
    option = (
        f" --{first.name.replace('_', '-')} {first.default}" if first and first.base in (int, float) else ""
    )
    if method.verb == "source":
        return f"workbench run {name}{option} --out {name}.npz"
    if method.verb == "edit":
        return f"workbench run {name}{inputs}{option} --out edited.safetensors"
    return f"workbench run {name}{inputs}{parts}{option}"


def _typed(spec: Input) -> tuple[str, str]:
    """How something for an input is named at the command line, and the part of it that is asked about."""
    from workbench import asking
    from workbench.core.result import Result

    if issubclass(spec.takes, Result):
        return f"{getattr(spec.takes, 'kind', 'answer')}-kept", ""
    typed = next((cls for cls in asking.givers(spec) if cls.typed), None)
    if typed is None:
        return spec.name.upper(), ""
    view = asking.view_of(spec)
    return typed.typed, typed.narrows.get(view, "") if view is not None else ""


def prose(method: Method) -> str:
    """The docstring up to its first section: what the method does, without what it returns and raises."""
    text = inspect.cleandoc(method.function.__doc__ or "")
    return re.split(r"\n\n\w+\n-+\n", text, maxsplit=1)[0]


def describe(method: Method) -> dict[str, Any]:
    """What ``list --json`` says of one method."""
    return {
        "name": method.name,
        "verb": method.verb,
        "family": method.family,
        "inputs": [
            {
                "name": spec.name,
                "takes": spec.takes.__name__,
                "needs": spec.needs,
                "optional": spec.optional,
                "paired": spec.paired,
                "help": spec.help,
            }
            for spec in method.inputs
        ],
        "gives": method.gives.__name__,
        "summary": method.summary,
        "parameters": {
            p.name: {"legal": p.legal, "default": p.default, "help": p.help}
            for p in method.parameters.values()
        },
    }


def _gives(method: Method) -> str:
    name = getattr(method.gives, "kind", method.gives.__name__)
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
