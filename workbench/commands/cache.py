"""``workbench cache``: what is kept, and making room."""

from __future__ import annotations

import click

from workbench.commands.console import (
    SIZES,
    TIMES,
    Amount,
    bytes_words,
    say,
    say_json,
    say_table,
    time_words,
)


@click.group("cache", short_help="Show or prune the cache.")
def cache() -> None:
    """Show or prune what was kept: results, and activations that were captured.

    Everything here can be computed again. The place is set by WORKBENCH_CACHE.
    """


@cache.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def list_entries(as_json: bool) -> None:
    """Show what is kept, most recently used first."""
    from workbench.core.cache import cache_dir, entries

    found = entries()
    if as_json:
        said = [
            {
                "what": e.what,
                "method": e.method,
                "subject": e.subject,
                "bytes": e.nbytes,
                "unused_seconds": e.age,
                "path": e.path,
            }
            for e in found
        ]
        say_json({"path": cache_dir(), "entries": said})
        return
    if found:
        say_table(
            ["method", "of", "size", "last used", "name"],
            (
                [
                    e.method or e.what,
                    e.subject,
                    bytes_words(e.nbytes),
                    f"{time_words(e.age)} ago",
                    e.path.name[:12],
                ]
                for e in found
            ),
        )
    say(f"{len(found)} entries, {bytes_words(sum(e.nbytes for e in found))}, in {cache_dir()}")


@cache.command("prune")
@click.option(
    "--older-than",
    type=Amount("span of time", TIMES, "30d or 12h"),
    metavar="TIME",
    help="Only what hasn't been used for this long, such as 30d.",
)
@click.option(
    "--keep",
    type=Amount("size", SIZES, "2GB or 500MB"),
    metavar="SIZE",
    help="Keep the most recent that fit into this size, such as 2GB.",
)
@click.option("--all", "everything", is_flag=True, help="Remove everything.")
def prune_entries(older_than: float | None, keep: float | None, everything: bool) -> None:
    """Remove what was used longest ago; what another process is writing stays.

    With both --older-than and --keep, what is older goes only as far as it doesn't fit.
    """
    from workbench.core.cache import prune

    if everything == (older_than is not None or keep is not None):
        raise click.UsageError("Say what to remove: --older-than 30d, --keep 2GB, both, or --all.")
    gone, left = prune(older_than=older_than or 0.0, keep_bytes=int(keep or 0))
    say(f"Removed {len(gone)} entries, {bytes_words(sum(e.nbytes for e in gone))}.")
    if left:
        say(f"{len(left)} were left: another process is writing them, or they can't be removed.")
