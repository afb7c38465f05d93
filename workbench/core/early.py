"""The figure before its control: what a method has computed is shown while its evidence is still being computed.

A method calls `show_early` with its answer as it stands; where somebody has a screen (`watching`, or a notebook's cell, see
`workbench.results.in_cell`), that is drawn. Elsewhere nothing happens. An early answer tests nothing, says so in its title,
and is neither cached nor counted as asked.
"""

from __future__ import annotations

import contextvars
import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.core.evidence import Evidence
    from workbench.core.result import Result

    Screen = Callable[[Result | None], None]
    """Called with an early answer, and once with None when it has had its time: the finished one is there, or an error."""

NO_CONTROL = "no control yet"
AFTER = 0.5
"""Seconds that a control may take before its figure is drawn without it: a figure that is at once drawn anew helps nobody."""
MOST_ROWS = 20_000
"""Rows that are drawn early, at most: of these it takes a third of a second, of a million longer than most controls."""

_watching: ContextVar[tuple[Screen, float] | None] = ContextVar("workbench_screen", default=None)
_answer: ContextVar[_Answer | None] = ContextVar("workbench_answer", default=None)
_usual: list[Callable[[], Screen | None]] = []


@contextmanager
def watching(screen: Screen, after: float = AFTER) -> Iterator[None]:
    """Show the early answers of everything inside the block on ``screen``.

    Parameters
    ----------
    after : seconds that a control may take before; 0 shows them at once, in the thread that computes.
    """
    token = _watching.set((screen, after))
    try:
        yield
    finally:
        _watching.reset(token)


def usually(screen: Callable[[], Screen | None]) -> None:
    """Where nobody is `watching`, show early answers on what ``screen`` gives, unless that is None."""
    _usual.append(screen)


def show_early(result: Result) -> None:
    """Show an answer whose evidence is still to come; numbers that it is about may be given as evidence without a null.

    To be called once, by a method that would return this answer if it had no control: what is shown must not change.
    """
    answer = _answer.get()
    if answer is not None and answer.screen is not None:
        answer.announce(result)


@contextmanager
def answering(complete: Callable[[Result], Result]) -> Iterator[None]:
    """Have early answers that are shown inside the block completed first (their title, rows and run).

    What another method asks for its own answer is shown by nobody.
    """
    answer = _Answer(None if _answer.get() is not None else _screen(), complete)
    token = _answer.set(answer)
    try:
        yield
    finally:
        _answer.reset(token)
        answer.end()


def _screen() -> tuple[Screen, float] | None:
    if (watched := _watching.get()) is not None:
        return watched
    there = (screen for usual in _usual if (screen := usual()) is not None)
    return next(((screen, AFTER) for screen in there), None)


class _Answer:
    """The answer that is being computed, and where it is shown before it is finished."""

    def __init__(self, screen: tuple[Screen, float] | None, complete: Callable[[Result], Result]):
        self.screen = screen
        self._complete = complete
        self._waiting: threading.Timer | None = None
        self._drawing = threading.Lock()
        self._announced = self._shown = self._over = False

    def announce(self, result: Result) -> None:
        """Draw ``result`` after a while, unless the finished answer comes before."""
        assert self.screen is not None
        if self._announced or len(getattr(result, "ids", ())) > MOST_ROWS:
            return
        self._announced = True
        whole = self._complete(result)
        early = dataclasses.replace(
            whole,
            title=f"{whole.title}, {NO_CONTROL}",
            evidence=tuple(map(_untested, result.evidence)),
        )
        if self.screen[1] == 0:
            self._draw(early)
            return
        here = contextvars.copy_context()  # a cell's output is found by it
        self._waiting = threading.Timer(self.screen[1], here.run, [self._draw, early])
        self._waiting.daemon = True
        self._waiting.start()

    def end(self) -> None:
        """Take away what is shown; waits for a drawing that has begun."""
        if self._waiting is not None:
            self._waiting.cancel()
        with self._drawing:
            self._over = True
            if self._shown and self.screen is not None:
                self.screen[0](None)

    def _draw(self, early: Result) -> None:
        with self._drawing:
            if not self._over and self.screen is not None:
                self._shown = True
                self.screen[0](early)


def _untested(evidence: Evidence) -> Evidence:
    return dataclasses.replace(
        evidence,
        interval=None,
        interval_method="",
        null="",
        null_details="",
        null_name="",
        null_values=(),
        untested=NO_CONTROL,
    )
