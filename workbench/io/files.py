"""What all readers share: files that are looked at with suspicion, and arrays that stay on disk."""

from __future__ import annotations

import importlib
import json
import math
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from workbench.core.digest import digest, digest_file
from workbench.core.errors import DataError, FormatError, MissingError, WorkbenchError, suggest
from workbench.core.lazy import LazyTensor
from workbench.core.rows import require_real
from workbench.io.packed import marked
from workbench.subjects.checkpoint import Checkpoint, TensorInfo
from workbench.subjects.file_network import FileNetwork, origin_of

_TEXTS = (".txt", ".vec", ".csv", ".tsv", ".jsonl")
MAX_JSON = 100 << 20  # bytes
MAX_SMALL_JSON = (
    16 << 20
)  # bytes of a configuration or an index; the largest of released checkpoints have 10 MB
_MAX_NESTED = 1 << 20  # lists and objects in a JSON text


@dataclass(frozen=True)
class Weights:
    """What a reader found, before it becomes a subject.

    Attributes
    ----------
    tensors : from the headers alone.
    lazy : opens one of them by name, to be read a few rows at a time where the format allows it.
    files : all that the tensors come from, for the digest.
    stored : a tensor's numbers as they lie in the file (of bfloat16 the codes); None where there are none such.
    aside : what else the file holds that isn't among the tensors, by name.
    """

    tensors: dict[str, TensorInfo]
    lazy: Callable[[str], LazyTensor]
    files: tuple[Path, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    stored: Callable[[str], LazyTensor | None] = lambda name: None
    aside: tuple[str, ...] = ()

    def read(self, name: str) -> np.ndarray:
        """Read one of the tensors."""
        return self.lazy(name).whole()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while something is read into one of our refusals: the one place for what no reader foresaw.

    Raises
    ------
    FormatError
        What lies there is damaged, or asks for more memory than there is.
    MissingError
        The operating system won't give it.
    """
    try:
        yield
    except WorkbenchError:
        raise
    except OSError as e:
        raise unreadable(Path(str(e.filename or path)), e) from e
    except MemoryError as e:
        raise FormatError(
            f"{path} asks for more memory than there is. Get it again, or open it on a larger machine."
        ) from e
    except RecursionError as e:
        raise FormatError(f"{path} is nested too deeply to be read. Download or export it again.") from e
    except Exception as e:
        raise FormatError(
            f"{path} can't be read ({type(e).__name__}: {shown(e, 300)}). Download or export it again."
        ) from e


def checkpoint(
    weights: Weights,
    name: str,
    source: Path,
    *,
    beside: Sequence[Path] = (),
    load: Callable[[str], Any] | None = None,
) -> Checkpoint:
    """Make the subject.

    Parameters
    ----------
    beside : files that also decide what the network computes (configuration, tokenizer); they count in
        the digest, by name and content.
    load : builds the callable network, given the digest.
    """
    content = cache(lambda: _content(weights, beside))

    def lazy(name: str) -> LazyTensor:
        with reading(source):
            return _guarded(source, weights.lazy(name))

    def made() -> Any:
        assert load is not None
        with reading(source):
            return load(content())

    def built() -> FileNetwork:
        return FileNetwork(name, content(), origin_of(content()), made)

    return Checkpoint(
        marked(weights.tensors, weights.config),
        lazy,
        name=name,
        content=content,
        config=weights.config,
        source=str(source),
        load=None if load is None else built,
        stored=weights.stored,
        beside=beside,
        aside=weights.aside,
    )


def _guarded(source: Path, tensor: LazyTensor) -> LazyTensor:
    def read(start: int, stop: int) -> np.ndarray:
        with reading(source):
            return tensor.read(start, stop)

    return LazyTensor(tensor.shape, read, lambda i: _guarded(source, tensor.part(i)))


def _content(weights: Weights, beside: Sequence[Path]) -> str:
    try:
        parts = sorted(digest_file(f) for f in weights.files)
        others = {f.name: digest_file(f) for f in beside}
    except OSError as e:
        raise unreadable(Path(str(e.filename)), e) from None
    if len(parts) == 1 and not others:
        return parts[0]
    sampled = "sampled-" if any(p.startswith("sampled-") for p in (*parts, *others.values())) else ""
    return sampled + digest("files", parts, sorted(weights.tensors), others)


def status(path: Path) -> str:
    """Say what a path is: ``"file"``, ``"directory"``, or ``""`` where there is nothing.

    Raises
    ------
    FormatError
        It is something else (a pipe, a device), or the path can't be one.
    MissingError
        It may not be looked at.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as e:
        raise unreadable(path, e) from None
    except ValueError as e:
        raise FormatError(f"{shown(path)} is not a path ({e}). Give a file, a folder or a name.") from None
    if stat.S_ISDIR(mode):
        return "directory"
    if not stat.S_ISREG(mode):
        raise FormatError(
            f"{path} is neither a file nor a folder (a pipe, a device?). Copy its content to a file."
        )
    return "file"


def size_of(path: Path) -> int:
    """Size of a regular file that may be read and isn't empty, in bytes; anything else is refused."""
    if status(path) == "":
        raise missing(path)
    if status(path) == "directory":
        raise FormatError(f"{path} is a folder and a file is needed. Name the file in it.")
    start = head(path, 64).lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        raise FormatError(
            f"{path} is a Git LFS pointer, not the file itself. Get the file with: git lfs pull."
        )
    if start.startswith((b"<!doctype html", b"<html")) and path.suffix not in _TEXTS:
        raise FormatError(f"{path} is a web page, such as a download gives when it fails. Download it again.")
    size = path.stat().st_size
    if size == 0:
        raise FormatError(f"{path} is empty (0 bytes). Download or export it again.")
    return size


def head(path: Path, n: int) -> bytes:
    """Return the first ``n`` bytes of a file, or as many as it has."""
    try:
        with path.open("rb") as f:
            return f.read(n)
    except OSError as e:
        raise unreadable(path, e) from None


def require_text(path: Path, what: str) -> None:
    """Refuse a file that begins like no text, before all of it is read: one of zeros takes a second and a gigabyte for each."""
    start = head(path, 1 << 16)
    at = start.find(b"\0")
    if at >= 0 and not start.startswith((b"\xff\xfe", b"\xfe\xff")):  # which is UTF-16, as its reader says
        raise broken(path, what, f"byte 0x00 at {at:,} stands in no text")


def missing(path: Path) -> MissingError:
    """Say that a file isn't there, with the near names in its folder."""
    folder = path.parent
    try:
        near = [p.name for p in folder.iterdir()] if status(folder) == "directory" else None
    except OSError:
        near = []  # a folder that may be entered but not listed has no names to suggest
    if near is None:
        return MissingError(f"{shown(path)} does not exist, nor does {shown(folder)}. Check the path.")
    if not near:
        return MissingError(f"{shown(path)} does not exist. Check the path.")
    return MissingError(f"{shown(path)} does not exist. In its folder: {suggest(path.name, near)}")


def unreadable(path: Path, error: OSError) -> MissingError:
    """Say that the operating system won't give a file."""
    if isinstance(error, PermissionError):
        advice = "Change its permissions, or copy it to where you may read."
        return MissingError(f"{path} may not be read (permission denied). {advice}")
    cause = error.strerror or error
    return MissingError(f"{shown(path)} can't be read ({cause}). Check the path and the disk.")


def broken(path: Path, what: str, cause: str, advice: str = "Download or export it again.") -> FormatError:
    """Refuse a file of the format ``what``."""
    return FormatError(f"{path} can't be read as {what}: {cause}. {advice}")


def shown(text: object, limit: int = 100) -> str:
    """Return text from a file or user so that it fits in a message: quoted, on one line, not too long."""
    quoted = repr(str(text))
    return quoted if len(quoted) <= limit else f"{quoted[: limit - 2]}…{quoted[-1]}"


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Return names in a row, so many of them."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(shown(n) for n in names[:limit]) + more


def need(package: str, purpose: str) -> ModuleType:
    """Import an optional package or say how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise MissingError(
            f"{purpose} needs the package {package}, which isn't installed: pip install {package.replace('_', '-')}"
        ) from None


def mapped(path: Path, dtype: Any, offset: int, shape: tuple[int, ...], order: Any = "C") -> np.ndarray:
    """Return an array that stays in its file until it is used, read-only.

    Raises
    ------
    FormatError
        The file no longer holds those bytes: it changed after it was opened.
    """
    if 0 in shape:
        return np.empty(shape, dtype)
    try:
        array = np.memmap(path, dtype, "r", offset, shape, order).view(np.ndarray)
    except OSError as e:
        raise unreadable(path, e) from None
    except ValueError:
        raise FormatError(f"{path} became shorter after it was opened. Open it again.") from None
    if array.flags.aligned:
        return array
    return np.array(array, order="K")  # what torch and compiled code are handed must be aligned


def mapped_rows(path: Path, dtype: Any, offset: int, shape: tuple[int, ...]) -> LazyTensor:
    """A tensor of which only those rows are mapped that are read: pages that were looked at don't add up."""
    width = math.prod(shape[1:]) * np.dtype(dtype).itemsize

    def read(start: int, stop: int) -> np.ndarray:
        return mapped(path, dtype, offset + start * width, (stop - start, *shape[1:]) if shape else ())

    return LazyTensor(shape, read, lambda i: mapped_rows(path, dtype, offset + i * width, shape[1:]))


def native(array: np.ndarray) -> np.ndarray:
    """The same numbers in this machine's byte order, which compiled code takes for granted."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def widened(array: np.ndarray) -> np.ndarray:
    """Halves and doubles as float32, whatever else as it is; beyond float32's range is infinite."""
    if array.dtype.kind != "f" or array.dtype == np.float32:
        return array
    with np.errstate(over="ignore", invalid="ignore"):  # infinite and NaN are told by the methods, counted
        return array.astype(np.float32)


def read_json(path: Path, what: str, most: int = MAX_JSON) -> dict[str, Any]:
    """Read a JSON object from a file of at most so many bytes; names that stand twice are refused."""
    if size_of(path) > most:
        raise broken(path, what, f"it is larger than {most >> 20} MiB", "It is not what its name says.")
    return parse_json(head(path, most), path, what)


def parse_json(raw: bytes, path: Path, what: str) -> dict[str, Any]:
    """Parse a JSON object; names that stand twice are refused.

    Raises
    ------
    FormatError
        It isn't JSON, isn't an object, says one thing twice, or holds more lists and objects than memory should.
    """
    if (nested := raw.count(b"[") + raw.count(b"{")) > _MAX_NESTED:
        raise broken(
            path, what, f"its JSON holds {nested:,} lists and objects, and {_MAX_NESTED:,} are allowed"
        )
    try:
        found = json.loads(raw, object_pairs_hook=once)
    except TwiceError as e:
        raise broken(path, what, f"{shown(e)} stands in it twice") from None
    except (ValueError, RecursionError) as e:
        cause = "too deeply nested" if isinstance(e, RecursionError) else shown(e)
        raise broken(path, what, f"its JSON is damaged ({cause})") from None
    if not isinstance(found, dict):
        raise broken(path, what, f"its JSON is a {type(found).__name__}, not an object with names")
    return found


class TwiceError(Exception):
    """A name stands twice in one JSON object."""


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its names and values, for ``json.loads(object_pairs_hook=once)``.

    Raises
    ------
    TwiceError
        With the first name that stands in it twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise TwiceError(repeated([n for n, _ in pairs])[0])
    return found


def repeated(names: Sequence[str]) -> list[str]:
    """The names that stand twice or more, each once, in their order."""
    return [name for name, times in Counter(names).items() if times > 1]


def is_shape(shape: Sequence[int], itemsize: int = 16) -> bool:
    """Whether numpy can have an array of this shape, empty ones included."""
    if len(shape) > 64 or any(d < 0 for d in shape):
        return False
    return math.prod(max(d, 1) for d in shape) * itemsize < 2**62


def plain(name: str) -> bool:
    """Whether a tensor's name is printable text of a length that a name may have."""
    return 0 < len(name) <= 1024 and name.isprintable()


def in_folder(name: str) -> bool:
    """Whether a file name stays in the folder that it is joined to."""
    return plain(name) and name not in (".", "..") and not any(c in name for c in "/\\:")


def real_numbers(array: np.ndarray, path: Path) -> np.ndarray:
    """Return the array if it holds real numbers, or refuse."""
    require_real(array, str(path))
    if array.dtype.kind not in "fiub":
        raise DataError(
            f"{path} holds {array.dtype} and this needs real numbers. Convert them with array.astype(float)."
        )
    return array
