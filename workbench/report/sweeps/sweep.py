"""One notebook run with many parameters: what is done is skipped, what fails is recorded, all are compared."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.core.errors import ParameterError, StorageError
from workbench.core.storage import require_apart
from workbench.report.facts import ReportFacts
from workbench.report.notebooks import find_notebook, notebook_digest, working_folder
from workbench.report.parameters import declared_parameters, fitted
from workbench.report.sweeps import index, runs
from workbench.report.sweeps.grid import distinct, product
from workbench.report.sweeps.runs import RUNS, Job, Outcome
from workbench.report.sweeps.workers import Event, locally

LOCK = ".lock"
INDEX_EVERY = 10  # seconds between two states of the index page while runs go on
MOST_JOBS = 4  # at once, if nobody says how many: each holds a network of its own in memory


@dataclass
class Sweep:
    """What a sweep did so far.

    Attributes
    ----------
    done, failed : how many runs are there; skipped : how many of those done were there before.
    running : what is being run. errors : why each failed.
    unknown_values : names given for values that no run has; value_names : those that there are.
    """

    folder: Path
    jobs: list[Job]
    workers: int
    done: int = 0
    failed: int = 0
    skipped: int = 0
    running: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    unknown_values: list[str] = field(default_factory=list)
    value_names: list[str] = field(default_factory=list)

    @property
    def index(self) -> Path:
        """The page that compares the runs."""
        return self.folder / "index.html"

    @property
    def left(self) -> float | None:
        """About how many seconds are left; None before a run has ended."""
        if not self.seconds:
            return None
        each = sum(self.seconds) / len(self.seconds)
        return each * (len(self.jobs) - self.done - self.failed) / self.workers


Listener = Callable[[Sweep, Job, Outcome | None], None]
"""Told of each run that starts (None) or ends."""


def sweep(
    notebook: str | Path,
    grid: Mapping[str, Sequence[Any]],
    output: str | Path | None = None,
    *,
    jobs: int | None = None,
    threads: int | None = None,
    ray: str | None = None,
    values: Sequence[str] = (),
    again: bool = False,
    cwd: str | Path | None = None,
    listener: Listener | None = None,
) -> Sweep:
    """Run a notebook with every combination of some parameters' values and compare the runs on one page.

    A run whose folder holds the report of the same notebook, parameters and versions is skipped; one that failed
    is tried again. Whatever stops the sweep, what was finished stays, and the same call goes on from there.

    Parameters
    ----------
    notebook : a path, or the name of a notebook that the package ships.
    grid : values for some of its parameters.
    output : a folder for the index page and the runs; ``reports/<name>-sweep`` without one.
    jobs : how many run at once; the number of cores, at most 4, without it.
    threads : how many threads each may take; its share of the cores without it.
    ray : address of a Ray cluster (``auto`` finds one), which then runs them.
    values : the numbers that the page compares, each an evidence's ``id``, ``id@of``, ``method:id`` or ``method:id@of``,
        ``*`` for any part; the first dozen that tell most without any.
    again : run also what is done.
    cwd : the folder that the notebook runs in; without one its own, as in JupyterLab, and the current one for a
        notebook that the package ships.
    listener : told of each run that starts and ends.

    Returns
    -------
    Sweep
        What was done, skipped and failed, and where the page is.

    Raises
    ------
    MissingError
        No such notebook, or no such cluster.
    ParameterError
        A parameter that the notebook doesn't have, a value that it doesn't take, or more than 10,000 runs.
    StorageError
        The folder can't be written, is another notebook's, or another sweep works in it.
    """
    path = find_notebook(notebook)
    if (jobs is not None and jobs < 1) or (threads is not None and threads < 1):
        raise ParameterError(f"jobs={jobs} and threads={threads}: both are integers from 1 on.")
    wanted = _plan(path, grid, working_folder(path, cwd))
    folder = Path(output) if output else Path("reports") / f"{path.stem}-sweep"
    require_apart(
        [folder / "index.html", folder / LOCK, folder / RUNS],
        [path],
        f"Give another folder, such as -o {shlex.quote(str(folder.with_name(f'{folder.name}-sweep')))}.",
    )
    share = threads or (1 if ray else max(1, _cores() // min(jobs or _most(), len(wanted))))
    # the cluster first: without one nothing is left in the folder
    with _cluster(ray, share) as (versions, room), _alone(folder, path):
        workers = min(jobs or room, len(wanted))
        asked = [Job(**{**vars(job), "versions": versions}) for job in wanted]
        runs.sweep_up(folder / RUNS)
        state = Sweep(folder, asked, workers)
        book = index.Book(path, asked, folder, values)
        rest = _skip(state, book, again)
        try:
            if rest:
                book.write()
                with closing(_events(rest, folder / RUNS, ray, workers, share)) as events:
                    _follow(events, state, book, listener)
        finally:
            runs.sweep_up(folder / RUNS)
            book.write()
        state.unknown_values, state.value_names = book.unknown, book.value_names
    return state


def _plan(path: Path, grid: Mapping[str, Sequence[Any]], cwd: Path) -> list[Job]:
    """Every run; a value that the notebook doesn't take is refused before anything runs."""
    declared, known = declared_parameters(path), notebook_digest(path)
    values = {
        name: distinct(fitted(path.name, declared, {name: value})[name] for value in given)
        for name, given in grid.items()
    }
    return [Job(path, known, {**declared, **varied}, varied, {}, cwd) for varied in product(values)]


