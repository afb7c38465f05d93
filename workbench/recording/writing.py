"""Writing a recording as it goes, from a thread of its own, so that a kill costs the last few seconds at most.

Every file appears whole, by renaming. What fails here stops the recording and never the training:
the recorder looks at ``failure`` and says so when its block ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.digest import digest
from workbench.core.errors import DataError, StorageError
from workbench.numerics.objectives import Probe
from workbench.recording import codecs
from workbench.recording.layout import (
    ATTEMPT_FILE,
    HALF_WRITTEN,
    LOCK,
    MANIFEST,
    NEW,
    OUTCOME,
    PROBE,
    STEPS_FILE,
    TRAINING,
    Layout,
    attempt_file,
    is_recording,
    read_layout,
    steps_file,
    weights_file,
    with_check,
)
from workbench.recording.stored import read_rows, store, store_rows, widened

_AHEAD = 3  # what may wait for the disk; more would only hold memory
_KEYFRAME = 16  # so many steps with weights from one that is stored whole to the next
_MERGED = 256 << 20  # bytes of rows that are merged into one file at the end
TOGETHER = 16 << 20  # bytes of weights that are stored together, if SECONDS do not pass before
SMALL = 4096  # numbers of a tensor that aren't worth compressing
SECONDS = 5.0  # what a kill costs at most


Snapshot = tuple[int, Mapping[str, np.ndarray], Mapping[str, np.ndarray]]
"""A step, its tensors, and the optimizer's."""


