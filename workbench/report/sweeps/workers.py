"""Runs in processes of this machine: each has its own kernel, its share of the cores, and may die alone."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from pathlib import Path

from workbench.core.storage import scratch
from workbench.numerics.helpers import LIMITS
from workbench.report.sweeps.runs import Job, Outcome

Event = tuple[Job, Outcome | None]
"""A run that started (None) or ended."""

TRIES = 2  # a worker may be killed for what its neighbours took; the second time it is the run's own doing
PATIENCE = 5  # seconds that a worker has to end when it is told to


def limits(threads: int) -> dict[str, str]:
    """Environment variables that keep a process to so many threads; a lower limit that is set already stays."""
    found = {}
    for name in LIMITS:
        said = os.environ.get(name, "")
        found[name] = str(min(threads, int(said)) if said.isdigit() and int(said) else threads)
    return found


def locally(jobs: Sequence[Job], folder: Path, *, workers: int, threads: int) -> Generator[Event, None, None]:
    """Perform jobs in ``workers`` processes, yielding each as it starts and ends.

    Closing the generator stops the processes; what they had not finished is as if it had not begun.
    """
    waiting = deque((job, 1) for job in jobs)
    events: queue.Queue[Event | Exception] = queue.Queue()
    with scratch("workbench-sweep") as place:
        pool = _Pool(folder, place, threads)
        crew = [
            threading.Thread(target=_work, args=(pool, waiting, events), daemon=True)
            for _ in range(min(workers, len(jobs)))
        ]
        try:
            for thread in crew:
                thread.start()
            ended = 0
            while ended < len(jobs):
                event = events.get()
                if isinstance(event, Exception):
                    raise event
                ended += event[1] is not None
                yield event
        finally:
            pool.stop()
            for thread in crew:
                thread.join()


def _work(pool: _Pool, waiting: deque[tuple[Job, int]], events: queue.Queue[Event | Exception]) -> None:
    """Hand one worker job after job until there is none; what goes wrong here is raised where the events are read."""
    try:
        _hand_out(pool, waiting, events)
    except Exception as e:
        events.put(e)


def _hand_out(pool: _Pool, waiting: deque[tuple[Job, int]], events: queue.Queue[Event | Exception]) -> None:
    """Hand one worker job after job; a worker that ended is replaced by the next."""
    worker: _Worker | None = None
    while not pool.stopping.is_set():
        try:
            job, attempt = waiting.popleft()
        except IndexError:
            break
        worker = worker or pool.start()
        if worker is None:
            return
        events.put((job, None))
        outcome = worker.perform(job)
        if outcome.lost:
            worker = None
            if pool.stopping.is_set():
                return
            if attempt < TRIES:  # last, so that it runs when the others are done
                waiting.append((job, attempt + 1))
                continue
        events.put((job, outcome))
    if worker is not None:
        worker.stop()


class _Pool:
    """The worker processes that there are, so that all can be stopped at once."""

    def __init__(self, folder: Path, place: Path, threads: int):
        self.folder, self.place, self.threads = folder, place, threads
        self.workers: list[_Worker] = []
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    def start(self) -> _Worker | None:
        """A new worker, or None where all are to stop."""
        with self._lock:
            if self.stopping.is_set():
                return None
            worker = _Worker(self.folder, self.place / str(len(self.workers)), self.threads)
            self.workers.append(worker)
            return worker

    def stop(self) -> None:
        """End all workers."""
        with self._lock:
            self.stopping.set()
        for worker in self.workers:
            worker.hang_up()
        for worker in self.workers:
            worker.stop()


class _Worker:
    """One process, and the pipe on which it is given jobs and answers."""

    def __init__(self, folder: Path, place: Path, threads: int):
        place.mkdir(parents=True)
        self.log = place.with_suffix(".log")
        with self.log.open("wb") as log:
            # In a session of its own: Ctrl-C is for the sweep, which then ends its workers in order.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workbench.report.sweeps.worker", str(folder), str(place)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **limits(threads)},
            )

    def perform(self, job: Job) -> Outcome:
        """Perform a job; an outcome that says ``lost`` where the process ended before it answered."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        began = time.perf_counter()
        try:
            self.process.stdin.write(json.dumps(job.to_json()).encode() + b"\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            if answer.endswith(b"\n"):
                return Outcome(**json.loads(answer))
        except (OSError, ValueError):  # the pipe is closed
            pass
        self.stop()
        return Outcome(self._why(), round(time.perf_counter() - began, 2), lost=True)

    def _why(self) -> str:
        code = self.process.returncode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = ", most often for want of memory: sweep with fewer --jobs, or ask it of fewer rows"
            return f"The process that ran it was ended by {name}{hint if name == 'SIGKILL' else ''}."
        lines = (
            self.log.read_text(encoding="utf-8", errors="replace").split("\n") if self.log.exists() else []
        )
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"The process that ran it ended with code {code}: {last[:500]}."

    def hang_up(self) -> None:
        """Tell the process to end."""
        try:
            if self.process.stdin is not None:
                self.process.stdin.close()
        except OSError:
            pass

    def stop(self) -> None:
        """Have the process ended, waiting a little for it to do so itself."""
        self.hang_up()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