def _skip(state: Sweep, book: index.Book, again: bool) -> list[Job]:
    """Take account of what is done already; return the rest."""
    rest = []
    for job in state.jobs:
        said = None if again else runs.done(job, state.folder / RUNS)
        if said is None:
            rest.append(job)
        else:
            state.done += 1
            state.skipped += 1
            book.add(job, said)
    return rest


def _events(
    rest: list[Job], folder: Path, ray: str | None, workers: int, threads: int
) -> Generator[Event, None, None]:
    if ray is None:
        return locally(rest, folder, workers=workers, threads=threads)
    from workbench.report.sweeps.cluster import remotely

    return remotely(rest, folder, at_once=workers, threads=threads)


def _follow(events: Iterator[Event], state: Sweep, book: index.Book, listener: Listener | None) -> None:
    """Keep account of runs as they start and end."""
    written = time.monotonic()
    for job, outcome in events:
        if outcome is None:
            state.running.append(job.label)
        else:
            _record(job, outcome, state, book)
        if listener is not None:
            listener(state, job, outcome)
        if outcome is not None and time.monotonic() - written > INDEX_EVERY:
            book.write()
            written = time.monotonic()


def _record(job: Job, outcome: Outcome, state: Sweep, book: index.Book) -> None:
    folder = state.folder / RUNS
    if job.label in state.running:
        state.running = [label for label in state.running if label != job.label]
    state.seconds.append(outcome.seconds)
    said: ReportFacts | None = None if outcome.error else runs.done(job, folder)
    if said is not None:
        state.done += 1
        book.add(job, said)
        return
    if outcome.lost:
        runs.record_lost(job, folder, outcome)
    state.failed += 1
    state.errors[job.label] = outcome.error or (
        "Its manifest says other inputs than were asked: did the notebook or a library change while the sweep ran? Run it again."
    )


def _cluster(ray: str | None, threads: int) -> Any:
    """The cluster's versions and how much runs there at once, while it is connected; this machine's without one."""
    if ray is None:
        return nullcontext((runs.this_versions(), _most()))
    from workbench.report.sweeps.cluster import connected

    return connected(ray, threads)


def _most() -> int:
    return min(_cores(), MOST_JOBS)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _alone(folder: Path, notebook: Path) -> Iterator[None]:
    """Hold a sweep's folder; the system lets go of it however this process ends.

    Raises
    ------
    StorageError
        The folder can't be written, holds another notebook's sweep, or another sweep is at work there.
    """
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as e:
        raise StorageError(
            f"{folder} can't be written ({e.strerror}): give another folder with -o."
        ) from None
    with lock:
        _take(lock, folder)
        lock.seek(0)
        other = lock.read(10_000).strip()
        if other and other != notebook.name:
            raise StorageError(
                f"{folder} holds a sweep of {other}, and this is one of {notebook.name}: give another folder with -o."
            )
        lock.seek(0)
        lock.truncate()
        lock.write(notebook.name + "\n")
        lock.flush()
        yield


def _take(lock: Any, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks there: two sweeps in one folder are then the user's to avoid
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(
            f"Another sweep is at work in {folder}: wait for it, stop it, or give another folder with -o."
        ) from None
