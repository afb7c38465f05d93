"""Files of ``torch.save``: tensors only, memory-mapped, and never more unpickled than torch deems safe."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import FormatError
from workbench.core.lazy import LazyTensor
from workbench.io.files import Weights, broken, head, need, plain, shown, size_of
from workbench.io.zips import members
from workbench.numerics.floats import CODED, rounding
from workbench.subjects.checkpoint import TensorInfo

if TYPE_CHECKING:
    import torch

# Where training scripts put the weights beside the optimizer and the rest.
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "network", "net", "weights", "params")
_MAX_DEPTH = 8
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
}
_LEGACY = b"l\xfc\x9cF\xf9 j\xa8P\x19"  # the number that files of torch before 1.6 begin with
_OPEN_TORCH = "torch.load({path!r}, map_location='cpu', weights_only=False)"
_OPEN_PICKLE = "pickle.loads(pathlib.Path({path!r}).read_bytes())"
_CONVERT = (
    "import pathlib, pickle, torch; x = {opened}; "
    "x = x.state_dict() if hasattr(x, 'state_dict') else x.get('state_dict', x); "
    "torch.save({{k: torch.as_tensor(v) for k, v in x.items() if hasattr(v, 'shape')}}, 'weights.pth')"
)


def read_torch(path: Path) -> Weights:
    """Read the tensors of a ``torch.save`` file; of a training state, those of the network.

    Dictionaries in dictionaries give dotted names. What isn't a tensor is left out.

    Raises
    ------
    FormatError
        The file is damaged, holds no tensors, or would run code when loaded; it says how to convert it.
    """
    size = size_of(path)
    zipped = head(path, 4) == b"PK\x03\x04"
    held = _storages(path) if zipped else None
    need("torch", f"Reading {path.name}")
    found = _tensors(_network_part(_load(path, zipped)))
    if not found:
        raise broken(
            path, "torch weights", "it holds no tensor with a name", "Save module.state_dict() instead."
        )
    for name, tensor in found.items():
        _check(path, name, tensor, held, size)
    return Weights(
        {n: _describe(n, t, path) for n, t in found.items()},
        lambda name: _lazy(found[name], lambda part: _array(path, name, part)),
        (path,),
        stored=lambda name: None if found[name].is_quantized else _lazy(found[name], _codes),
    )


def _lazy(tensor: torch.Tensor, read: Callable[[torch.Tensor], np.ndarray]) -> LazyTensor:
    shape = tuple(tensor.shape)
    return LazyTensor(shape, lambda start, stop: read(tensor[start:stop] if shape else tensor))


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


def _load(path: Path, zipped: bool) -> Any:
    import torch

    start = head(path, 64)
    if start[:1] == pickle.PROTO and _LEGACY not in start:
        raise FormatError(
            f"{path} is a plain pickle (protocol {start[1]}), not a file of torch.save, and loading a pickle runs code "
            f"from the file, so it isn't loaded. {_convert(path, _OPEN_PICKLE)}"
        )
    try:
        with warnings.catch_warnings():
            # That quantized tensors and old storages will go is for who wrote the file, long ago.
            warnings.simplefilter("ignore")
            # Files from before torch 1.6 aren't archives and can't be mapped; and of a path, torch believes
            # this ending.
            if zipped and path.suffix != ".safetensors":
                return torch.load(path, weights_only=True, mmap=True, map_location="cpu")
            with path.open("rb") as f:
                return torch.load(f, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as e:
        needed = re.search(r"GLOBAL ([\w.]+)", str(e))
        if needed is None:
            raise broken(
                path, "torch weights", f"its pickle is damaged or of an unread kind ({_cause(e)})"
            ) from None
        raise FormatError(
            f"{path} holds a Python object ({needed[1]}) besides weights, and loading that would run code from "
            f"the file, so it isn't loaded. {_convert(path, _OPEN_TORCH)}"
        ) from None
    except MemoryError:
        raise broken(path, "torch weights", "it claims more memory than there is") from None
    except Exception as e:  # torch raises whatever its unpickler runs into: KeyError, TypeError ...
        raise broken(path, "torch weights", f"{type(e).__name__}: {_cause(e)}") from None


def _convert(path: Path, opened: str) -> str:
    line = _CONVERT.format(opened=opened.format(path=str(path)))
    return f'If you trust where the file comes from, convert it once with: python -c "{line}", and open weights.pth.'


def _cause(e: Exception) -> str:
    """What went wrong, without torch's advice to load the file unsafely."""
    text = str(e).split("WeightsUnpickler error: ")[-1]
    return shown(text.strip().split("\n")[0])


def _tensors(value: Any) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    _gather(value, "", found, set(), 0)
    return found


def _gather(value: Any, name: str, found: dict[str, torch.Tensor], seen: set[int], depth: int) -> None:
    """Collect the tensors of nested dictionaries under dotted names; each dictionary counts once."""
    import torch

    if isinstance(value, torch.Tensor):
        found.setdefault(name, value)
    elif isinstance(value, dict) and depth < _MAX_DEPTH and id(value) not in seen:
        seen.add(id(value))
        for key, inner in value.items():
            if isinstance(key, str | int):
                _gather(inner, f"{name}.{key}" if name else str(key), found, seen, depth + 1)


def _network_part(value: Any) -> Any:
    """Of a training state (``{"state_dict": ..., "optimizer": ...}``), what belongs to the network."""
    for _ in range(_MAX_DEPTH):  # a dictionary may hold itself
        if not isinstance(value, dict):
            break
        parts = {k: v for k, v in value.items() if not _is_optimizer(k, v) and _tensors({k: v})}
        wrapper = next((w for w in WRAPPERS if isinstance(parts.get(w), dict)), None)
        if wrapper is None or (len(parts) > 1 and not wrapper.endswith("state_dict")):
            return parts
        value = parts[wrapper]
    return value


def _is_optimizer(key: Any, value: Any) -> bool:
    return isinstance(value, dict) and ("optim" in str(key) or "param_groups" in value)


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
