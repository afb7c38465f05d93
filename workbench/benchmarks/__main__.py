"""``python -m workbench.benchmarks``: ``workbench bench`` for a Python without the command line's packages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from workbench.benchmarks.catalogue import ALL, chosen, heading, lines, measure, require_ours, setting_of
from workbench.core.errors import WorkbenchError
from workbench.core.progress import listening


def main(arguments: list[str] | None = None) -> int:
    """Measure what is named and return the exit code."""
    ask = argparse.ArgumentParser(prog="python -m workbench.benchmarks", description=__doc__)
    ask.add_argument("names", nargs="*", metavar="NAME")
    ask.add_argument("--list", action="store_true")
    ask.add_argument("--rows", type=Path, metavar="FILE.npy")
    ask.add_argument("--scale", type=float, default=1.0)
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--device", default="auto")
    ask.add_argument("-o", "--out", type=Path, metavar="FILE")
    asked = ask.parse_args(arguments)
    if asked.list:
        for b in ALL.values():
            print(f"{b.name:<11} {b.about}")
        return 0
    try:
        setting = setting_of(asked.device, asked.scale, asked.repeats, asked.rows)
        print(heading(setting), flush=True)
        seen = []
        with listening(_told):
            for _, entries in measure(chosen(asked.names), setting, asked.out):
                print("\n".join(lines(entries)), flush=True)
                seen += entries
        require_ours(seen)
    except WorkbenchError as refusal:
        print(f"Error: {' '.join(str(refusal).split())}", file=sys.stderr)
        return refusal.exit_code
    return 0


def _told(what: str, done: int, total: int | None) -> None:
    if total is None and ":" in what:
        print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
