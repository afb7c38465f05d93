"""The result cache: one folder a run key, under the user's cache directory or ``WORKBENCH_CACHE``."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from workbench.core.errors import FormatError
from workbench.core.progress import tell
from workbench.core.result import FACTS, Result, load
from workbench.core.storage import remove
from workbench.core.stored import read_json

SPARE = "WORKBENCH_SPARE_CACHE"
"""Names the folder of `spare`, for the kernel of a report."""


def cache_dir() -> Path:
    """Where results and captured stores are kept: ``WORKBENCH_CACHE``, or the platform's cache directory."""
    return Path(os.environ.get("WORKBENCH_CACHE") or platformdirs.user_cache_path("workbench"))


def wanted() -> bool:
    """Whether results are kept at all: ``WORKBENCH_NO_CACHE=1`` keeps none."""
    return os.environ.get("WORKBENCH_NO_CACHE", "") in ("", "0")


@contextlib.contextmanager
def spare(folder: Path) -> Iterator[None]:
    """Inside the block, also in the processes that it starts, a result that the cache can't take is kept in ``folder``."""
    before = os.environ.get(SPARE)
    os.environ[SPARE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[SPARE]
        else:
            os.environ[SPARE] = before


def _places(key: str) -> list[Path]:
    """Where the result of a run is kept: the cache, then the spare folder where there is one."""
    folder = os.environ.get(SPARE)
    return [cache_dir() / "results" / key, *([Path(folder) / key] if folder else [])]


def lookup(key: str) -> Result | None:
    """Return the stored result of a run, or None. A damaged entry counts as absent and is removed."""
    return next((result for path in _places(key) if (result := _read(path)) is not None), None)


def _read(path: Path) -> Result | None:
    if not path.is_dir():
        return None
    try:
        found = load(path)
    except FormatError:
        tell("the answer that was kept is damaged, and is computed again")
        remove(path)
        return None
    with contextlib.suppress(OSError):  # a cache that is only read, or pruned just now
        os.utime(path)  # prune removes what was used longest ago
    return found


def store(result: Result) -> bool:
    """Keep a result under its run's key; return whether it was. A cache that can't be written costs speed, not the answer."""
    assert result.run is not None
    for path in _places(result.run.key):
        with contextlib.suppress(OSError):
            result.save(path)
            return True
    return False


@dataclass(frozen=True)
class Entry:
    """One kept folder: a result or a captured store.

    Attributes
    ----------
    method, subject : what was asked of what; "" where the folder doesn't say.
    nbytes : on disk. age : seconds since its last use.
    """

    path: Path
    what: str
    method: str
    subject: str
    nbytes: int
    age: float


def entries() -> list[Entry]:
    """Everything in the cache, most recently used first."""
    found = []
    for folder in ("results", "captures"):
        root = cache_dir() / folder
        for path in root.iterdir() if root.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # another process has just removed or finished it
                size = sum(f.lstat().st_size for f in path.rglob("*") if f.is_file())
                age = time.time() - path.lstat().st_mtime
                found.append(Entry(path, folder[:-1], *_asked(path), size, age))
    return sorted(found, key=lambda e: e.age)


def _asked(path: Path) -> tuple[str, str]:
    """Method and subject of a kept result; what a capture is of."""
    try:
        if (path / FACTS).is_file():
            run = read_json(path / FACTS)["run"]
            return str(run["method"]), " and ".join(str(given["title"]) for given in run["inputs"])
        if path.name.endswith(".partial"):
            return "capture, unfinished", ""
        return "capture", str(read_json(path / "manifest.json")["name"])
    except (OSError, ValueError, KeyError, TypeError):  # damaged: it still takes room
        return "", ""


def prune(*, older_than: float = 0.0, keep_bytes: int = 0) -> tuple[list[Entry], list[Entry]]:
    """Remove what was used longest ago until at most ``keep_bytes`` remain.

    What a process is writing at the moment stays.

    Parameters
    ----------
    older_than : only entries unused for so many seconds may go.
    keep_bytes : the newest entries that fit in so many bytes stay.

    Returns
    -------
    tuple
        What went, and what should have gone and is in use or can't be removed.
    """
    kept = 0
    gone: list[Entry] = []
    left: list[Entry] = []
    for entry in entries():
        if kept + entry.nbytes <= keep_bytes or entry.age < older_than:
            kept += entry.nbytes
            continue
        (gone if remove(entry.path) else left).append(entry)
    return gone, left
