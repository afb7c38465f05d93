"""Calls that don't wait for each other, computed by this process and by helpers beside it, so that no core is idle.

A helper is another process: threads of one would share Python's lock, its list of warnings and the limits of its linear
algebra. It takes seconds to start, so it's only started where what is left takes longer, and ends when nothing was asked of
it for a while. All compute in one thread, wherever a call ends up, so that its answer doesn't depend on that.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple

from workbench.numerics.threads import free_cores, one_thread

MOST = 3  # helpers: each holds libraries of half a gigabyte
START_SECONDS = 3.0  # that a helper takes until it can compute
PATIENCE = 60.0  # seconds
LARGEST = 1 << 28  # bytes that a helper is sent for one call
HEAVY = ("scipy.stats", "sklearn.neighbors", "torch")
LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)
"""Environment variables that say in how many threads a process may compute."""


class Work(NamedTuple):
    """A call of a function; not ``anywhere`` where it has to stay in this process."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    anywhere: bool = True


class Done(NamedTuple):
    """What a call gave, or the exception that it ended with."""

    value: Any = None
    error: Exception | None = None


def shared(works: Sequence[Work], started: Callable[[int], None] = lambda i: None) -> list[Done]:
    """Compute all, in this process and in helpers; an exception of one doesn't keep the others from being computed.

    Parameters
    ----------
    started : told the number of each call that this process begins; what it raises stops all.
    """
    many = min(free_cores() - 1, MOST, sum(w.anywhere for w in works) - 1)
    if many < 1:
        return [_here(works, i, started) for i in range(len(works))]
    with one_thread():
        return _Sharing(works, started).all(many)


def _here(works: Sequence[Work], i: int, started: Callable[[int], None]) -> Done:
    started(i)
    return _called(works[i].function, works[i].arguments)


def _called(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Done:
    try:
        return Done(function(*arguments))
    except Exception as e:
        return Done(error=e)


class Ahead:
    """Calls that helpers have begun with, while this process goes on with something else."""

    def __init__(self, works: Sequence[Work]):
        self._sharing = _Sharing(works, lambda i: None)
        self._sharing.feed_from(min(free_cores() - 1, MOST, sum(w.anywhere for w in works)))

    def done(self) -> list[Done]:
        """What all of them give; what no helper has begun with is computed here."""
        with one_thread():
            return self._sharing.all()


class _Sharing:
    """What is still to be computed, which this process takes from and, for each helper, a thread."""

    def __init__(self, works: Sequence[Work], started: Callable[[int], None]):
        self.works, self.started = works, started
        self.waiting = deque(range(len(works)))
        self.done: list[Done | None] = [None] * len(works)
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.feeders: list[threading.Thread] = []

    def feed_from(self, many: int) -> None:
        """Have so many helpers take from it."""
        for helper in _team.of(many) if many > 0 else ():
            self.feeders.append(threading.Thread(target=self.feed, args=(helper,), daemon=True))
            self.feeders[-1].start()

    def all(self, many: int = 0) -> list[Done]:
        """Compute what is left, with so many helpers if it is much."""
        began, computed = time.perf_counter(), 0
        try:
            if not self.feeders and _team.helpers:  # that were needed before
                self.feed_from(many)
            while (i := self.take(here=True)) is not None:
                self.done[i] = _here(self.works, i, self.started)
                computed += 1
                each = (time.perf_counter() - began) / computed
                if not self.feeders and each * len(self.waiting) > START_SECONDS:
                    self.feed_from(many)
            self.ended.set()
            for thread in self.feeders:
                thread.join()
        except BaseException:  # Ctrl-C, or a listener that cancels: nothing goes on unseen
            self.ended.set()
            _team.dismiss()
            raise
        _team.rest()
        # what couldn't be sent, or was lost with a helper
        return [_here(self.works, i, self.started) if d is None else d for i, d in enumerate(self.done)]

    def take(self, *, here: bool) -> int | None:
        """The next call to compute here, or the last that may leave this process."""
        with self.lock:
            able = self.waiting if here else [i for i in self.waiting if self.works[i].anywhere]
            if not able:
                return None
            i = able[0] if here else able[-1]
            self.waiting.remove(i)
            return i

    def feed(self, helper: _Helper) -> None:
        """Have a helper compute call after call; what it fails at as such is left to this process, which says why."""
        if not helper.turn.acquire(blocking=False):
            return
        try:
            with contextlib.suppress(Exception):
                while not helper.ready.wait(0.02):
                    if self.ended.is_set() or not helper.alive:
                        return
                while (i := self.take(here=False)) is not None:
                    self.done[i] = helper.compute(self.works[i])
        finally:
            helper.turn.release()


class _Helper:
    """One process, and the pipes on which it is sent calls and answers; ``ready`` when it has imported what they need."""

    def __init__(self) -> None:
        limits = {**dict.fromkeys(LIMITS, "1"), "OMP_WAIT_POLICY": "PASSIVE"}
        path = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        # in a session of its own: Ctrl-C is for this process, which then ends its helpers
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from workbench.numerics.helpers import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **limits, **path},
        )
        self.ready = threading.Event()
        self.turn = threading.Lock()  # of whoever has it compute
        threading.Thread(target=self._begin, daemon=True).start()

    def _begin(self) -> None:
        names = [n for n in list(sys.modules) if n in HEAVY or n.startswith("workbench.")]
        with contextlib.suppress(OSError, EOFError):
            self._exchange(pickle.dumps(names))
            self.ready.set()

    def compute(self, work: Work) -> Done | None:
        """What the call gives there; None where it is too large to send."""
        packed = pickle.dumps((work.function, work.arguments), protocol=pickle.HIGHEST_PROTOCOL)
        if len(packed) > LARGEST:
            return None
        done, raised = pickle.loads(self._exchange(packed))
        for message, category, file, line in raised:
            warnings.warn_explicit(message, category, file, line)
        return Done(*done)

    def _exchange(self, message: bytes) -> bytes:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        _send(self.process.stdin, message)
        return _receive(self.process.stdout)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


