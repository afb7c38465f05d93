"""``workbench sweep``: one notebook, many parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.commands._options import cwd_option
from workbench.commands.console import clean, say, say_json, time_words

if TYPE_CHECKING:
    from workbench.report.sweeps.runs import Job, Outcome
    from workbench.report.sweeps.sweep import Sweep

SOME_FAILED = 7
SHOWN = 5  # failures that are told on the terminal; the page has all


@click.command("sweep", short_help="Run a notebook with many parameters and compare the runs.")
@click.argument("notebook")
@click.option(
    "-p",
    "--parameter",
    "pairs",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values of a parameter: 0,1,2 or 5..50:5 (both ends included); repeat for more parameters.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="How many run at once. Default: the number of cores, at most 4.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="How many threads each may use. Default: its share of the cores.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where index.html and the runs go. Default: reports/NOTEBOOK-sweep.",
)
@click.option(
    "--value",
    "values",
    multiple=True,
    metavar="NAME",
    help="Compare this number: an evidence's id, or id@of where a method asks it of several things; METHOD:id, and * for "
    "any, are legal too ('pca:*'); repeat for more.",
)
@cwd_option("its own (the current one for a notebook that comes with the workbench)")
@click.option("--again", is_flag=True, help="Run finished ones again too.")
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Send the runs to a Ray cluster: HOST:PORT, or auto for the one that runs here.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: what was done, what failed, and the page.")
@click.pass_context
def sweep(
    ctx: click.Context,
    notebook: str,
    pairs: tuple[str, ...],
    jobs: int | None,
    threads: int | None,
    output: Path | None,
    values: tuple[str, ...],
    cwd: Path | None,
    again: bool,
    ray: str | None,
    as_json: bool,
) -> None:
    """Run NOTEBOOK with every combination of the parameters' values, several at once, each to a report of its own.

    A page, index.html, compares the runs and links the reports. What is done already (the same notebook, parameters
    and versions) is skipped, so the same command goes on with what was stopped, whatever stopped it. A run that
    fails leaves its notebook as far as it came, and the others go on.

    Ends with 0 when all runs are done, with 7 when some failed, with 130 when it was stopped.

    \b
    workbench sweep atlas -p n_neighbors=5..50:5 --jobs 2
    workbench sweep probe.ipynb -p layer=0,1,2 -p network=minilm,glassllm-en --value balanced_accuracy
    workbench sweep probe.ipynb -p "layers=(0, 1),(2, 3)"
    """
    from workbench.report.sweeps.grid import parse
    from workbench.report.sweeps.sweep import sweep as run_sweep

    with _progress() as listener:
        done = run_sweep(
            notebook,
            parse(pairs),
            output,
            jobs=jobs,
            threads=threads,
            ray=ray,
            values=values,
            again=again,
            cwd=cwd,
            listener=listener,
        )
    _show(done, as_json)
    ctx.exit(SOME_FAILED if done.failed else 0)


def _show(done: Sweep, as_json: bool) -> None:
    if as_json:
        counts = {"done": done.done, "skipped": done.skipped, "failed": done.failed, "errors": done.errors}
        say_json({"page": done.index.absolute(), **counts, "unknown_values": done.unknown_values})
        return
    before = f", {done.skipped} of them before" if done.skipped else ""
    say(
        f"{done.done} of {len(done.jobs)} runs are done{before}."
        + (f" {done.failed} failed:" if done.failed else "")
    )
    for label, error in list(done.errors.items())[:SHOWN]:
        say(f"  {label}: {error}")
    if len(done.errors) > SHOWN:
        say(f"  and {len(done.errors) - SHOWN} more, on the page.")
    if done.unknown_values:
        known = ", ".join(done.value_names[:12]) or "none"
        say(f"No run has a number named {', '.join(map(repr, done.unknown_values))}. There are: {known}.")
    say(f"Written: {done.index}")


@contextmanager
def _progress() -> Iterator[Callable[[Sweep, Job, Outcome | None], None]]:
    """Show on stderr how many runs are done and how long the rest will take; a line a run where it is a log."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("sweep", total=None, left="")

        def listener(state: Sweep, job: Job, outcome: Outcome | None) -> None:
            ended = state.done + state.failed
            failed = f", {state.failed} failed" if state.failed else ""
            now = f"; now {clean(', '.join(state.running))[:60]}" if state.running else ""
            said = f"{ended} of {len(state.jobs)}{failed}{now}"
            shown.update(bar, description=said, total=len(state.jobs), completed=ended, left=_left(state))

        yield listener


def _line(state: Sweep, job: Job, outcome: Outcome | None) -> None:
    if outcome is not None:
        how = f"failed after {outcome.seconds:.1f} s" if outcome.error else f"done in {outcome.seconds:.1f} s"
        ended = f"{state.done + state.failed} of {len(state.jobs)}"
        click.echo(f"{ended}  {clean(job.label)}: {how}{_left(state, ', ')}", err=True)


def _left(state: Sweep, before: str = "") -> str:
    if not state.left:
        return ""
    return f"{before}about {time_words(state.left)} left"
