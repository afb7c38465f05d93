"""What a measurement is made of: contenders for the same work, timed in turn, judged alike."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from workbench.core.progress import tell

Clock = Callable[[], float]
LONG = 30.0  # seconds of a first call beyond which there is one more: it may have been compiling
TOO_LONG = 120.0  # and beyond which it is the only one


class Skipped(Exception):
    """A contender doesn't take part; the text says why."""


@dataclass(frozen=True)
class Contender:
    """Who does the work.

    Attributes
    ----------
    who : its name.
    prepare : imports what it needs and returns the work; raises `Skipped` or ImportError where it can't.
    ours : the first of ours is what the others are compared with.
    warm : whether later calls are timed too; a fresh process has none.
    """

    who: str
    prepare: Callable[[], Callable[[], Any]]
    ours: bool = False
    warm: bool = True


@dataclass(frozen=True)
class Contest:
    """One work, who does it, and what is measured of each answer.

    Attributes
    ----------
    processor_time : on a CPU, seconds are the processor's of all threads, which other work on the machine hardly changes.
    """

    work: str
    contenders: tuple[Contender, ...]
    judge: Callable[[Any], dict[str, Any]] = lambda answer: {}
    processor_time: bool = False


@dataclass
class Entry:
    """How one contender did: seconds of the first call and of the warm ones, quality, or why there are none."""

    work: str
    who: str
    ours: bool
    first: float | None = None
    seconds: list[float] = field(default_factory=list)
    quality: dict[str, Any] = field(default_factory=dict)
    skipped: str = ""
    failed: str = ""
    ratio: float | None = None
    ratio_range: tuple[float, float] | None = None

    @property
    def times(self) -> list[float]:
        """The warm calls' seconds, or those of the only one."""
        return self.seconds or ([] if self.first is None else [self.first])

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    def to_json(self) -> dict[str, Any]:
        """The entry as JSON has it, with the median and extremes."""
        said = asdict(self)
        if self.times:
            said.update(median=self.median, low=min(self.times), high=max(self.times))
        return said


def hold(contest: Contest, *, device: str, repeats: int) -> Iterator[Entry]:
    """Time the contenders of a contest, and yield each one's entry with its ratio to the first of ours.

    On a CPU they take turns, so that what else the machine does hits all alike. On a GPU each has its calls
    one after another and then gives its memory back.
    """
    entries = [Entry(contest.work, c.who, c.ours) for c in contest.contenders]
    clock = time.process_time if contest.processor_time and device == "cpu" else time.perf_counter
    works: list[Callable[[], Any] | None] = [None] * len(entries)
    for i, (contender, entry) in enumerate(zip(contest.contenders, entries, strict=True)):
        tell(f"{contest.work}: {contender.who}")
        works[i] = _begun(contender, entry, contest.judge, device, clock)
        if device != "cpu":
            if contender.warm:
                _again(works[i], entry, device, repeats, clock)
            works[i] = None
            _release()
    if device == "cpu":
        for _ in range(repeats):
            for contender, entry, work in zip(contest.contenders, entries, works, strict=True):
                if contender.warm:
                    tell(f"{contest.work}: {contender.who}")
                    _again(work, entry, device, 1, clock)
    own = next((e for e in entries if e.ours and e.times), None)
    for entry in entries:
        if own is not None and entry.times and entry is not own:
            entry.ratio = entry.median / own.median
            entry.ratio_range = (min(entry.times) / max(own.times), max(entry.times) / min(own.times))
        yield entry


def _begun(
    contender: Contender, entry: Entry, judge: Callable[[Any], dict[str, Any]], device: str, clock: Clock
) -> Callable[[], Any] | None:
    try:
        work = contender.prepare()
    except Skipped as why:
        entry.skipped = str(why)
        return None
    except ImportError as missing:
        entry.skipped = f"{missing.name or missing} can't be imported"
        return None
    try:
        seconds, answer = timed(work, device, clock)
        entry.quality = judge(answer)
    except Exception as error:  # a peer that fails is a finding, and the others go on
        entry.failed = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return None
    entry.first = entry.quality.pop("seconds", seconds)  # as the answer itself measured them
    return work


def _again(work: Callable[[], Any] | None, entry: Entry, device: str, repeats: int, clock: Clock) -> None:
    if work is None or entry.first is None or entry.first > TOO_LONG:
        return
    if entry.first > LONG:
        repeats = 1 - len(entry.seconds)
    for _ in range(repeats):
        entry.seconds.append(timed(work, device, clock)[0])


def timed(work: Callable[[], Any], device: str, clock: Clock = time.perf_counter) -> tuple[float, Any]:
    """Return the seconds that ``work`` takes, the device's share included, and what it gives."""
    synchronize(device)
    start = clock()
    answer = work()
    synchronize(device)
    return clock() - start, answer


def synchronize(device: str) -> None:
    """Wait for all that the device still does."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def _release() -> None:
    import torch

    gc.collect()
    torch.cuda.empty_cache()
    if "cupy" in sys.modules:
        sys.modules["cupy"].get_default_memory_pool().free_all_blocks()
