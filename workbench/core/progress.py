"""Progress and cancellation, carried beside the work rather than through every signature.

Work calls :func:`track`; whoever started it listens with :func:`listening`. A listener cancels by
raising :class:`~workbench.core.errors.Cancelled`, which takes effect at the next step of the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Listener = Callable[[str, int, int | None], None]
"""Called as ``listener(what, done, total)``; ``total`` is None when it isn't known."""

_listener: ContextVar[Listener | None] = ContextVar("workbench_progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send the progress of everything inside the block to ``listener``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def unheard() -> Iterator[None]:
    """Send nothing of what is inside the block: one piece of work among many, which are counted outside."""
    with listening(lambda what, done, total: None):
        yield


def tell(what: str, done: int = 0, total: int | None = None) -> None:
    """Report one step; raises whatever the listener raises (`Cancelled`, to stop)."""
    listener = _listener.get()
    if listener is not None:
        listener(what, done, total)


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items``, reporting each as done once the next is asked for."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    tell(what, 0, total)
    for done, item in enumerate(items, start=1):
        yield item
        tell(what, done, total)
