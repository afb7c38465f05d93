"""Reading back what was stored: plain files alone, of bounded size, and what was written rather than what became of it.

A disk or a copy can change a bit and no length, so whoever stores arrays writes down what they digest to, in facts that
are `sealed` by a digest of themselves.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from workbench.core.digest import SAMPLED_ABOVE, digest, digest_file
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
        large = os.fstat(f.fileno()).st_size > limit
        raw = b"" if large else f.read(limit + 1)
    if large or len(raw) > limit:
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
    """Facts as JSON text, with the size and digest of each file beside them and a digest of all that is said.

    Files beyond 2 GiB are digested from samples, as `digest_file` says.
    """
    files = list(files)
    known = {path.name: [path.stat().st_size, d] for path, d in zip(files, _digests(files), strict=True)}
    plain = json.loads(json.dumps({**facts, _FILES: known}))
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
    listed = isinstance(files, dict) and all(isinstance(f, list) and len(f) == 2 for f in files.values())
    if seal != digest(facts) or not isinstance(files, dict) or not listed:
        raise FormatError("what it says of itself was changed after it was stored")
    paths = [folder / Path(name).name for name in files]
    for path, (size, _) in zip(paths, files.values(), strict=True):
        if not path.is_file():  # a pipe would be waited for
            raise FormatError(f"{path.name} is missing")
        if path.stat().st_size != size:  # before it is read: it may be of any size now
            raise FormatError(
                f"{path.name} has {path.stat().st_size:,} bytes and had {size:,} when it was stored"
            )
    for path, now, (_, before) in zip(paths, _digests(paths), files.values(), strict=True):
        if now != before:
            raise FormatError(f"{path.name} was changed after it was stored, without a change of its length")
    del facts[_FILES]
    return facts


def is_sealed(facts: dict[str, Any]) -> bool:
    """Whether facts were written by `sealed`."""
    return _SEAL in facts or _FILES in facts


def are_sampled(facts: dict[str, Any]) -> bool:
    """Whether one of the files beside sealed facts is so large that samples of it stand for the whole."""
    return any(size > SAMPLED_ABOVE for size, _ in facts[_FILES].values())


def _digests(paths: Sequence[Path]) -> list[str]:
    """Digest files, several at a time."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(digest_file, paths))
