"""What the pickle of a ``torch.save`` file may name, and the inert stand-ins for everything else that it names.

torch's restricted unpickler calls what is allowed to it and refuses the rest. Here what isn't a tensor is allowed as a
stand-in that keeps what it is handed and does nothing: no class of the file's choice is imported, nothing of it runs,
and a network whose hyperparameters lie beside its weights opens. An object is data with a name; a *call* of something
unknown is what malice is made of, and is refused unless the caller wants it set aside.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.errors import FormatError
from workbench.io.files import broken, shown
from workbench.io.torch_rehearsal import SIZED, UnsafeCall, rehearsed
from workbench.io.zips import read_member

MAX_PICKLE = 64 << 20  # bytes; a checkpoint takes about a hundred a tensor
_PARTS_OF_OLD_FILES = 5  # pickles: magic number, version, system, content, keys of the storages
_NUMBERS = re.compile(r"[<>=|]?[fiubc]\d{1,2}")


class CalledError(Exception):
    """A file asks for a call of something that isn't known to be harmless; the text is its name."""


class StandIn:
    """Stands for an object of a class that is not imported; ``state`` is what it would have been filled with."""

    called: str = ""
    harmless: bool = False

    def __new__(cls, *args: Any, **kwargs: Any) -> StandIn:
        made = super().__new__(cls)
        made.state = args
        return made

    def __init__(self, *args: Any, **kwargs: Any):
        if not self.harmless:  # only a call comes here: an object is made by __new__ alone
            raise CalledError(self.called)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return self.called.rpartition(".")[2]


class _Dtype(StandIn):
    """A numpy dtype: the characters that name it, and its byte order."""

    @property
    def dtype(self) -> np.dtype[Any] | None:
        state = self.state  # of __setstate__: version, byte order, ...
        swapped = isinstance(state, tuple) and state[1:2] == (">",)
        return np.dtype(self.named).newbyteorder(">" if swapped else "=") if self.named else None

    named: str = ""

    def __init__(self, *args: Any, **kwargs: Any):
        self.named = args[0] if args and isinstance(args[0], str) and _NUMBERS.fullmatch(args[0]) else ""


class StoredArray(StandIn):
    """A pickled numpy array."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def array(self) -> np.ndarray | None:
        """The numbers, or None where it holds something else or contradicts itself."""
        match self.state:
            case (int(), tuple(shape), _Dtype(dtype=np.dtype() as dtype), order, bytes(raw)):
                try:
                    flat = np.frombuffer(raw, dtype)
                    values = flat.reshape(shape, order="F" if order else "C")
                except (ValueError, TypeError):
                    return None
                return values.astype(dtype.newbyteorder("="))
        return None


def _mapping(*args: Any) -> dict[Any, Any]:
    return {}


def _no_bytes(*args: Any) -> bytes:
    return b""  # all that this protocol calls it for


_KNOWN: dict[str, Any] = {
    "builtins.bytes": _no_bytes,
    "collections.defaultdict": _mapping,
    "numpy.dtype": _Dtype,
    **{f"{module}.multiarray._reconstruct": StoredArray for module in ("numpy.core", "numpy._core")},
}
_HARMLESS = re.compile(
    r"numpy\.(_?core\.multiarray\.scalar|dtypes\.\w+)|pathlib(\._local)?\.\w*Path|datetime\.\w+|decimal\.Decimal|"
    r"fractions\.Fraction|uuid\.UUID|torch\.torch_version\.TorchVersion|builtins\.(range|slice|frozenset)|_codecs\.\w+"
)


def stand_ins(
    path: Path, zipped: bool, *, calls_aside: bool
) -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What `torch.serialization.safe_globals` is to allow, so that a file loads and nothing of it runs.

    Parameters
    ----------
    calls_aside : whether calls of what is unknown give a stand-in too; otherwise they raise `CalledError`.

    Raises
    ------
    FormatError
        The file's pickle is damaged, too large, or names something that allocates what it is told to.
    """
    names = _names(path, zipped)
    if sized := sorted(n for n in names if SIZED.fullmatch(n)):
        raise FormatError(
            f"{path} asks for memory through {shown(sized[0])}, which weights never need, so it isn't loaded. Save "
            f"module.state_dict() instead."
        )
    return [(_stand_in(name, calls_aside), name) for name in sorted(names)]


def _stand_in(name: str, calls_aside: bool) -> Callable[..., Any]:
    if name in _KNOWN:
        return _KNOWN[name]
    harmless = calls_aside or _HARMLESS.fullmatch(name) is not None
    return type("StandIn", (StandIn,), {"called": name, "harmless": harmless})


def _streams(path: Path, zipped: bool) -> Iterator[Any]:
    """The pickles of a file; of those from before torch 1.6 the ones that it begins with, before the numbers."""
    if zipped:
        yield io.BytesIO(read_member(path, "torch weights", "data.pkl", MAX_PICKLE))
        return
    with path.open("rb") as f:
        bounded = _Bounded(f, min(path.stat().st_size, MAX_PICKLE))
        for _ in range(_PARTS_OF_OLD_FILES):
            yield bounded


def _names(path: Path, zipped: bool) -> set[str]:
    """What the pickles of a file name, all of whose calls are harmless to make."""
    names: set[str] = set()
    try:
        for stream in _streams(path, zipped):
            names |= rehearsed(stream)
    except FormatError:
        raise
    except UnsafeCall as e:
        raise broken(
            path, "torch weights", f"its pickle asks for {e}", "Don't use it before you know why."
        ) from None
    except (
        Exception
    ) as e:  # pickletools raises what it runs into: ValueError, UnicodeDecodeError, OverflowError ...
        raise broken(path, "torch weights", f"its pickle is damaged ({shown(e)})") from None
    return names


class _Bounded:
    """A stream that never makes room for more bytes than there are."""

    def __init__(self, stream: Any, size: int):
        self._stream, self._left = stream, size

    def read(self, n: int) -> bytes:
        return self._counted(self._stream.read(max(0, min(n, self._left))))

    def readline(self) -> bytes:
        return self._counted(self._stream.readline(self._left))

    def _counted(self, raw: bytes) -> bytes:
        self._left -= len(raw)
        return raw
