"""Damage things, read them, and note what comes of it: an answer, a refusal, or a fault.

A fault is an error that isn't ours or whose words can't be shown, more than `SECONDS`, or more than `GROWTH` of memory.
As a script: ``python tests/fuzz/fuzzing.py --mutants 5000 --seed 1 gguf recording`` prints the counts and each fault with
the number that makes its mutant again (``--only NUMBER --keep FOLDER`` leaves it there).
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).parent))

from mutations_for_tests import damage
from things_for_tests import THINGS, Thing

from workbench.core.errors import WorkbenchError

SECONDS = 10.0
GROWTH = 300 << 10  # of the peak memory, in KiB
ROOM = 6 << 30  # bytes beyond which memory is refused, so that a fault is seen and not the machine's end


@dataclass
class Outcomes:
    """What came of so many mutants: how many of each outcome, and each fault in words."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0


class Hung(BaseException):
    """Reading took too long; no reader's ``except Exception`` may hold it."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Hung(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    room = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(
        resource.RLIMIT_AS, (address_space() + ROOM, room[1])
    )  # else the machine runs out first
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(10 * seconds, exit=True)  # where no Python code comes to its turn
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, room)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def address_space() -> int:
    """Bytes that this process has mapped."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def peak_memory() -> int:
    """The most that this process has held since the last call, in KiB; 0 where that can't be known."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    peak = int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])  # type: ignore[index]
    with contextlib.suppress(OSError):  # a container may forbid it; then peaks only grow
        Path("/proc/self/clear_refs").write_text("5")
    return peak


def outcome(thing: Thing, path: Path) -> str:
    """``read``, ``refused``, or what is wrong with what came instead."""
    try:
        with limited(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            thing.read(path)
    except WorkbenchError as e:
        text = str(e)
        shown = "\n" not in text and text.isprintable() and 0 < len(text) < 2000
        return "refused" if shown else f"a refusal in words that can't be shown: {text!r}"
    except Hung as e:
        return f"hung: {e}\n{traceback.format_exc(limit=-4)}"
    except Exception as e:
        return f"{type(e).__name__}: {e!s:.300}\n{traceback.format_exc(limit=-4)}"
    return "read"


def mutant(files: dict[str, bytes], name: str, seed: int, number: int, folder: Path) -> None:
    """Write one; the same for the same numbers."""
    damage(files, folder, random.Random(f"{name} {seed} {number}"))


def survive(name: str, mutants: int | range, seed: int, folder: Path) -> Outcomes:
    """Read so many mutants of a thing, each under a folder that is written anew."""
    thing, out = THINGS[name], Outcomes()
    whole = folder / "whole"
    whole.mkdir(parents=True)
    thing.make(whole)
    assert outcome(thing, whole / thing.at) == "read"
    files = {str(p.relative_to(whole)): p.read_bytes() for p in sorted(whole.rglob("*")) if p.is_file()}
    peak_memory()
    before = peak_memory()
    for number in range(mutants) if isinstance(mutants, int) else mutants:
        mutant(files, name, seed, number, folder / "mutant")
        start = time.perf_counter()
        came = outcome(thing, folder / "mutant" / thing.at)
        seconds, grown = time.perf_counter() - start, peak_memory() - before
        out.slowest, out.largest = max(out.slowest, seconds), max(out.largest, grown)
        if grown > GROWTH:
            came, before = f"took {grown >> 10:,} MB", before + grown
        out.counts[came if came in ("read", "refused") else "fault"] += 1
        if came not in ("read", "refused"):
            out.faults.append(f"{name}, seed {seed}, number {number}: {came}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(THINGS)}; all of them by default")
    parser.add_argument("--mutants", type=int, default=1000, help="of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one")
    parser.add_argument("--keep", type=Path, help="an empty folder to leave the last mutant in")
    asked = parser.parse_args()
    some = asked.mutants if asked.only is None else range(asked.only, asked.only + 1)
    faults = 0
    for name in asked.names or THINGS:
        with tempfile.TemporaryDirectory() as other:
            os.environ["WORKBENCH_CACHE"] = f"{other}/cache"
            out = survive(name, some, asked.seed, (asked.keep or Path(other)) / name.replace(" ", "_"))
        faults += len(out.faults)
        print(
            "\n".join(
                [
                    *out.faults,
                    f"{name}: {dict(out.counts)}, at most {out.slowest:.2f} s, {out.largest >> 10} MB",
                ]
            ),
            flush=True,
        )
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