class Writer:
    """Stores rows and weights in a folder that only it writes.

    Parameters
    ----------
    resume : go on with what the folder holds, rather than refuse it.
    rank : of the differences, with ``compress="low-rank"``.
    max_bytes : weights beyond so many bytes aren't kept.
    flush : whether it is to last: a loss of power is to leave no damage either.

    Raises
    ------
    StorageError
        The folder holds something, or a recording of something else; or another process writes it.
    """

    def __init__(
        self,
        folder: Path,
        layout: Layout,
        probe: Probe | None,
        training: Probe | None = None,
        *,
        resume: bool,
        rank: int,
        max_bytes: int,
        flush: bool = True,
    ):
        self.folder, self.layout = folder, layout
        self.rank, self.max_bytes, self.lasts = rank, max_bytes, flush
        self.failure: Exception | None = None
        self.full_at: int | None = None
        self.nonfinite_at: tuple[int, str] | None = None
        self.attempt = -1
        self._lock = -1
        self._bytes = self._since_key = 0
        self._key: tuple[int, dict[str, np.ndarray]] | None = None
        self._before: tuple[int, dict[str, np.ndarray]] | None = None
        self._queue: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._thread = threading.Thread(target=self._work, name="workbench-recording-writer", daemon=True)
        self._chunks: list[Path] = []
        self._waiting: dict[str, np.ndarray] = {}  # weights that are encoded and not yet written
        self._plans: dict[int, dict[str, Any]] = {}
        self._settled = False
        self._prepare({PROBE: probe, TRAINING: training}, resume)

    def _prepare(self, batches: Mapping[str, Probe | None], resume: bool) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if is_recording(self.folder) or (self.folder / LOCK).exists() or not any(self.folder.iterdir()):
                self._take_lock()
            if self._lock >= 0:  # the folder is a recording's, and nobody else writes to it
                for left in [p for p in self.folder.iterdir() if HALF_WRITTEN.fullmatch(p.name)]:
                    left.unlink()
            unfinished = (LOCK, NEW, *batches)  # of a process that was killed before it had a manifest
            held = sorted(p.name for p in self.folder.iterdir() if p.name not in unfinished)
            if is_recording(self.folder):
                if not resume:
                    raise StorageError(
                        f"{self.folder} holds a recording already. Go on with it (resume=True), or give to= another folder."
                    )
                stored = read_layout(self.folder)
                differs = stored.difference(self.layout)
                if differs:
                    raise StorageError(
                        f"{self.folder} holds a recording of something else: {differs}. Give to= another folder."
                    )
                self.layout = replace(self.layout.with_trained(stored.parameters), checked=stored.checked)
                if self.layout.parameters != stored.parameters:
                    self._do_layout(self.layout)
            elif held:
                raise StorageError(
                    f"{self.folder} is no recording (it holds {held[0]!r}) and is left alone. Give to= another folder."
                )
            if not is_recording(self.folder):
                for name, batch in batches.items():
                    (self.folder / name).unlink(missing_ok=True)
                    if batch is not None:
                        store_rows(self.folder / NEW, batch.arrays())
                        self._place(name)
                self._do_layout(self.layout)
        except OSError as e:
            self.close()
            if isinstance(e, StorageError):
                raise
            raise StorageError(
                f"{self.folder} can't be written ({e.strerror}). Give to= a folder that you may write to."
            ) from e

    def _take_lock(self) -> None:
        self._lock = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(
                f"Another recording is being written to {self.folder}. Wait for its end, or give to= another folder."
            ) from None

    def begin(self, start: int) -> None:
        """Begin an attempt at a step: from here on, what earlier ones recorded no longer counts."""
        self.wait()
        self.attempt = sum(1 for f in self.folder.iterdir() if ATTEMPT_FILE.fullmatch(f.name))
        self._json(attempt_file(self.attempt), {"start": start})
        (self.folder / OUTCOME).unlink(missing_ok=True)

    def relayout(self, layout: Layout) -> None:
        """Replace the layout by one in which more is trained, for the rows that follow."""
        self._put(("layout", layout))

    def rows(self, columns: Mapping[str, Any], parameters: Sequence[str]) -> None:
        """Hand over rows of some parameters, as tensors that mustn't change any more, lists or arrays."""
        self._put(("rows", (columns, parameters)))

    def weights(self, snapshots: list[Snapshot]) -> None:
        """Hand over the weights of some steps."""
        self._put(("weights", snapshots))

    def outcome(self, fields: Mapping[str, Any]) -> None:
        """Say how it went, at once."""
        self._put(("outcome", fields))

    def wait(self) -> None:
        """Return when everything that was handed over is stored, or has failed."""
        if self._thread.is_alive():
            self._queue.join()

    def settle(self) -> None:
        """End the thread; what is handed over from here on is stored at once."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._settled = True

    def finish(self) -> None:
        """Store what was handed over, merge the rows and give the folder back."""
        self.settle()
        self._try("merge", None)
        self.close()

    def close(self) -> None:
        """Give the folder back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # -- the thread ---------------------------------------------------------------------------------

    def _put(self, item: tuple[str, Any]) -> None:
        if self._settled:
            self._try(*item)
        elif self.failure is None:
            if not self._thread.is_alive():
                self._thread.start()
            self._queue.put(item)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            self._try(*item)
            self._queue.task_done()

    def _try(self, what: str, content: Any) -> None:
        try:
            if self.failure is None:
                getattr(self, f"_do_{what}")(content)
        except Exception as e:
            self.failure = e

    def _do_outcome(self, fields: Mapping[str, Any]) -> None:
        self._json(OUTCOME, dict(fields))

    def _do_layout(self, layout: Layout) -> None:
        self.layout = layout
        self._json(MANIFEST, layout.to_json())

    def _do_rows(self, content: tuple[Mapping[str, Any], Sequence[str]]) -> None:
        columns, parameters = content
        arrays = {k: _array(v) for k, v in columns.items()}
        name = steps_file(self.attempt, int(arrays["step"][0]))
        self._save_rows(name, arrays, parameters)
        self._chunks.append(self.folder / name)

    def _do_merge(self, _: None) -> None:
        """One file of rows instead of many; a kill in between leaves rows twice, which reading knows."""
        if len(self._chunks) < 2 or sum(f.stat().st_size for f in self._chunks) > _MERGED:
            return
        held = [read_rows(f, checked=True) for f in self._chunks]
        last = self.layout.parameters
        groups = max(columns["lr"].shape[1] for columns, _ in held)
        parts = [widened(columns, names or last, last, groups) for columns, names in held]
        keys = list(dict.fromkeys(k for p in parts for k in p))
        merged = {}
        for key in keys:
            like = next(p[key] for p in parts if key in p)
            counts = [
                len(p.get("state.step", ())) if key.startswith("state.") else len(p["step"]) for p in parts
            ]
            merged[key] = np.concatenate(
                [
                    p.get(key, np.full((n, *like.shape[1:]), np.nan))
                    for p, n in zip(parts, counts, strict=True)
                ]
            ).astype(like.dtype)
        self._save_rows(self._chunks[0].name, merged, last)
        for file in self._chunks[1:]:
            file.unlink()
        del self._chunks[1:]

    def _do_weights(self, snapshots: list[Snapshot]) -> None:
        for snapshot in snapshots:
            self._add_weights(*snapshot)
            if sum(a.nbytes for a in self._waiting.values()) > TOGETHER:
                self._flush_weights()
        self._flush_weights()

    def _add_weights(
        self, step: int, tensors: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]
    ) -> None:
        bad = next((n for n, a in tensors.items() if a.dtype.kind == "f" and not np.isfinite(a).all()), None)
        if bad is not None:
            self.nonfinite_at = self.nonfinite_at or (step, bad)
            return
        if self.full_at is not None:
            return
        now = {n: codecs.bits(a) for n, a in tensors.items()}
        key = self._key is None or self._since_key >= _KEYFRAME
        low = self.layout.compress == "low-rank"
        base = None if key else self._key if low else self._before
        arrays, encodings = self._encode(tensors, now, base)
        arrays.update({f"state/{k}": a for k, a in state.items()})
        size = sum(a.nbytes for a in arrays.values())
        if self._bytes + size > self.max_bytes:
            self.full_at = step
            return
        checks = {k: digest(a) for k, a in state.items()}
        self._plans[step] = {"base": base[0] if base else None, "tensors": encodings, "state": checks}
        self._waiting.update({f"{step}/{k}": a for k, a in arrays.items()})
        self._bytes += size
        self._since_key = 1 if key else self._since_key + 1
        self._before = (step, now)
        if key:
            self._key = self._before

    def _flush_weights(self) -> None:
        """Write the weights that are waiting, as one file."""
        if self._plans:
            store(self.folder / NEW, self._waiting, {str(step): plan for step, plan in self._plans.items()})
            self._place(weights_file(self.attempt, min(self._plans)))
            self._waiting, self._plans = {}, {}

    def _encode(
        self,
        tensors: Mapping[str, np.ndarray],
        now: dict[str, np.ndarray],
        base: tuple[int, dict[str, np.ndarray]] | None,
    ) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, str, float]]]:
        arrays: dict[str, np.ndarray] = {}
        encodings: dict[str, tuple[str, str, float]] = {}
        compress = self.layout.compress
        for t in self.layout.tensors:
            bits = now[t.name]
            before = base[1][t.name] if base else None
            if before is not None and np.array_equal(bits, before):
                encodings[t.name] = ("same", codecs.check(bits), 0.0)
            elif compress == "none" or t.count < SMALL:
                shaped = tensors[t.name] if t.dtype != "BF16" else bits.reshape(t.shape)
                arrays[f"bits/{t.name}"] = np.ascontiguousarray(shaped)
                encodings[t.name] = ("raw", codecs.check(bits), 0.0)
            elif before is None:
                arrays[f"bits/{t.name}"] = codecs.pack(bits)
                encodings[t.name] = ("zstd", codecs.check(bits), 0.0)
            elif compress == "low-rank" and self._thin(t.shape) and t.dtype in ("F32", "F64", "F16"):
                then = before.view(tensors[t.name].dtype).reshape(t.shape)
                moved = tensors[t.name].astype(np.float64) - then
                left, right, error = codecs.low_rank(moved, self.rank)
                arrays[f"left/{t.name}"], arrays[f"right/{t.name}"] = left, np.ascontiguousarray(right)
                encodings[t.name] = ("low-rank", codecs.check(left, right), error)
            else:
                arrays[f"bits/{t.name}"] = codecs.pack(codecs.fold(bits, before))
                encodings[t.name] = ("delta", codecs.check(bits), 0.0)
        return arrays, encodings

    def _thin(self, shape: tuple[int, ...]) -> bool:
        """Whether two factors are smaller than what they stand for."""
        if len(shape) < 2 or 0 in shape:
            return False
        m, n = shape[0], int(np.prod(shape[1:]))
        return self.rank * (m + n) < m * n

    # -- files --------------------------------------------------------------------------------------

    def _save_rows(self, name: str, arrays: Mapping[str, np.ndarray], parameters: Sequence[str]) -> None:
        store_rows(self.folder / NEW, arrays, parameters)
        self._place(name)

    def _json(self, name: str, content: Mapping[str, Any]) -> None:
        (self.folder / NEW).write_text(json.dumps(with_check(content), indent=1), encoding="utf-8")
        self._place(name)

    def _place(self, name: str) -> None:
        """Give the new file its name; nobody else writes here, so that it needs no folder of its own until then."""
        if self.lasts:
            with (self.folder / NEW).open("rb") as f:
                os.fsync(f.fileno())
        os.replace(self.folder / NEW, self.folder / name)

    def files(self) -> list[str]:
        """Names of the files of rows."""
        return [f.name for f in self.folder.iterdir() if STEPS_FILE.fullmatch(f.name)]


def _array(thing: Any) -> np.ndarray:
    if hasattr(thing, "detach"):
        return thing.detach().cpu().numpy()
    if isinstance(thing, list) and thing and hasattr(thing[0], "detach"):
        return np.array([float(t) for t in thing])
    found = np.asarray(thing)
    if found.dtype.kind not in "fiu":
        raise DataError(f"a row holds numbers, not {found.dtype}")
    return found
