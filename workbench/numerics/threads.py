"""How many threads linear algebra takes, and work that several threads share."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

    from threadpoolctl import ThreadpoolController

T = TypeVar("T")
R = TypeVar("R")

MOST = 4  # threads that share draws: with more they wait for the interpreter, and for memory
_held: ContextVar[int] = ContextVar("workbench_one_thread", default=0)


def cores() -> int:
    """Return how many threads this process may compute in: OMP_NUM_THREADS, or the processors that it may run on."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_cores() -> int:
    """Return `cores`, or 1 inside `one_thread`: whoever holds threads back shares the cores already."""
    return 1 if _held.get() else cores()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS and OpenMP to one thread inside the block.

    Controls repeat small operations a hundred times. Handing each to several threads gains little where
    the machine is idle, and where it isn't, threads that wait for each other cost two to fourteen times
    the work itself (measured on 2 cores). Only libraries that are loaded by then are held. Blocks may overlap in any
    order, as those of generators do: the last one to end gives the threads back.
    """
    _HOLD.begin()
    _held.set(_held.get() + 1)
    try:
        yield
    finally:
        _held.set(_held.get() - 1)
        _HOLD.end()


class _Hold:
    """How many blocks keep the libraries to one thread, and what gives them their threads back."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks = 0
        self.limits: list[Any] = []
        self.modules = 0

    def begin(self) -> None:
        with self.lock:
            self.blocks += 1
            if not self.limits or self.modules != len(
                sys.modules
            ):  # what was loaded since has its threads still
                self.modules = len(sys.modules)
                self.limits.append(_controller(self.modules).limit(limits=1))

    def end(self) -> None:
        with self.lock:
            self.blocks -= 1
            while (
                not self.blocks and self.limits
            ):  # the last first: it found the libraries held by those before
                self.limits.pop().restore_original_limits()


_HOLD = _Hold()


def in_order(work: Callable[[T], R], items: Iterable[T], apart: bool = True) -> Generator[R]:
    """Yield ``work(item)`` of each item in order, computed by several threads that are a few items ahead.

    Linear algebra has one thread meanwhile: many small pieces of work share the cores better than the threads of each
    would. Asked for inside `one_thread`, the work is done here, one item after the other. Close the iterator to end early;
    what was computed ahead is dropped.

    Parameters
    ----------
    work : reads what it shares with others, and writes to nothing that it didn't make.
    items : made here, one after the other.
    apart : whether the pieces of work leave each other alone; else they are done here too.
    """
    return _in_order(work, items, min(free_cores(), MOST) if apart else 1)


def _in_order(work: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R]:
    with one_thread():
        if threads == 1:
            yield from map(work, items)
            return
        from concurrent.futures import ThreadPoolExecutor

        context = copy_context()  # what is held, and how numpy takes an overflow, hold there too
        pool = ThreadPoolExecutor(threads, initializer=_alone)
        ahead: deque[Future[R]] = deque()
        try:
            # invariant: ``ahead`` holds the results after the last one yielded, in order, at most two a thread
            for item in items:
                ahead.append(pool.submit(context.copy().run, work, item))
                if len(ahead) == 2 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _alone() -> None:
    """Keep OpenMP to the thread that calls this: it counts its threads anew in each."""
    _controller(len(sys.modules)).limit(limits=1, user_api="openmp")


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
