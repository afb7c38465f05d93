"""Work in a thread of its own: the kernel stays free, progress is shown, and it can be cancelled."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import ipywidgets

from widgets import _html
from workbench.core.errors import Cancelled, WorkbenchError
from workbench.core.progress import listening

# One at a time: not every library underneath stands being called from two threads at once.
_turn = threading.Lock()
REFRESH = 0.1  # seconds between two updates of the bar


class Work(ipywidgets.HBox):
    """A progress bar, a line that says what is being done and how long it will take, and a Cancel button."""

    def __init__(self) -> None:
        self.bar = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "14em"})
        self.label = ipywidgets.Label()
        self.cancel_button = ipywidgets.Button(description="Cancel", tooltip="Stop at the next step")
        self.cancel_button.on_click(lambda _: self.cancel())
        super().__init__([self.cancel_button, self.bar, self.label])
        self.layout.display = "none"
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None
        self._began: dict[str, float] = {}
        self._shown = 0.0

    @property
    def running(self) -> bool:
        """Whether something is being done."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do ``work`` in a thread and give ``then`` what it returned or the exception that it raised."""
        if self.running and threading.current_thread() is not self._thread:
            return
        self._cancelled.clear()
        self._began.clear()
        self.label.value = ""
        self.bar.value = 0
        self.layout.display = ""
        self._thread = threading.Thread(target=self._run, args=(work, then), daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Stop the work at its next step."""
        self._cancelled.set()
        if self.running:
            self.label.value = "stopping"

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being done; return whether that is so."""
        until = None if timeout is None else time.monotonic() + timeout
        while (thread := self._thread) is not None and thread.is_alive():
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
            if until is not None and time.monotonic() >= until:
                break
        return not self.running

    def _run(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        try:
            self._take_turn()
            try:
                with listening(self._listen):
                    outcome = work()
            finally:
                _turn.release()
        except BaseException as e:  # whatever it is, the person at the panel is told
            outcome = e
        self.label.value = "showing the answer"
        try:
            then(outcome)
        except BaseException as e:
            then(e)
        if self._thread is threading.current_thread():  # unless the answer led to more work
            self.layout.display = "none"

    def _take_turn(self) -> None:
        while not _turn.acquire(timeout=REFRESH):
            self.label.value = "waiting for another panel"
            self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled("Stopped. What was finished before is kept.")

    def _listen(self, what: str, done: int, total: int | None) -> None:
        self._stop_if_cancelled()
        now = time.monotonic()
        began = self._began.setdefault(what, now)
        if now - self._shown < REFRESH and done != total:
            return
        self._shown = now
        self.bar.value = done / total if total else 0
        self.label.value = what + (
            f": {done:,} of {total:,}{left(now - began, done, total)}" if total else ""
        )


def left(elapsed: float, done: int, total: int) -> str:
    """Say how long the rest will take, judging by what is done."""
    if done == 0 or done >= total or elapsed < 1:
        return ""
    seconds = elapsed * (total - done) / done
    return f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"


def explained(error: BaseException) -> str:
    """Say in HTML what went wrong: a refusal as it stands, anything else with its traceback folded away."""
    if isinstance(error, WorkbenchError):
        return _html.text(error)
    lines = _html.text("".join(traceback.format_exception(error)))
    said = _html.text(f"{type(error).__name__}: {error}")
    folded = f"<details><summary>Traceback</summary><pre>{lines}</pre></details>"
    return f"The workbench made a mistake: {said}{folded}"
