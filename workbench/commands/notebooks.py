"""``workbench report`` and ``workbench lab``: notebooks and own data, run to a page or opened."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from workbench.commands._options import cwd_option
from workbench.commands.console import clean, progress, say, say_json


class Pairs(click.Command):
    """A command whose ``-p NAME=VALUE`` may be typed ``-p NAME VALUE`` too, as it once was."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Join a name and the value after it before the arguments are parsed."""
        typed, joined = iter(args), []
        for arg in typed:
            joined.append(arg)
            if arg in ("-p", "--parameter") and (pair := next(typed, "")):
                value = next(typed, None) if pair.isidentifier() else None
                joined.append(pair if value is None else f"{pair}={value}")
        return super().parse_args(ctx, joined)


@click.command("report", cls=Pairs, short_help="Make one HTML page of a notebook, or of your own data.")
@click.argument("notebook", metavar="WHAT")
@click.option(
    "-p",
    "--parameter",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the notebook (for your own data: of the notebook explore); repeat for more.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the page goes. Default: reports/WHAT.html, or WHAT-2.html if that is a page about something else.",
)
@cwd_option("its own (the current one for a notebook that comes with the workbench)")
@click.option("--json", "as_json", is_flag=True, help="Write JSON: the paths of what was written.")
def report(
    notebook: str, pairs: tuple[str, ...], output: Path | None, cwd: Path | None, as_json: bool
) -> None:
    """Make one HTML page about WHAT, which opens offline, with the executed notebook beside it.

    WHAT is something of your own: a table of embeddings (CSV, Parquet, .npy), texts, a checkpoint, a Hugging Face
    folder, a capture, a series, a recording; the notebook explore opens it and asks what fits it. Or it is a notebook: a
    path, or the name of one that comes with the workbench (atlas, descent, tethers). A VALUE has the type of the parameter's
    default: text needs no quotation marks, anything else is written as in Python.

    \b
    workbench report mine.csv
    workbench report mine.csv -p label=topic
    workbench report path/to/model -p corpus=texts.txt
    workbench report atlas -p network=glassllm-en -o glassllm.html
    """
    from workbench.report import facts
    from workbench.report import report as write_report
    from workbench.report.own import stem_of

    with progress():
        page = write_report(notebook, dict(map(_pair, pairs)), output, cwd=cwd)
    unkept = facts.beside(page).unkept
    if as_json:
        say_json({"page": page.absolute(), "unkept": unkept})
        return
    say(f"Written: {page}")
    if output is None and page.stem != (name := stem_of(notebook)):
        say(f"{page.with_stem(name)} is of something else with this name, and was left as it is.")
    if unkept:
        say(
            f"{unkept} results have no files beside it: neither the cache nor the temporary folder had room for them. "
            "workbench cache and workbench doctor say where these are."
        )


def _pair(typed: str) -> tuple[str, Any]:
    from workbench.report.sweeps.grid import literal

    name, equals, value = typed.partition("=")
    if not equals:
        raise click.BadParameter(
            f"{typed!r} has no value: write NAME=VALUE, as in network=minilm.", param_hint="'-p'"
        )
    return name.strip(), literal(value)


@click.command(
    "lab", short_help="Open JupyterLab on the notebooks.", context_settings={"ignore_unknown_options": True}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lab(arguments: tuple[str, ...]) -> None:
    """Open JupyterLab on ./notebooks; ARGUMENTS go to JupyterLab, as in: workbench lab --no-browser.

    Notebooks that come with the workbench and aren't there yet are copied there. A file that is there is
    never overwritten.
    """
    folder = Path("notebooks")
    for path in provide(folder):
        click.echo(f"Copied {clean(path)}", err=True)
    # In a container everybody is root, and JupyterLab would refuse; it still asks for its token.
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    # In place of this process, so that Ctrl-C reaches JupyterLab, which asks and stops its kernels.
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", str(folder), *root, *arguments])


def provide(folder: Path) -> list[Path]:
    """Copy the workbench's own notebooks that ``folder`` lacks; return what was copied.

    Raises
    ------
    StorageError
        The folder can't be written.
    """
    from workbench.core.storage import writing
    from workbench.report.notebooks import shipped

    copied = []
    for notebook in shipped().values():
        target = folder / notebook.name
        if not target.exists():
            with writing(target) as temporary:
                shutil.copyfile(notebook, temporary)
            copied.append(target)
    return copied
