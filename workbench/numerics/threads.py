"""How many threads linear algebra takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS and OpenMP to one thread inside the block.

    Controls repeat small operations a hundred times. Handing each to several threads gains little where
    the machine is idle, and where it isn't, threads that wait for each other cost two to fourteen times
    the work itself (measured on 2 cores). Only libraries that are loaded by then are held.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
