"""Questions on disk: what was asked of a subject, in whatever session, so that the correction can count it.

One file a subject that was opened, captured or made: a line of JSON for each run with its p-values and without its
answers. Appended under a lock in one write, so that a process that is killed loses at most its last line and no other's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from workbench.core import cache
from workbench.core.digest import digest
from workbench.core.errors import FormatError
from workbench.core.evidence import Evidence
from workbench.core.run import Run, now
from workbench.core.storage import turn, writing
from workbench.core.stored import open_plain, read_bytes

FAMILY = "WORKBENCH_FAMILY"
"""Names the family that questions are kept in: what another one asked doesn't count."""
MOST_BYTES = 1 << 20  # of a subject's file, some 5,000 questions; then the older half goes
LONGEST = 1 << 16  # of a line


class Test(NamedTuple):
    """One p-value: of which question (`Run.question`), which answer of it, and from how many draws."""

    question: str
    method: str
    id: str
    of: str
    p: float
    draws: int
    asked_at: str


def wanted() -> bool:
    """Whether questions are kept at all: not with ``WORKBENCH_NO_CACHE=1``."""
    return cache.wanted()


def family() -> str:
    """The family that this process asks in; "" without a name."""
    return re.sub(r"[^\w.-]+", "_", os.environ.get(FAMILY, ""))[:60].strip(".")


def keep(run: Run, evidence: Sequence[Evidence], roots: Iterable[str]) -> None:
    """Add a run's tests to the files of what it was asked of. What can't be written costs the count, not the answer."""
    tests = [[e.id, e.of, e.p_value, len(e.null_values)] for e in evidence if e.p_value is not None]
    if not tests or not wanted():
        return
    said = {"question": run.question, "method": run.method, "asked_at": now(), "tests": tests}
    line = json.dumps(said).encode() + b"\n"
    if len(line) > LONGEST:
        return
    for root in roots:
        with contextlib.suppress(OSError, FormatError):
            _append(_path(root), line)


def kept(roots: Iterable[str]) -> list[Test]:
    """Return the tests kept of some subjects; of a question that was asked again the one from the most draws, or the last."""
    tests: dict[tuple[str, str, str], Test] = {}
    for root in roots if wanted() else ():
        for line in _lines(_path(root)):
            for test in _read(line):
                answer = (test.question, test.id, test.of)
                if answer not in tests or tests[answer].draws <= test.draws:
                    tests[answer] = test
    return list(tests.values())


def _path(root: str) -> Path:
    return cache.cache_dir() / "asked" / (family() or "all") / f"{digest(root)}.jsonl"


def _append(path: Path, line: bytes) -> None:
    with turn(path.parent):
        with open(open_plain(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                line = line if file.read(1) == b"\n" else b"\n" + line  # a torn line stays one of its own
            file.write(line)
        if size + len(line) > MOST_BYTES:
            _shorten(path)


def _shorten(path: Path) -> None:
    """Keep the newer half, and of lines that say the same of a question the last."""
    lines: dict[str, bytes] = {}
    for line in _lines(path):
        for test in _read(line)[:1]:
            lines.pop(test.question, None)
            lines[test.question] = line
    kept, size = [], 0
    for line in reversed(lines.values()):
        size += len(line) + 1
        if size > MOST_BYTES // 2:
            break
        kept.append(line)
    with writing(path) as temporary:
        temporary.write_bytes(b"".join(line + b"\n" for line in reversed(kept)))


def _lines(path: Path) -> list[bytes]:
    try:
        return read_bytes(path, 2 * MOST_BYTES).split(b"\n")
    except (OSError, FormatError):
        return []


def _read(line: bytes) -> list[Test]:
    """The tests of a line; none of one that is damaged."""
    try:
        said: dict[str, Any] = json.loads(line)
        question, method, asked_at = (str(said[n]) for n in ("question", "method", "asked_at"))
        tests = [
            Test(question, method, str(id), str(of), float(p), int(draws), asked_at)
            for id, of, p, draws in said["tests"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [t for t in tests if 0 < t.p <= 1]
