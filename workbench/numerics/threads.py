"""How many threads linear algebra takes, and work that several threads share."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS and OpenMP to one thread inside the block.

    Controls repeat small operations a hundred times. Handing each to several threads gains little where
    the machine is idle, and where it isn't, threads that wait for each other cost two to fourteen times
    the work itself (measured on 2 cores). Only libraries that are loaded by then are held.
    """
    with _controller(len(sys.modules)).limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _controller(modules: int) -> ThreadpoolController:
    """The libraries that are loaded; looked up anew once something was imported, since a look takes 4 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def on_threads(work: Callable[[], Any], threads: int) -> None:
    """Run numba code that shares its arrays on several threads at once, and wait."""
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # raised again below, where the caller sees it
            failed.append(error)

    others = [threading.Thread(target=guarded) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    guarded()
    for thread in others:
        thread.join()
    if failed:
        raise failed[0]
