"""Damage, by a seed: of bytes, of numbers in digits, of JSON's values, of archives, and of the files of a folder."""

from __future__ import annotations

import functools
import io
import json
import os
import random
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

EDGES = (0, 1, 255, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 3, 2**31, 2**63, 2**70, 10**400, 1e308, float("nan"), -0.5),
    *("", "a", "\0", "\ud800", "../../x", "/dev/zero", "x" * 5000, "𝕏", "1"),
    *([], {}, [[]], [0], [{}], {"": None}, {"a": {"b": []}}, [1] * 3000),
)
Change = Callable[[bytes, random.Random], bytes]


def bytes_changed(raw: bytes, rng: random.Random) -> bytes:
    """Bits flipped, ends cut, numbers set to edges, pieces left out and repeated; most often near the start."""
    new = bytearray(raw or b"x")
    for _ in range(rng.choice((1, 1, 1, 3))):
        at = rng.randrange(min(len(new), 600) if rng.random() < 0.6 else len(new))
        match rng.randrange(6):
            case 0:
                new[at] ^= 1 << rng.randrange(8)
            case 1:
                new[at:] = b"" if at else new
            case 2:
                new[at : at + 8] = rng.choice(EDGES).to_bytes(8, "little")
            case 3:
                new[at : at + 4] = (rng.choice(EDGES) % 2**32).to_bytes(4, "little")
            case 4:
                del new[at : at + rng.randrange(1, max(2, min(20, len(new))))]
            case 5:
                new[at:at] = new[max(0, at - rng.randrange(1, 30)) : at]
        new = new or bytearray(b"x")
    return bytes(new)


def numbers_changed(raw: bytes, rng: random.Random) -> bytes:
    """A number that is written in digits becomes another."""
    spots = [m.span() for m in re.finditer(rb"\d+", raw[:2000])]
    if not spots:
        return bytes_changed(raw, rng)
    start, end = rng.choice(spots)
    return raw[:start] + str(rng.choice((-1, 3, *EDGES))).encode() + raw[end:]


def json_changed(raw: bytes, rng: random.Random) -> bytes:
    """A value of a JSON document becomes another, or goes, or another key has it too."""
    try:
        whole = json.loads(raw)
    except ValueError:
        return bytes_changed(raw, rng)
    spots: list[tuple[Any, Any]] = []
    waiting = [whole]
    while waiting:
        value = waiting.pop()
        keys = (
            list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        )
        spots += [(value, k) for k in keys]
        waiting += [value[k] for k in keys]
    if not spots or rng.random() < 0.03:
        return json.dumps(rng.choice(ODD)).encode()
    held, key = rng.choice(spots)
    match rng.randrange(5):
        case 0:
            del held[key]
        case 1 if isinstance(held, dict):
            held[rng.choice(("", "extra", key.upper(), key + "\0", "x" * 3000))] = held[key]
        case _:
            held[key] = rng.choice(ODD)
    return json.dumps(whole).encode()


def header_changed(raw: bytes, rng: random.Random) -> bytes:
    """Another safetensors header, its length right."""
    length = int.from_bytes(raw[:8], "little")
    new = rng.choice((numbers_changed, bytes_changed, json_changed))(raw[8 : 8 + length], rng)
    return len(new).to_bytes(8, "little") + new + raw[8 + length :]


def member_changed(raw: bytes, rng: random.Random) -> bytes:
    """Another member of an archive, its checksum right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(stream, "w") as new:
        chosen = rng.choice(old.namelist())
        for info in old.infolist():
            member = old.read(info)
            if info.filename == chosen:
                ways = (numbers_changed, bytes_changed, *[json_changed] * chosen.endswith(".json"))
                member = rng.choice(ways)(member, rng)
            new.writestr(info.filename, member)
    return stream.getvalue()


def deeper(raw: bytes) -> Change:
    """The way to damage a file that leaves its outer form whole."""
    if raw[:2] == b"PK":
        return member_changed
    if raw[8:9] == b"{":
        return header_changed
    return json_changed if raw[:1] in (b"{", b"[") else numbers_changed


# -- of folders ---------------------------------------------------------------------------------------


def replaced(path: Path, rng: random.Random) -> None:
    """In a file's place stands nothing, or another thing of the file system."""
    path.unlink()
    match rng.randrange(7):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(path.name)
        case 3:
            path.symlink_to("/dev/zero")
        case 4:
            with path.open("wb") as sparse:
                sparse.truncate(1 << rng.choice((31, 40)))
        case 5:
            path.write_bytes(b"")


def damage(files: dict[str, bytes], folder: Path, rng: random.Random) -> None:
    """Write files anew under a folder, one or two of them damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(sorted(files))
        path, raw = folder / name, files[name]
        if len(files) > 1 and rng.random() < 0.1:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            path.write_bytes(files[rng.choice(sorted(files))])
        elif rng.random() < 0.1 and path.is_file() and not path.is_symlink():
            replaced(path, rng)
        elif path.is_file() and not path.is_symlink():
            path.write_bytes(rng.choice((bytes_changed, functools.partial(_deeper, raw)))(raw, rng))


def _deeper(whole: bytes, raw: bytes, rng: random.Random) -> bytes:
    return deeper(whole)(raw, rng)
