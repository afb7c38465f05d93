"""``workbench bench``: our primitives and methods beside the peers that are installed."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.commands._answers import require_file
from workbench.commands.console import progress, say, say_json


@click.command("bench", short_help="Measure speed and quality beside other libraries.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "only_list", is_flag=True, help="Name the measurements.")
@click.option(
    "--rows",
    "data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An .npy file of rows. Default: token activations of MiniLM, or generated rows where those are too few.",
)
@click.option(
    "--scale",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Multiply every number of rows by this.",
)
@click.option(
    "--repeats", type=click.IntRange(1), default=3, show_default=True, help="Calls after the first."
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where our methods run.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Save all measurements as .json."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON: the lists of what was measured.")
def bench(
    names: tuple[str, ...],
    only_list: bool,
    data: Path | None,
    scale: float,
    repeats: int,
    device: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure NAME, or everything, beside other libraries that are installed: the same rows, in one process.

    Every line gives the median of the warm calls with the fastest and slowest, the first call, a peer's time as
    a multiple of ours, and the answer's quality. What was skipped says why. On a GPU the numbers of
    rows are those in docs/GPU.md; on a CPU they are smaller.

    \b
    workbench bench --list
    workbench bench umap spectral --out measured.json
    workbench bench neighbours --device cpu --scale 0.1
    """
    from workbench.benchmarks import catalogue

    if only_list:
        found = [{"name": b.name, "about": b.about} for b in catalogue.ALL.values()]
        if as_json:
            say_json(found)
        for b in [] if as_json else found:
            say(f"{b['name']:<11} {b['about']}")
        return
    asked = catalogue.chosen(names)
    if out is not None:
        require_file(out, (".json",))
    setting = catalogue.setting_of(device, scale, repeats, data)
    if not as_json:
        say(catalogue.heading(setting))
    seen = []
    with progress():
        for _, entries in catalogue.measure(asked, setting, out):
            seen += entries
            for line in [] if as_json else catalogue.lines(entries):
                say(line)
    if as_json:
        say_json({**catalogue.facts(setting), "entries": [e.to_json() for e in seen]})
    catalogue.require_ours(seen)
