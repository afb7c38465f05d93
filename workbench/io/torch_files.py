"""Files of ``torch.save``: tensors only, memory-mapped, and never more unpickled than torch deems safe."""

from __future__ import annotations

import pickle
import re
import shlex
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import FormatError
from workbench.core.lazy import LazyTensor
from workbench.io.files import Weights, broken, head, need, plain, shown, size_of
from workbench.io.torch_pickles import CalledError, stand_ins
from workbench.io.torch_trees import named_tensors
from workbench.io.zips import members
from workbench.numerics.floats import CODED, rounding
from workbench.subjects.checkpoint import TensorInfo

if TYPE_CHECKING:
    import torch

_NAMES = {
    "bfloat16": "BF16",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "bool": "BOOL",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "complex64": "C64",
    "complex128": "C128",
}
_LEGACY = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # the number that files of torch before 1.6 begin with
_OF_THE_SYSTEM = ("os", "posix", "nt", "sys", "subprocess", "shutil", "socket")
_AS_TORCH = "import pathlib, pickle, torch; torch.save(pickle.loads(pathlib.Path({path!r}).read_bytes()), 'weights.pth')"


def read_torch(path: Path, *, calls_aside: bool = False) -> Weights:
    """Read the tensors of a ``torch.save`` file, under names that say where they stood; see `torch_trees`.

    Parameters
    ----------
    calls_aside : whether what the file would have called is set aside like all that isn't a tensor. Otherwise such a
        file is refused. Nothing is called either way.

    Raises
    ------
    FormatError
        The file is damaged, holds no tensors, or would run code when loaded; it says how to convert it.
    """
    size = size_of(path)
    zipped = head(path, 4) == b"PK\x03\x04"
    held = _storages(path) if zipped else None
    need("torch", f"Reading {path.name}")
    named = named_tensors(_load(path, zipped, calls_aside))
    tensors = named.tensors
    if not tensors:
        raise broken(path, "torch weights", "it holds no tensor", "Save module.state_dict() instead.")
    for name, tensor in tensors.items():
        _check(path, name, tensor, None if name in named.pickled else held, size)
    return Weights(
        {n: _describe(n, t, path) for n, t in tensors.items()},
        lambda name: _lazy(tensors[name], lambda part: _array(path, name, part)),
        (path,),
        stored=lambda name: None if tensors[name].is_quantized else _lazy(tensors[name], _codes),
        aside=named.aside,
    )


def _lazy(tensor: torch.Tensor, read: Callable[[torch.Tensor], np.ndarray]) -> LazyTensor:
    shape = tuple(tensor.shape)
    return LazyTensor(
        shape,
        lambda start, stop: read(tensor[start:stop] if shape else tensor),
        lambda i: _lazy(tensor[i], read),
    )


def _codes(tensor: torch.Tensor) -> np.ndarray:
    """Numbers as they are stored; of those that numpy doesn't have, the codes."""
    import torch

    values = tensor.detach().resolve_conj().resolve_neg()
    if _NAMES.get(str(tensor.dtype).removeprefix("torch."), "") in CODED:
        wide = torch.uint8 if values.element_size() == 1 else torch.int16
        values = values.contiguous().view(wide)
    array = values.numpy()
    return array.view(np.uint16) if array.dtype == np.int16 and tensor.dtype != torch.int16 else array


def _storages(path: Path) -> set[int]:
    """Sizes of the storages in a zipped file, in bytes."""
    infos = members(path, "torch weights")
    if any(Path(i.filename).name == "constants.pkl" for i in infos):
        raise FormatError(
            f"{path} is a TorchScript program, and loading it would run code from the file. If you trust it, "
            f"convert it once with torch.save(torch.jit.load({str(path)!r}).state_dict(), 'weights.pth'), and "
            f"open weights.pth."
        )
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED:
            cause = f"its member {shown(info.filename)} is compressed, which torch.save never does"
            raise broken(path, "torch weights", cause, "It was repacked: get the original.")
    return {i.file_size for i in infos if "/data/" in f"/{i.filename}"}


