"""Reading back what was stored: plain files alone, of bounded size, and what was written rather than what became of it.

A disk or a copy can change a bit and no length, so whoever stores arrays writes down what they digest to, in facts that
are `sealed` by a digest of themselves.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from workbench.core.digest import digest, digest_file
from workbench.core.errors import FormatError

MAX_JSON = 64 << 20
_MAX_VALUES = 2_000_000
"""Values of a JSON text; each takes some 100 bytes of memory however short it is written."""
_SEAL, _FILES = "seal", "files"


def open_plain(path: Path, flags: int = os.O_RDONLY) -> int:
    """Return a descriptor of a plain file; a pipe is never waited for, nor a device read.

    Raises
    ------
    FormatError
        It is something else. OSError : it can't be opened.
    """
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FormatError(f"{path} is a folder, pipe or device where a file is stored. Remove it.")


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a plain file of at most ``limit`` bytes.

    Raises
    ------
    FormatError
        It is larger or no plain file. OSError : it can't be read.
    """
    with open(open_plain(path), "rb") as f:
        raw = f.read(limit + 1)
    if len(raw) > limit:
        raise FormatError(f"{path} is larger than {limit >> 20} MiB, which nothing that is stored here is.")
    return raw


def read_json(path: Path, limit: int = MAX_JSON) -> dict[str, Any]:
    """Read a JSON object from a plain file of bounded size and as many values as memory is no matter for.

    Raises
    ------
    FormatError
        It is larger, no plain file or no JSON object. OSError : it can't be read.
    """
    raw = read_bytes(path, limit)
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > _MAX_VALUES:
        raise FormatError(
            f"{path} has more than {_MAX_VALUES:,} values, which nothing that is stored here has."
        )
    try:
        facts = json.loads(raw)
    except (ValueError, RecursionError):
        raise FormatError(f"{path} is not JSON") from None
    if not isinstance(facts, dict):
        raise FormatError(f"{path} is not a JSON object")
    return facts


def sealed(facts: dict[str, Any], files: Iterable[Path]) -> str:
    """Facts as JSON text, with what each of the files beside them digests to and a digest of all that is said.

    Files beyond 2 GiB are digested from samples, as `digest_file` says.
    """
    plain = json.loads(json.dumps({**facts, _FILES: file_digests(files)}))
    return json.dumps({**plain, _SEAL: digest(plain)}, indent=1)


def unsealed(facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Check sealed facts, and the files that they are about, and return the facts alone.

    Raises
    ------
    FormatError
        They or a file aren't those that were stored.
    """
    facts = dict(facts)
    seal, files = facts.pop(_SEAL, None), facts.get(_FILES)
    if seal != digest(facts) or not isinstance(files, dict):
        raise FormatError("what it says of itself was changed after it was stored")
    paths = [folder / Path(name).name for name in files]
    for path in paths:
        if not path.is_file():  # a pipe would be waited for
            raise FormatError(f"{path.name} is missing")
    now = file_digests(paths)
    if damaged := [name for name in files if now[Path(name).name] != files[name]]:
        raise FormatError(f"{damaged[0]} was changed after it was stored, without a change of its length")
    del facts[_FILES]
    return facts


def is_sealed(facts: dict[str, Any]) -> bool:
    """Whether facts were written by `sealed`."""
    return _SEAL in facts or _FILES in facts


def file_digests(paths: Iterable[Path]) -> dict[str, str]:
    """Name of each file to the digest of its bytes, several at a time."""
    paths = list(paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip([p.name for p in paths], pool.map(digest_file, paths), strict=True))
