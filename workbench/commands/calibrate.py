"""``workbench calibrate``: how often a method claims what isn't there, finds what is, and covers what it should."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from workbench.commands.catalogue import find
from workbench.commands.console import progress, say, say_json

if TYPE_CHECKING:
    from workbench.calibrating.ledger import Entry
    from workbench.core.method import Method


@click.command("calibrate", short_help="Measure how far a method's answers can be trusted.")
@click.argument("names", nargs=-1, metavar="[METHOD]...")
@click.option(
    "--world", "wanted", multiple=True, metavar="NAME", help="Only this kind of data; repeat for more."
)
@click.option(
    "--runs",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="Runs on each kind of data.",
)
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="Processes. Default: as many as processors."
)
@click.option(
    "--write", "keep", is_flag=True, help="Put the rates into the ledger that ships with the package."
)
@click.option("--show", is_flag=True, help="Only show what the ledger says.")
@click.option("--stale", "only_stale", is_flag=True, help="Only list what was measured with earlier code.")
@click.option(
    "--confirm",
    is_flag=True,
    help="Repeat the first runs of what was measured with earlier code; where they agree, the rates count for this "
    "code too.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def calibrate(
    names: tuple[str, ...],
    wanted: tuple[str, ...],
    runs: int,
    jobs: int | None,
    keep: bool,
    show: bool,
    only_stale: bool,
    confirm: bool,
    as_json: bool,
) -> None:
    """Run METHOD, or all methods, on made-up data whose truth is known, and count how often it is right.

    Most kinds of data hold nothing to find: there, at most 5 % of the tests should claim something. In the others
    something was planted: there, more hits are better. A 95 % interval should hold the truth in 95 % of runs. Finished
    runs are kept: run a stopped command again, and it goes on.

    \b
    workbench calibrate cka --runs 1000
    workbench calibrate persistence --world "heavy tails" --world uniform
    workbench calibrate --show
    """
    from dataclasses import asdict

    from workbench.calibrating import ledger, running
    from workbench.calibrating.world import worlds_for

    asked = [find(n) for n in names] if names else _testing()
    if only_stale:
        found = {m.name: ledger.stale(m) for m in asked}
        if as_json:
            say_json({n: w for n, w in found.items() if w})
        for n, w in found.items() if not as_json else ():
            if w:
                say(f"{n}: {', '.join(w)}")
        return
    jobs = jobs or os.cpu_count() or 1
    if confirm:
        changed = {m.name: _other_answers(m, wanted, jobs) for m in asked}
        if as_json:
            say_json({n: w for n, w in changed.items() if w})
        for n, w in changed.items() if not as_json else ():
            say(
                f"{n}: the answers changed in {', '.join(w)}: measure these again."
                if w
                else f"{n}: unchanged."
            )
        return
    entries: list[Entry] = []
    for m in asked:
        if show:
            measured = ledger.read(m.name).values()
            done = {e.world: e for e in measured if not wanted or e.world in wanted}
        else:
            done = {}
            with progress():
                for world, records in running.calibrate(m, worlds_for(m, wanted), runs, jobs):
                    done[world.name] = ledger.entry_of(m, world, records)
                    if keep:
                        ledger.write(m.name, done)
        entries += done.values()
        if not done and not as_json:
            why = "it was never calibrated" if worlds_for(m) else "there is no data of known truth for it"
            say(f"{m.name}: {why}.")
        if done and not as_json:
            say(f"{m.name}: how often it claims something; (there): where something is")
            for line in ledger.lines(done.values()):
                say(f"  {line}")
    if as_json:
        say_json([asdict(e) for e in entries])


def _other_answers(method: Method, wanted: tuple[str, ...], jobs: int) -> list[str]:
    """The worlds in which this code's first runs aren't those of the ledger; the others' rates are said to be this code's."""
    from dataclasses import replace

    from workbench.calibrating import ledger, running
    from workbench.calibrating.world import worlds_for

    old = set(ledger.stale(method))
    here = [w for w in worlds_for(method, wanted) if w.name in old]
    changed = []
    with progress():
        for world, records in running.calibrate(method, here, ledger.FIRST, jobs):
            entry = ledger.read(method.name)[world.name]
            if ledger.as_before(entry, records):
                ledger.write(method.name, {world.name: replace(entry, version=method.version)})
            else:
                changed.append(world.name)
    return changed


def _testing() -> list[Method]:
    """The methods for which there is a world."""
    from workbench.calibrating.world import worlds
    from workbench.core.registry import methods

    known = worlds()
    return [m for m in methods() if any(w.suits(m) for w in known)]