class _Team:
    """The helpers of this process, which stay for a while after they were needed."""

    def __init__(self) -> None:
        self.helpers: list[_Helper] = []
        self.owner = os.getpid()
        self.timer: threading.Timer | None = None

    def of(self, many: int) -> list[_Helper]:
        """Up to so many helpers that nobody else has compute; some may have to be started."""
        self._stay()
        if self.owner != os.getpid():  # in a child of a fork they are its parent's
            self.helpers, self.owner = [], os.getpid()
        for helper in [h for h in self.helpers if not h.alive]:
            self.helpers.remove(helper)
            helper.end()
        with contextlib.suppress(OSError):
            while len(self.helpers) < many:
                self.helpers.append(_Helper())
        return [h for h in self.helpers if not h.turn.locked()][:many]

    def rest(self) -> None:
        """Dismiss them after a while, unless they are needed before."""
        self._stay()
        if self.helpers:
            self.timer = threading.Timer(PATIENCE, self._leave)
            self.timer.daemon = True
            self.timer.start()

    def _leave(self) -> None:
        if any(h.turn.locked() for h in self.helpers):
            self.rest()
        else:
            self.dismiss()

    def dismiss(self) -> None:
        """End all at once."""
        self._stay()
        helpers, self.helpers = self.helpers, []
        for helper in helpers if self.owner == os.getpid() else ():
            helper.end()

    def _stay(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


_team = _Team()
atexit.register(_team.dismiss)


def serve() -> None:
    """Compute calls that come in, until whoever started this process is gone: then it ends at once, whatever it was at."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    calls: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, calls), daemon=True).start()
    for name in pickle.loads(calls.get()):
        with contextlib.suppress(ImportError):
            __import__(name)  # only so that it is there sooner: no answer depends on it
    _send(answers, b"")
    while True:
        _send(answers, _performed(calls.get()))


def _listen(pipe: IO[bytes], calls: queue.Queue[bytes]) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            calls.put(_receive(pipe))
    os._exit(0)


def _performed(packed: bytes) -> bytes:
    """Compute a call; what it warns of is sent along."""
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("default")
        done = _called(*pickle.loads(packed))
    told = [(str(w.message), w.category, w.filename, w.lineno) for w in raised]
    return pickle.dumps((tuple(done), told), protocol=pickle.HIGHEST_PROTOCOL)


def _send(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(struct.pack("<q", len(message)) + message)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    return pipe.read(struct.unpack("<q", head)[0])
