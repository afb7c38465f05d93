"""Writing so that nothing is lost: to a temporary name, flushed, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.core.errors import StorageError


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, for a file or a folder that the block makes there.

    What the block writes takes ``path``'s place when the block ends without an error; otherwise
    it is removed and ``path`` stays as it was.

    Raises
    ------
    StorageError
        The folder can't be made or written, or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        temporary = holder / path.name
        yield temporary
        _flush(temporary)
        if path.is_dir() and not path.is_symlink():
            os.replace(path, holder / "replaced")
        os.replace(temporary, path)
    except OSError as e:
        raise _storage_error(path, e) from e
    finally:
        if temporary is not None:
            shutil.rmtree(temporary.parent, ignore_errors=True)


def _flush(path: Path) -> None:
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as f:
            os.fsync(f.fileno())


def _storage_error(path: Path, error: OSError) -> OSError:
    if isinstance(error, StorageError):
        return error
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(
            f"The disk is full: {path} was not written, and what was there before is untouched. Make room and run it again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return StorageError(
            f"{path} can't be written ({error.strerror}). Give a folder that you may write to."
        )
    return error
