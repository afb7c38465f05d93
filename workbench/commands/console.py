"""What the commands share: text that a terminal may show, progress on stderr, sizes and times in words."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

LINE_EVERY = 10  # seconds between two lines of progress in a log
WIDTH = 110  # of tables that go to a pipe or a file

SIZES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
TIMES = {"S": 1, "MIN": 60, "H": 3600, "D": 86_400, "W": 7 * 86_400}


def clean(text: Any) -> str:
    """Return text without control characters: a name read from a file must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in str(text))


def say(text: str = "") -> None:
    """Write a line to stdout."""
    click.echo(clean(text))


def say_json(value: Any) -> None:
    """Write a value to stdout as JSON, numbers that JSON hasn't (NaN, infinity) as null."""
    click.echo(json.dumps(_jsonable(value), indent=2, ensure_ascii=False, allow_nan=False))


def say_table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write rows to stdout, in columns as wide as the terminal allows."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table: Table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in header:
        table.add_column(Text(clean(title)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)


@contextmanager
def progress() -> Iterator[None]:
    """Show on stderr what the work inside the block is doing, how far it is and how long it will take.

    Where stderr isn't a terminal, a line says so now and then.
    """
    if not sys.stderr.isatty():
        with _lines():
            yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from workbench.core.progress import listening
    from workbench.core.remaining import Stages, in_words

    said, left = (TextColumn(f"{{task.{what}}}", markup=False) for what in ("description", "fields[left]"))
    stages = Stages()
    with Progress(
        said, BarColumn(), MofNCompleteColumn(), left, console=Console(stderr=True), transient=True
    ) as shown:
        bar = shown.add_task("", total=None, left="")

        def listener(what: str, done: int, total: int | None) -> None:
            now = time.monotonic()
            stage = stages.tell(what, done, total, now)
            if stage is None:
                shown.update(bar, description=clean(what), completed=0, total=None, left="")
                return
            name = f"{stage.name}: {stage.within}" if stage.within else stage.name
            shown.update(
                bar,
                description=clean(name),
                completed=stage.done,
                total=stage.total,
                left=in_words(stage.left(now)),
            )

        with listening(listener):
            yield


@contextmanager
def _lines() -> Iterator[None]:
    """Progress for a log: what is being done, each time that it is another thing or takes long."""
    from workbench.core.progress import listening
    from workbench.core.remaining import Stages

    start = told = time.monotonic()
    stages = Stages()

    def listener(what: str, done: int, total: int | None) -> None:
        nonlocal told
        now = time.monotonic()
        stage = stages.tell(what, done, total, now)
        if now - told >= LINE_EVERY:
            told = now
            click.echo(f"{now - start:5.0f} s  {clean(stage.line(now) if stage else what)}", err=True)

    with listening(listener):
        yield


class Amount(click.ParamType):
    """A number with a unit, such as ``2GB`` or ``30d``."""

    def __init__(self, name: str, units: dict[str, int], example: str):
        self.name = name
        self.units = units
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the amount in the base unit (bytes, seconds)."""
        if not isinstance(value, str):
            return float(value)
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value)
        if found is None or found[2].upper() not in self.units:
            units = ", ".join(u.lower() if self.units is TIMES else u.replace("IB", "iB") for u in self.units)
            said = f"Write a number and a unit, like {self.example}; units: {units}."
            self.fail(f"{value!r} is not a {self.name}. {said}", param, ctx)
        return float(found[1]) * self.units[found[2].upper()]


def bytes_words(n: float) -> str:
    """Return a size as people say it: ``1.9 GB``."""
    for unit in ("B", "KB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def time_words(seconds: float) -> str:
    """Return a span of time in its largest unit: ``3 h``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
