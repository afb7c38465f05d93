"""Writing so that nothing is lost: to a temporary name, flushed, then renamed."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from workbench.core.errors import ParameterError, StorageError

LOCK = "lock"
"""The file in a folder that is locked while it is written; a folder without one is locked itself."""

REPLACED = "replaced"  # what was at a path before, moved aside for a moment


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, for a file or a folder that the block makes there.

    What the block writes takes ``path``'s place when the block ends without an error; otherwise
    it is removed and ``path`` stays as it was. What processes that were killed left beside ``path`` goes first; where
    one was killed while it moved what was there before, this stays until the block has ended well.

    Raises
    ------
    StorageError
        The folder can't be made or written, or the disk is full.
    """
    holder = held = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        holder, held = _holder(path)
        _sweep_up(path, but_replaced=True)  # a half of what is written now may take all the room there is
        temporary = holder / path.name
        yield temporary
        _flush(temporary)
        if path.is_dir() and not path.is_symlink():
            os.replace(path, holder / REPLACED)
        os.replace(temporary, path)
        _sweep_up(path)  # only now: what was moved aside before a kill may have been all that there was
    except OSError as e:
        raise _storage_error(path, e) from e
    finally:
        if holder is not None:
            shutil.rmtree(holder, ignore_errors=True)
        if held is not None:
            os.close(held)


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Give an empty folder among the system's temporary ones; it is removed when the block ends.

    What processes that were killed left there under the same name goes too.
    """
    path = Path(tempfile.gettempdir()) / name
    holder, held = _holder(path)
    try:
        _sweep_up(path)
        yield holder
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        if held is not None:
            os.close(held)


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until no other process is inside such a block of the same folder; what is read there may be written back.

    The lock is on the folder itself, leaves no file, and ends with the process. Where there are no such locks nothing
    is waited for.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = _hold(folder, wait=True)
    except OSError as e:
        raise _storage_error(folder, e) from e
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def require_apart(outputs: Iterable[Path], inputs: Iterable[Path], advice: str) -> None:
    """Refuse to write over what is read, however either is spelled or linked, or into a folder that is replaced with it.

    Raises
    ------
    ParameterError
        An output is an input, or a folder that holds one; nothing was written. ``advice`` says what to do.
    """
    for given in inputs:
        around = [p for p in (given, *given.resolve().parents) if p.exists()]
        for output in filter(Path.exists, outputs):
            inside = given.is_dir() and output.resolve().is_relative_to(given.resolve())
            if inside or any(output.samefile(place) for place in around):
                raise ParameterError(f"{output} would take the place of {given}, which is read. {advice}")


def remove(path: Path) -> bool:
    """Remove what is stored at a path, unless a process holds it: is writing it, or another that removes it.

    Returns
    -------
    bool
        Whether it is gone.
    """
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return not os.path.lexists(path)
    try:
        held = _hold(path / LOCK if (path / LOCK).is_file() else path)
    except FileNotFoundError:
        return not os.path.lexists(path)
    except OSError:
        return False
    shutil.rmtree(path, ignore_errors=True)
    if held is not None:
        os.close(held)
    return not os.path.lexists(path)


def _holder(path: Path) -> tuple[Path, int | None]:
    """Make the temporary folder, and hold it by a lock that ends with this process, so that others see that it is used.

    Where there are no such locks (None), nothing is swept up either.
    """
    while True:
        holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            held = _hold(holder)
        except (BlockingIOError, FileNotFoundError):  # swept up before it was held
            continue
        if holder.is_dir():
            return holder, held
        if held is not None:
            os.close(held)


def _hold(path: Path, *, wait: bool = False) -> int | None:
    """Lock a folder or file; None where that can't be done.

    Parameters
    ----------
    wait : until nobody else holds it.

    Raises
    ------
    BlockingIOError, FileNotFoundError
        Another process holds it, or removed it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    held = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(held)
        if isinstance(e, BlockingIOError):
            raise
        return None
    return held


def _sweep_up(path: Path, but_replaced: bool = False) -> None:
    """Remove the temporary folders of ``path`` that nobody holds: their processes were killed.

    Parameters
    ----------
    but_replaced : whether one with what was at ``path`` before is left alone.
    """
    ours = re.compile(re.escape(f".{path.name}.") + "[a-z0-9_]{8}")  # as tempfile names them
    left: list[str] = []
    with suppress(OSError), closing(os.scandir(path.parent)) as entries:
        left += [e.path for e in entries if ours.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    for folder in left:
        with suppress(OSError):
            held = _hold(Path(folder))
            if held is not None:
                if not (but_replaced and os.path.lexists(os.path.join(folder, REPLACED))):
                    shutil.rmtree(folder, ignore_errors=True)
                os.close(held)


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
