"""``workbench reproduce``: a report run again, and what came out the same."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.commands._options import cwd_option
from workbench.commands.console import progress, say, say_json, say_table

DIFFERENT = 8
SHOWN_FINDINGS = 5


@click.command("reproduce", short_help="Run a report again and compare every result.")
@click.argument("page", metavar="REPORT.html", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the new report goes. Default: REPORT-reproduced, beside the old one.",
)
@click.option(
    "--notebook",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The notebook it was made from. Default: the one beside it, or the one that comes with the workbench.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="NUMBER",
    help="How much numbers may differ, relative to their size. Default: 1e-6, and half the digits of arrays.",
)
@cwd_option("that of the first run if it is there, else its own")
@click.option(
    "--json", "as_json", is_flag=True, help="Write JSON: each result's verdict, differences and reasons."
)
@click.pass_context
def reproduce(
    ctx: click.Context,
    page: Path,
    output: Path | None,
    notebook: Path | None,
    tolerance: float | None,
    cwd: Path | None,
    as_json: bool,
) -> None:
    """Run REPORT's notebook again, with the parameters in its manifest and without the cache, and compare each result.

    Nothing in the page is run. What is run is the notebook beside the page, or the one named, after its digest was
    found equal to the manifest's; a notebook from somebody you don't know is a program from somebody you don't know.

    Ends with 0 when every result is identical or equal within tolerance, with 8 when one is different.

    \b
    workbench reproduce reports/atlas.html
    workbench reproduce from-a-colleague.html --notebook probe.ipynb --json
    """
    from workbench.report.reproducing import reproduce as run_again

    with progress():
        found = run_again(page, output, notebook=notebook, tolerance=tolerance, cwd=cwd)
    if as_json:
        say_json(found.to_json())
        ctx.exit(0 if found.same else DIFFERENT)
    say(f"Ran {found.notebook} again, without the cache.")
    for sentence in found.mixed:
        say(sentence)
    if found.versions:
        say(f"Versions that differ: {'; '.join(found.versions)}.")
    if found.results:
        say_table(["result", "this time"], ([r.title, r.sentence()] for r in found.results))
    else:
        say("The report shows no result of a method, so there was nothing to compare.")
    for word, sentences in (("No longer found", found.gone), ("Newly found", found.new)):
        for sentence in sentences[:SHOWN_FINDINGS]:
            say(f"{word}: {sentence}")
    counts = [
        sum(r.verdict == v for r in found.results) for v in ("identical", "within tolerance", "different")
    ]
    say(f"{counts[0]} identical, {counts[1]} equal within tolerance, {counts[2]} different.")
    say(f"Written: {found.page}")
    ctx.exit(0 if found.same else DIFFERENT)
