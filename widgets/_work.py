"""Work in a thread of its own: the kernel stays free, progress is shown, and it can be cancelled."""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets

from widgets import _html
from workbench.core.early import watching
from workbench.core.errors import Cancelled, WorkbenchError
from workbench.core.progress import listening
from workbench.core.remaining import Stages

if TYPE_CHECKING:
    from workbench.core.result import Result

# One at a time: not every library underneath stands being called from two threads at once.
_turn = threading.Lock()
REFRESH = 0.1  # seconds between two updates of the bar
GRACE = 0.7  # seconds that a cancelled job has to come to its next step
LEFT = (
    "Stopped waiting. The library that is at work can't be interrupted: it goes on unseen to its next step, and other "
    "panels wait for it."
)


class _Job:
    """What is being done, and for whom."""

    thread: threading.Thread
    ending: threading.Thread | None = None
    """Who gives the answer, and may begin more work while doing so."""

    def __init__(self, then: Callable[[Any], None]):
        self.then = then
        self.cancelled = threading.Event()
        self.over = threading.Event()
        self._once = threading.Lock()

    def first(self) -> bool:
        """Whether nobody has asked before."""
        return self._once.acquire(blocking=False)


class Work(ipywidgets.HBox):
    """A progress bar, a line that says what is being done and how long it will take, and a Cancel button."""

    def __init__(self) -> None:
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "14em"})
        self.label = ipywidgets.Label()
        self.cancel_button = ipywidgets.Button(description="Cancel", tooltip="Stop at the next step")
        self.cancel_button.on_click(lambda _: self.cancel())
        super().__init__([self.cancel_button, self.bar, self.label])
        self.layout.display = "none"
        self._job: _Job | None = None
        self._stages = Stages()
        self._shown = 0.0

    @property
    def running(self) -> bool:
        """Whether something is being done that is waited for."""
        return self._job is not None and not self._job.over.is_set()

    def start(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        early: Callable[[Result], None] | None = None,
    ) -> None:
        """Do ``work`` in a thread and give ``then`` what it returned or the exception that it raised.

        ``early`` gets an answer whose control is still being computed, where that takes a while.
        """
        within = self._job is not None and threading.current_thread() is self._job.ending
        if self.running and not within:
            return
        job = _Job(then)
        job.thread = threading.Thread(target=self._run, args=(work, job, early), daemon=True)
        self._job = job
        self._stages = Stages()
        self.label.value = ""
        self.bar.value = 0
        self.layout.display = ""
        job.thread.start()

    def cancel(self) -> None:
        """Stop the work at its next step; where that is further off than a second, stop waiting for it."""
        if self._job is None or not self.running:
            return
        self._job.cancelled.set()
        self.label.value = "stopping"
        timer = threading.Timer(GRACE, self._leave, [self._job])
        timer.daemon = True
        timer.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being done; return whether that is so."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.running and (job := self._job) is not None:  # an answer may lead to more work
            if not job.over.wait(None if until is None else max(0.0, until - time.monotonic())):
                break
        return not self.running

    def _run(self, work: Callable[[], Any], job: _Job, early: Callable[[Result], None] | None) -> None:
        try:
            self._take_turn(job)
            try:
                with (
                    listening(functools.partial(self._listen, job)),
                    watching(functools.partial(self._watch, job, early)),
                ):
                    outcome = work()
            finally:
                _turn.release()
        except BaseException as e:  # whatever it is, the person at the panel is told
            outcome = e
        self._end(job, outcome)

    def _watch(self, job: _Job, early: Callable[[Result], None] | None, result: Result | None) -> None:
        """Hand on an early answer, but of a job that was left; the finished one replaces it."""
        if early is not None and result is not None and not job.cancelled.is_set():
            early(result)

    def _leave(self, job: _Job) -> None:
        self._end(job, Cancelled(LEFT))

    def _end(self, job: _Job, outcome: Any) -> None:
        """Give the answer once: a job that was left may still come to its end."""
        if not job.first():
            return
        job.ending = threading.current_thread()
        if self._job is job:
            self.label.value = "showing the answer"
        try:
            job.then(outcome)
        except BaseException as e:
            job.then(e)
        if self._job is job:  # unless the answer led to more work
            self.layout.display = "none"
        job.over.set()

    def _take_turn(self, job: _Job) -> None:
        while not _turn.acquire(timeout=REFRESH):
            if not job.cancelled.is_set():
                self.label.value = "waiting for another panel"
            _stop_if_cancelled(job)

    def _listen(self, job: _Job, what: str, done: int, total: int | None) -> None:
        _stop_if_cancelled(job)
        now = time.monotonic()
        stage = self._stages.tell(what, done, total, now)
        if now - self._shown < REFRESH and not (stage and stage.done == stage.total):
            return
        self._shown = now
        if stage is None:
            self.bar.value, self.label.value = 0, what
            return
        self.bar.value = stage.done / stage.total
        self.label.value = stage.line(now)


def _stop_if_cancelled(job: _Job) -> None:
    if job.cancelled.is_set():
        raise Cancelled("Stopped. What was finished before is kept.")


def explained(error: BaseException) -> str:
    """Say in HTML what went wrong: a refusal as it stands, anything else with its traceback folded away."""
    if isinstance(error, WorkbenchError):
        return _html.text(error)
    lines = _html.text("".join(traceback.format_exception(error)))
    said = _html.text(f"{type(error).__name__}: {error}")
    folded = f"<details><summary>Traceback</summary><pre>{lines}</pre></details>"
    return f"The workbench made a mistake: {said}{folded}"
