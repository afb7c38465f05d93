"""Zip archives (``.npz``, ``torch.save``), looked over before anything in them is unpacked."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from workbench.io.files import broken, plain, shown, size_of, unreadable

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
