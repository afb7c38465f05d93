"""Writing a store so that it can be killed at any time and goes on where it stopped.

Rows go to their places in the sites' files from a thread of their own, so that the network needn't wait
for the disk. Every `SYNC_SECONDS` the files are flushed to the disk and the number of batches that are safe
is added to a journal, with a sum of their bytes; a later run starts after the last of them, if they still have it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import queue
import re
import shutil
import threading
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.capturing.store import MANIFEST, PARTIAL, TABLE, Layout, key_of
from workbench.core.errors import FormatError, MissingError, StorageError
from workbench.core.progress import tell
from workbench.core.storage import LOCK
from workbench.core.stored import open_plain, read_json, sealed

if TYPE_CHECKING:
    import pandas as pd

SYNC_SECONDS = 5.0
_MAX_THREADS = 4096
_AHEAD = 2  # batches that may wait for the disk; more would only hold memory
_PLAN, _JOURNAL, _TEMPORARY = "plan.json", "journal", "new"
_MAX_JOURNAL = 16 << 20  # bytes; a line every five seconds for some months
_LINE, _LINE_READ = b"%d %08x\n", re.compile(rb"(\d{1,15}) ([0-9a-f]{8})")
Run = tuple[int, int, int]
"""Rows ``start`` to ``stop`` of a batch, and the row of the store where they go."""


class Unfinished:
    """A store that is being written; use it as a context manager.

    Attributes
    ----------
    done : batches that an earlier run has stored.
    threads : with how many this capture was begun. Sums in another order are other last bits, so whoever goes on with
        it takes as many.
    whole : another process has finished the store meanwhile; there is nothing to do.

    Raises
    ------
    StorageError
        The folder can't be written, holds something else, or the disk has too little room.
    """

    def __init__(self, final: Path, layout: Layout, batches: int, threads: int):
        self.final = final
        self.folder = final.with_name(final.name + PARTIAL)
        self.layout = layout
        self.batches = batches
        self.threads = threads
        self.done = 0
        self.whole = False
        self._finished = False
        self._held_sum = 0
        self._dtype = np.dtype(layout.dtype).newbyteorder("<")
        self._files: dict[str, int] = {}
        self._lock = self._journal = -1
        self._queue: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._error: Exception | None = None
        self._writer = threading.Thread(target=self._write, name="workbench-capture-writer", daemon=True)

    def __enter__(self) -> Unfinished:
        try:
            if self._take_lock():
                self._open()
        except BaseException as e:
            self._release()
            if isinstance(e, OSError) and not isinstance(e, StorageError):
                raise self._storage_error(e) from e
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Store what was put, whatever ended the block."""
        self._stop()
        self._release()
        if kind is None:
            self._raise_error()

    def put(self, rows: Mapping[str, np.ndarray], runs: Sequence[Run]) -> None:
        """Hand over the next batch: each site's rows, which mustn't change any more, and where they go.

        Raises
        ------
        StorageError
            The disk is full or fails; from this batch or one before it.
        """
        self._raise_error()
        if self._writer.ident is None:  # not before it is known what an earlier run left
            self._writer.start()
        self._queue.put((rows, runs))

    def read(self, site: str, start: int, stop: int) -> np.ndarray:
        """Rows that an earlier run stored."""
        size = self.layout.row_bytes(site)
        raw = os.pread(self._files[site], (stop - start) * size, start * size)
        return np.frombuffer(raw, self._dtype).reshape(stop - start, *self.layout.sites[site])

    def finish(self, table: pd.DataFrame, about: Mapping[str, Any]) -> None:
        """Write the row table and the manifest, and give the folder its name; it is locked to the end of the block.

        Parameters
        ----------
        about : what the manifest says beside the layout: ``name``, ``space``, and what was captured.
        """
        self._stop()
        self._raise_error()
        assert self.done == self.batches
        try:
            table.to_parquet(self.folder / TABLE)
            files = [self.folder / name for name in (TABLE, *map(self.layout.file, self.layout.sites))]
            self._replace(MANIFEST, sealed({**self.layout.to_json(), **about}, files))
            for name in (TABLE, ""):
                _flush(self.folder / name)
            os.rename(self.folder, self.final)
            self._finished = True
            _flush(self.final.parent)
        except OSError as e:
            raise self._storage_error(e) from e

    # -- the folder ---------------------------------------------------------------------------------

    def _take_lock(self) -> bool:
        """Wait until no other process writes this store; False if one has finished it meanwhile."""
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock = open_plain(self.folder / LOCK, os.O_CREAT | os.O_RDWR)
            except FileNotFoundError:  # another process has just given the folder its name
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                tell(f"waiting for another process that captures {self.final.name}")
                time.sleep(0.2)
                continue
            if not _is(lock, self.folder / LOCK):  # the same, between opening and locking
                os.close(lock)
                continue
            self._lock = lock
            self.whole = _holds(self.final, self.layout.key)
            if self.whole:
                shutil.rmtree(self.folder)
            return not self.whole

    def _open(self) -> None:
        plan = {**self.layout.to_json(), "batches": self.batches}
        held = self._held_plan()
        if held is not None and held.get("key") != self.layout.key:
            raise StorageError(
                f"{self.folder} holds an unfinished capture of something else (other weights, texts, sites or "
                f"settings). Remove it, or give store= another folder."
            )
        begun = held.pop("threads", None) if held else None
        if held == plan and isinstance(begun, int) and 0 < begun <= _MAX_THREADS:
            self.threads = begun
        else:
            for file in self.folder.iterdir():
                if file.name != LOCK:
                    file.unlink()
            self._check_room()
            self._replace(_PLAN, json.dumps({**plan, "threads": self.threads}, indent=1))
        self._journal = open_plain(self.folder / _JOURNAL, os.O_CREAT | os.O_RDWR)
        self.done, self._held_sum = self._read_journal()
        for site in self.layout.sites:
            self._files[site] = open_plain(self.folder / self.layout.file(site), os.O_CREAT | os.O_RDWR)
        _flush(self.folder)

    def _held_plan(self) -> dict[str, Any] | None:
        file = self.folder / _PLAN
        if not os.path.lexists(file):
            strange = sorted({f.name for f in self.folder.iterdir()} - {LOCK, _TEMPORARY})
            if strange:
                raise StorageError(
                    f"{self.folder} is no unfinished capture (it holds {strange[0]!r}) and is left alone. Give store= "
                    f"another folder."
                )
            return None
        try:
            return read_json(file)
        except FormatError:
            return {}

    def _check_room(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if self.layout.nbytes > free:
            shutil.rmtree(self.folder)
            raise StorageError(
                f"This capture needs {_size(self.layout.nbytes)} and {self.folder.parent} has {_size(free)} free. Capture "
                f"fewer sites or texts, use dtype='float16', or give store= a folder on a larger disk."
            )

    def _replace(self, name: str, text: str) -> None:
        new = self.folder / _TEMPORARY
        new.unlink(missing_ok=True)
        new.write_text(text, encoding="utf-8")
        _flush(new)
        os.replace(new, self.folder / name)

    def _read_journal(self) -> tuple[int, int]:
        """Batches that are safe and their sum; a line that a crash left unfinished is cut off."""
        raw = os.pread(self._journal, min(os.fstat(self._journal).st_size, _MAX_JOURNAL), 0)
        whole = raw[: raw.rfind(b"\n") + 1]
        os.ftruncate(self._journal, len(whole))
        os.lseek(self._journal, 0, os.SEEK_END)
        if not whole:
            os.write(self._journal, _LINE % (0, 0))  # takes the journal's room while there is some
        line = _LINE_READ.fullmatch(whole.splitlines()[-1]) if whole else None
        return (int(line[1]), int(line[2], 16)) if line else (0, 0)

    def intact(self, batches: Iterable[Sequence[Run]]) -> bool:
        """Whether what an earlier run stored is still what it was; if not, the store is begun anew.

        Parameters
        ----------
        batches : where the rows of the batches that are done went, in order.
        """
        total = 0
        for runs in batches:
            for site in self.layout.sites:
                size = self.layout.row_bytes(site)
                for start, stop, place in runs:
                    total = zlib.crc32(
                        os.pread(self._files[site], (stop - start) * size, place * size), total
                    )
        if total == self._held_sum:
            return True
        os.ftruncate(self._journal, 0)
        self.done, self._held_sum = self._read_journal()
        return False

    def _release(self) -> None:
        if self._finished:
            tidy(self.final)
        for descriptor in (*self._files.values(), self._journal, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._files, self._journal, self._lock = {}, -1, -1

    # -- the thread ---------------------------------------------------------------------------------

    def _write(self) -> None:
        synced, stored = time.monotonic(), self.done
        total = written = self._held_sum
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue  # so that put() never waits for a thread that has given up
            try:
                for site in self.layout.sites:
                    total = self._write_rows(site, item[0][site], item[1], total)
                stored += 1
                written = total
                if time.monotonic() - synced >= SYNC_SECONDS:
                    self._sync(stored, written)
                    synced = time.monotonic()
            except Exception as e:
                self._error = e
        try:
            self._sync(stored, written)  # also after an error: what was written before it is whole
        except Exception as e:
            self._error = self._error or e

    def _write_rows(self, site: str, rows: np.ndarray, runs: Sequence[Run], total: int) -> int:
        """Write to each place, and go on with the sum of all bytes."""
        size = self.layout.row_bytes(site)
        content = np.ascontiguousarray(rows, self._dtype).data.cast("B")
        for start, stop, place in runs:
            left, at = content[start * size : stop * size], place * size
            total = zlib.crc32(left, total)
            while left:
                n = os.pwrite(self._files[site], left, at)
                left, at = left[n:], at + n
        return total

    def _sync(self, stored: int, total: int) -> None:
        for descriptor in self._files.values():
            os.fsync(descriptor)
        if stored > self.done:
            os.write(self._journal, _LINE % (stored, total))
            os.fsync(self._journal)
            self.done = stored

    def _stop(self) -> None:
        if self._writer.is_alive():
            self._queue.put(None)
            self._writer.join()

    def _raise_error(self) -> None:
        if isinstance(self._error, OSError):
            raise self._storage_error(self._error) from self._error
        if self._error is not None:
            raise self._error

    def _storage_error(self, error: OSError) -> StorageError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return StorageError(
                f"The disk is full (or a size limit is reached): the capture stopped unfinished. What it stored lies in "
                f"{self.folder}. Make room and run the same capture again, which goes on from there, or remove that folder."
            )
        return StorageError(
            f"{self.folder} can't be written ({error.strerror}). Give store= a folder that you may write to."
        )


def tidy(final: Path) -> None:
    """Remove from a finished store what it was written by, also where a kill came in between."""
    for name in (_PLAN, _JOURNAL, LOCK):
        with suppress(OSError):
            (final / name).unlink()


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holds(path: Path, key: str) -> bool:
    try:
        return key_of(path) == key
    except (MissingError, FormatError):
        return False


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(n: int) -> str:
    return f"{n / 1e9:,.1f} GB" if n >= 1e9 else f"{n / 1e6:,.1f} MB"
