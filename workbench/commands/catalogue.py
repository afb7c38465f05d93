"""``workbench list`` and ``workbench info``: what there is, and what one method does."""

from __future__ import annotations

import inspect
import itertools
import re
from typing import TYPE_CHECKING, Any

import click

from workbench.commands.console import say, say_json

if TYPE_CHECKING:
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
    help="Write JSON: name, verb, family, needs, gives, summary, parameters.",
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
    asks = f"asks for {needs_words(found)}, " if found.needs is not None else ""
    say(f"{found.name}: {found.verb} ({found.family}); {asks}gives {_gives(found)}")
    say()
    say(found.__doc__ or found.summary)
    say()
    say(f"At the command line:  {example(found)}")
    say(f"In Python:            workbench.{found.name}({'subject' if found.needs else ''})")


def find(name: str) -> Method:
    """Return a method by name; an unknown one is a mistake in the command line."""
    from workbench.core.errors import MissingError, ParameterError
    from workbench.core.registry import method

    try:
        return method(name)
    except MissingError as e:
        raise ParameterError(str(e)) from None


def example(method: Method) -> str:
    """A command line that asks this method something."""
    name = method.name.replace("_", "-")
    first = next(iter(method.parameters.values()), None)
    option = (
        f" --{first.name.replace('_', '-')} {first.default}" if first and first.base in (int, float) else ""
    )
    if method.verb == "source":
        return f"workbench run {name}{option} --out {name}.npz"
    if method.verb == "edit":
        return f"workbench run {name} minilm{option} --out edited.safetensors"
    at = {"Points": " --at encoder.layer.5", "Matrix": " --at embeddings.word_embeddings.weight"}
    return f"workbench run {name} minilm{at.get(method.needs.__name__, '') if method.needs else ''}{option}"


def prose(method: Method) -> str:
    """The docstring up to its first section: what the method does, without what it returns and raises."""
    text = inspect.cleandoc(method.function.__doc__ or "")
    return re.split(r"\n\n\w+\n-+\n", text, maxsplit=1)[0]


def needs_words(method: Method) -> str:
    """What a method asks of its subject, in words."""
    return getattr(method.needs, "needs", "a checkpoint")


def describe(method: Method) -> dict[str, Any]:
    """What ``list --json`` says of one method."""
    return {
        "name": method.name,
        "verb": method.verb,
        "family": method.family,
        "needs": method.needs.__name__ if method.needs else None,
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
