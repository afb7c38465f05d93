"""Weights on their way to disk: as what each tensor is written, and in which files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from workbench.core.errors import DataError, ParameterError, StorageError
from workbench.core.lazy import LazyTensor
from workbench.core.storage import writing
from workbench.core.tensor_files import PLAIN, Entry, write_safetensors
from workbench.numerics.floats import CODED, encode

Saved = Literal["stored", "float32", "bfloat16", "float16"]
SHARD = 5_000_000_000  # bytes of a file, as Hugging Face cuts them
_FORMATS = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
_KEPT = ("F64", "F32", "F16", "BF16")  # in narrower ones an edit would drown in rounding
_OTHER_FILES = (".pth", ".pt", ".bin", ".ckpt", ".gguf", ".npz", ".npy", ".onnx", ".h5")


def as_written(
    name: str,
    dtype: str,
    shape: tuple[int, ...],
    *,
    floating: bool,
    value: Callable[[], LazyTensor],
    stored: Callable[[], LazyTensor | None],
    asked: Saved,
) -> Entry:
    """One tensor of a checkpoint as it is written; what is asked for is said in `Checkpoint.save`.

    Parameters
    ----------
    dtype : as stored. value : gives its numbers. stored : gives them as they lie in the file, if they may be copied.
        Both are asked again when the tensor is written, so that nothing is held until then.
    """
    codes = {**PLAIN, **CODED}
    if asked not in get_args(Saved):
        raise ParameterError(
            f"dtype={asked!r} is not legal. It takes {', '.join(map(repr, get_args(Saved)))}."
        )
    if dtype in codes and (asked == "stored" or not floating) and stored() is not None:
        itemsize = np.dtype(codes[dtype]).itemsize
        return Entry(name, dtype, shape, itemsize, lambda: _blocks(stored() or value()))
    if floating:
        dtype = _FORMATS.get(asked) or (dtype if dtype in _KEPT else "F32")
    elif dtype not in PLAIN:
        raise DataError(
            f"{name} holds {dtype}, which safetensors doesn't have: leave it out with .at(pattern)."
        )
    itemsize = np.dtype(codes[dtype]).itemsize
    return Entry(name, dtype, shape, itemsize, lambda: (_rounded(name, b, dtype) for b in _blocks(value())))


def _blocks(tensor: LazyTensor) -> Iterator[np.ndarray]:
    return (block for _, block in tensor.blocks())


def _rounded(name: str, values: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # the one is refused below, the other is a NaN that stays one
        out = encode(values, dtype) if dtype in CODED else values.astype(PLAIN[dtype], copy=False)
        infinite = (
            (out & 0x7FFF) == 0x7F80 if dtype == "BF16" else np.isinf(out) if out.dtype.kind == "f" else None
        )
    if infinite is not None and infinite.any() and np.isfinite(values[infinite]).any():
        raise DataError(
            f"{name} has numbers beyond the range of {dtype}, in which it would be written. Save with dtype='float32' "
            f"(--dtype float32)."
        )
    return out


def save_file(path: Path, tensors: Sequence[Entry]) -> Path:
    """Write one safetensors file, whole or not at all."""
    with writing(path) as temporary:
        write_safetensors(temporary, tensors, f"writing {path.name}")
    return path


def save_folder(
    path: Path,
    tensors: Sequence[Entry],
    beside: Sequence[Path],
    config: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write a folder in Hugging Face's layout, whole or not at all.

    Parameters
    ----------
    beside : files that are copied there. config : what ``config.json`` is to hold where none is among them.

    Raises
    ------
    StorageError
        Something lies there already.
    """
    if path.suffix in _OTHER_FILES:
        raise ParameterError(
            f"{path} ends in {path.suffix}; weights are written as .safetensors, or to a folder."
        )
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise StorageError(f"{path} is there already and isn't empty: give a new folder, or remove it first.")
    shards = _shards(tensors)
    with writing(path) as temporary:
        temporary.mkdir()
        where: dict[str, str] = {}
        for i, shard in enumerate(shards, start=1):
            many = f"-{i:05d}-of-{len(shards):05d}" if len(shards) > 1 else ""
            write_safetensors(temporary / f"model{many}.safetensors", shard, f"writing {path.name}{many}")
            where |= dict.fromkeys((e.name for e in shard), f"model{many}.safetensors")
        if len(shards) > 1:
            index = {"metadata": {"total_size": sum(e.nbytes for e in tensors)}, "weight_map": where}
            (temporary / "model.safetensors.index.json").write_text(
                json.dumps(index, indent=1), encoding="utf-8"
            )
        for file in beside:
            shutil.copyfile(file, temporary / file.name)
        if config:
            (temporary / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return path


def _shards(tensors: Sequence[Entry]) -> list[list[Entry]]:
    """The tensors in their order, cut before a file grows beyond `SHARD`."""
    shards: list[list[Entry]] = [[]]
    size = 0
    for e in tensors:
        if shards[-1] and size + e.nbytes > SHARD:
            shards.append([])
            size = 0
        shards[-1].append(e)
        size += e.nbytes
    return shards


def refuse_own_files(path: Path, source: str) -> None:
    """Refuse to write over what is still read from.

    Raises
    ------
    StorageError
        The path is the file or folder that the checkpoint was opened from, or a file in that folder.
    """
    if not source:
        return
    own, target = Path(source).resolve(), path.resolve()
    if target == own or (own in target.parents and target.exists()):
        raise StorageError(
            f"{path} is what {source} is read from, tensor by tensor: write to another place, and move it there afterwards."
        )