def _load(path: Path, zipped: bool, calls_aside: bool) -> Any:
    import torch

    start = head(path, 512)
    if start[:1] == pickle.PROTO and _LEGACY not in start[:64]:
        line = shlex.quote(_AS_TORCH.format(path=str(path)))
        raise FormatError(
            f"{path} is a plain pickle (protocol {start[1]}), not a file of torch.save, and loading a pickle runs code "
            f"from the file, so it isn't loaded. If you trust where the file comes from, convert it once with: python -c "
            f"{line}, and open weights.pth."
        )
    if start[257:262] == b"ustar":
        raise FormatError(
            f"{path} is a tar archive. If it is one of torch before 0.4, load it with torch and save its state_dict(); "
            f"otherwise unpack it and open what is in it."
        )
    try:
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals(stand_ins(path, zipped, calls_aside=calls_aside)),
        ):
            # That quantized tensors and old storages will go is for who wrote the file, long ago.
            warnings.simplefilter("ignore")
            # Files from before torch 1.6 aren't archives and can't be mapped; and of a path, torch believes
            # this ending.
            if zipped and path.suffix != ".safetensors":
                return torch.load(path, weights_only=True, mmap=True, map_location="cpu")
            with path.open("rb") as f:
                return torch.load(f, weights_only=True, map_location="cpu")
    except CalledError as e:
        raise _unsafe(path, str(e)) from None
    except pickle.UnpicklingError as e:
        if named := re.search(r"GLOBAL ([\w.]+)", str(e)):
            raise _unsafe(path, named[1]) from None
        raise broken(
            path, "torch weights", f"its pickle is damaged or of an unread kind ({_cause(e)})"
        ) from None
    except FormatError:
        raise
    except MemoryError:
        raise broken(path, "torch weights", "it claims more memory than there is") from None
    except Exception as e:  # torch raises whatever its unpickler runs into: KeyError, TypeError ...
        raise broken(path, "torch weights", f"{type(e).__name__}: {_cause(e)}") from None


def _unsafe(path: Path, named: str) -> FormatError:
    if named.split(".")[0] in _OF_THE_SYSTEM:
        return FormatError(
            f"{path} calls {shown(named)}, as no checkpoint does and malice may, so it isn't loaded, and nothing of it ran. Get "
            f"the weights from who made them, as safetensors."
        )
    return FormatError(
        f"{path} calls {shown(named)} besides holding weights, and loading that would run code from the file, so it isn't "
        f"loaded. Take its tensors out, without running anything, with: workbench convert {shlex.quote(str(path))} "
        f"weights.safetensors"
    )


def _cause(e: Exception) -> str:
    """What went wrong, without torch's advice to load the file unsafely."""
    text = str(e).split("WeightsUnpickler error: ")[-1]
    return shown(text.strip().split("\n")[0])


def _check(path: Path, name: str, tensor: torch.Tensor, held: set[int] | None, size: int) -> None:
    """The tensor's numbers lie in the file, as many as its shape says."""
    import torch

    def refuse(cause: str, advice: str) -> FormatError:
        return broken(path, "torch weights", f"tensor {shown(name)} {cause}", advice)

    if not plain(name):
        raise refuse("has a name that isn't plain text", "Rename it and save again.")
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_nested:
        raise refuse(
            f"is stored as {tensor.layout} on {tensor.device}",
            "Save it as a dense tensor (tensor.to_dense()).",
        )
    stored = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > stored:
        raise refuse(
            f"of shape {tuple(tensor.shape)} claims more numbers than its storage of {stored:,} bytes holds",
            "Save it with tensor.contiguous(), or get the file again.",
        )
    if stored > size or (held is not None and stored and stored not in held):
        raise refuse(
            f"claims a storage of {stored:,} bytes that the file doesn't have", "Download or export it again."
        )


def _describe(name: str, tensor: torch.Tensor, path: Path) -> TensorInfo:
    stem = str(tensor.dtype).removeprefix("torch.")
    dtype = _NAMES.get(stem, stem.upper())
    noise = "8-bit integers: values carry quantization noise" if tensor.is_quantized else rounding(dtype)
    return TensorInfo(
        name, tuple(tensor.shape), dtype, tensor.numel() * tensor.element_size(), path.name, noise
    )


def _array(path: Path, name: str, tensor: torch.Tensor) -> np.ndarray:
    import torch

    try:
        values = tensor.detach()
        values = values.dequantize() if values.is_quantized else values
        values = values.to(torch.float32) if values.is_floating_point() else values
        array = values.resolve_conj().resolve_neg().numpy()
    except (RuntimeError, TypeError, NotImplementedError) as e:
        raise FormatError(
            f"{path}: {name} is stored as {tensor.dtype}, which can't be read as float32 ({_cause(e)})."
        ) from None
    array.flags.writeable = False  # it may be the mapped file itself
    return array
