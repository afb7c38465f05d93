"""Zip archives (``.npz``, ``torch.save``), looked over before anything in them is unpacked."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

from workbench.io.files import broken, plain, shown, size_of, unreadable

_LOCAL_HEADER = 30  # bytes before the name in an archive's local header
_SPARE = 1 << 10  # packed bytes that may hold no more than their own bookkeeping
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
"""What Python's zipfile raises for archives that are damaged, encrypted or of an unknown kind."""


def members(path: Path, what: str) -> list[zipfile.ZipInfo]:
    """Return what an archive holds, in its order; folders are left out.

    Raises
    ------
    FormatError
        The archive is damaged or encrypted, or a name in it stands twice or leads out of it.
    """
    size_of(path)
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
    except OSError as e:
        raise unreadable(path, e) from None
    except DAMAGE as e:
        raise broken(path, what, f"the archive is damaged ({shown(e)})") from None
    seen: set[str] = set()
    for info in found:
        name = info.filename
        if not _stays_inside(name):
            cause = f"its member {shown(name)} has no plain name inside the archive"
            raise broken(path, what, cause, "Don't use it before you know why.")
        if name in seen:
            raise broken(path, what, f"its member {shown(name)} stands in it twice")
        if info.flag_bits & 1:
            cause = f"its member {shown(name)} is encrypted"
            raise broken(path, what, cause, "Unpack it with its password first.")
        seen.add(name)
    return [info for info in found if not info.is_dir()]


def content(path: Path, info: zipfile.ZipInfo, what: str, *, most: int | None = None) -> bytes:
    """Return a member's bytes, or the first ``most`` of them.

    The archive's list of members isn't read again for each of them, as zipfile does.

    Raises
    ------
    FormatError
        The member is damaged, not as long as the list says, or packed in a way that isn't read.
    """
    wanted = info.file_size if most is None else min(most, info.file_size)
    try:
        with path.open("rb") as f:
            f.seek(data_offset(f, info))
            if info.compress_type == zipfile.ZIP_STORED:
                raw = f.read(wanted)
            elif info.compress_type == zipfile.ZIP_DEFLATED:
                packed = f.read(
                    info.compress_size if most is None else min(info.compress_size, most + _SPARE)
                )
                raw = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, max(wanted, 1))[:wanted]
            else:
                with zipfile.ZipFile(path) as archive, archive.open(info) as member:
                    raw = member.read(wanted)
    except OSError as e:
        raise unreadable(path, e) from None
    except DAMAGE as e:
        raise broken(path, what, f"its member {shown(info.filename)} is damaged ({shown(e)})") from None
    if most is None and (len(raw) < wanted or zlib.crc32(raw) != info.CRC):
        raise broken(
            path, what, f"its member {shown(info.filename)} is damaged (it has other bytes than were written)"
        )
    return raw


def data_offset(f: IO[bytes], info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: behind its local header, whose length only it knows."""
    f.seek(info.header_offset)
    local = f.read(_LOCAL_HEADER)
    if len(local) < _LOCAL_HEADER or not local.startswith(b"PK\3\4"):
        raise zipfile.BadZipFile("its local header isn't where the list says")
    return (
        info.header_offset
        + _LOCAL_HEADER
        + int.from_bytes(local[26:28], "little")
        + int.from_bytes(local[28:30], "little")
    )


def _stays_inside(name: str) -> bool:
    return plain(name) and ".." not in name.split("/") and name[0] != "/" and not set(name) & set("\\:")


def read_member(path: Path, what: str, ending: str, most: int) -> bytes:
    """Return the content of the one member whose name ends so; refused beyond ``most`` bytes."""
    infos = [i for i in members(path, what) if i.filename.rpartition("/")[2] == ending]
    if len(infos) != 1:
        raise broken(path, what, f"{len(infos)} of its members are called {ending}, and one should be")
    if infos[0].file_size > most:
        raise broken(path, what, f"its {ending} has {infos[0].file_size:,} bytes, and {most:,} are allowed")
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(infos[0])
    except OSError as e:
        raise unreadable(path, e) from None
    except DAMAGE as e:
        raise broken(path, what, f"its member {ending} is damaged ({shown(e)})") from None
