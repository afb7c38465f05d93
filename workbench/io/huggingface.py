"""Folders in Hugging Face's layout: one file of weights or an index of shards, and a configuration."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.core.errors import FormatError, MissingError
from workbench.io.files import (
    MAX_JSON,
    MAX_SMALL_JSON,
    Weights,
    broken,
    checkpoint,
    in_folder,
    listed,
    plain,
    read_json,
    shown,
    status,
    unreadable,
)
from workbench.io.gguf_files import read_gguf
from workbench.io.safetensors_files import read_safetensors
from workbench.io.sniffing import INDEX_ENDINGS
from workbench.io.torch_files import read_torch
from workbench.subjects.checkpoint import Checkpoint, TensorInfo

_FIRST = (
    "model.safetensors",
    "model.safetensors.index.json",
    "adapter_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "adapter_model.bin",
)
_ENDS = (
    ".safetensors.index.json",
    ".safetensors",
    ".gguf",
    ".bin.index.json",
    ".bin",
    ".pth",
    ".pt",
    ".ckpt",
    ".pth.tar",
)
_SHARD = re.compile(r"-\d{3,}-of-(\d{3,})\.")
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
# What training leaves beside the weights.
_TRAINING = re.compile(
    r"(training_args|optimizer|scheduler|scaler|rng_state|random_states|sampler|custom_checkpoint).*|.*optim_states.*"
)
# Beside the weights, these decide what the network answers.
_BESIDE = (
    "config.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "vocab.spm",
    "merges.txt",
    "bpe.codes",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)


def open_directory(folder: Path, name: str, *, weights: Path | None = None) -> Checkpoint:
    """Open a folder as a checkpoint; with a ``config.json`` it can become a callable network.

    Parameters
    ----------
    weights : the file of weights or index to use; None finds it.

    Raises
    ------
    FormatError
        Nothing in the folder can be opened, several things can, or what can is damaged.
    MissingError
        A shard that the index names isn't there.
    """
    weights = weights or find_weights(folder)
    found = _read(weights)
    beside = [folder / n for n in _BESIDE if status(folder / n) == "file"]
    if large := next((f for f in beside if f.stat().st_size > MAX_JSON), None):
        cause = f"it is larger than {MAX_JSON >> 20} MiB"
        raise broken(large, "a network's configuration or tokenizer", cause, "It is not what its name says.")
    configs = (f for f in beside if f.name.endswith("config.json"))
    config = next((read_json(f, "a configuration", MAX_SMALL_JSON) for f in configs), {})
    found = replace(found, config={**found.config, **config})
    return checkpoint(
        found,
        name,
        folder,
        beside=beside,
        load=(lambda content: _network(folder, found, content)) if folder / "config.json" in beside else None,
    )


def find_weights(folder: Path) -> Path:
    """Return the file that holds a folder's weights, or the index that names its shards."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as e:
        raise unreadable(folder, e) from None
    possible = [p for p in entries if p.name.endswith((*_FIRST, *_ENDS)) and not _TRAINING.fullmatch(p.name)]
    names = [p.name for p in possible if status(p) == "file"]  # a pipe in the place of weights is refused
    for name in _FIRST:
        if name in names:
            return folder / name
    for end in _ENDS:
        matches = [n for n in names if n.endswith(end)]
        if len(matches) == 1 and _is_whole(matches[0]):
            return folder / matches[0]
        if (
            end == ".gguf"
            and matches
            and len({_SHARD.sub(".", n) for n in matches}) == 1
            and _SHARD.search(matches[0])
        ):
            return folder / matches[0]  # any part opens as the whole
        if matches:
            raise _which(folder, matches)
    contents = [p.name + ("/" if p.is_dir() else "") for p in entries]
    pictures = sum(p.suffix.lower() in _PICTURES for p in entries)
    if pictures > len(entries) / 2:
        raise FormatError(
            f"{folder} holds {pictures:,} images, and a folder of images isn't opened: what is asked are rows of numbers. Give "
            "a table with a network's embeddings of them, one row an image, and a column of their paths, which shows each row's "
            "image; or their pixels: images = np.stack([...]), each of one size, and np.save('images.npy', images), for "
            "`workbench report images.npy`, or for `-p inputs=images.npy` of a network that sees."
        )
    raise FormatError(
        f"{folder} holds no weights that are read (model.safetensors, model.safetensors.index.json, "
        f"pytorch_model.bin, one .gguf or .pth). It holds {listed(contents, 12) or 'nothing'}. Open what you mean "
        f"by its own path."
    )


def others_of(shard: Path) -> tuple[str, ...]:
    """What belongs to a checkpoint beside one of its shards, in words."""
    match = _SHARD.search(shard.name)
    return (f"all but 1 of {int(match[1])} shards",) if match and int(match[1]) > 1 else ()


def _is_whole(name: str) -> bool:
    shard = _SHARD.search(name)
    return shard is None or int(shard[1]) == 1


def _which(folder: Path, names: list[str]) -> FormatError:
    if _SHARD.search(names[0]) and not names[0].endswith(".gguf"):
        return FormatError(
            f"{folder} holds shards ({listed(names)}) without the index that says which tensor is where. Download "
            f"model.safetensors.index.json beside them, or open one shard by its path."
        )
    return FormatError(f"{folder} holds several files of weights ({listed(names)}). Open one by its path.")


def _read(weights: Path) -> Weights:
    if weights.name.endswith(INDEX_ENDINGS):
        return read_index(weights)
    if weights.suffix == ".safetensors":
        return read_safetensors(weights)
    return read_gguf(weights) if weights.suffix == ".gguf" else read_torch(weights)


def read_index(index: Path) -> Weights:
    """Read what an index names, from the headers of its shards.

    Raises
    ------
    FormatError
        The index is damaged, names a file outside its folder, or a tensor that its shard doesn't have.
    MissingError
        Shards aren't there.
    """
    where = read_json(index, "a shard index", MAX_SMALL_JSON).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise broken(index, "a shard index", "it has no weight_map that names tensors")
    for tensor, shard in where.items():
        if not isinstance(shard, str) or not in_folder(shard) or not plain(tensor):
            cause = f"it puts tensor {shown(tensor)} in {shown(shard)}, which is no plain name of a file beside it"
            raise broken(index, "a shard index", cause, "Don't use it before you know why.")
    names = sorted(set(where.values()))
    _check_present(index, names)
    shards = {n: _read_shard(index.parent / n) for n in names}
    tensors: dict[str, TensorInfo] = {}
    for tensor, shard in where.items():
        if tensor not in shards[shard].tensors:
            cause = f"it puts tensor {shown(tensor)} in {shard}, which doesn't hold it"
            advice = "Index and shards come from different checkpoints: download them together."
            raise broken(index, "a shard index", cause, advice)
        tensors[tensor] = shards[shard].tensors[tensor]
    for name, held in shards.items():  # other names of shared tensors, of which an index need not know
        for tensor, info in held.tensors.items():
            if tensor not in tensors:
                tensors[tensor], where[tensor] = info, name
    files = tuple(f for s in shards.values() for f in s.files)
    return Weights(
        tensors,
        lambda name: shards[where[name]].lazy(name),
        files,
        stored=lambda name: shards[where[name]].stored(name),
    )


def _read_shard(path: Path) -> Weights:
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)


def _check_present(index: Path, names: list[str]) -> None:
    gone = [n for n in names if not (index.parent / n).is_file()]
    if gone:
        raise MissingError(
            f"{index} names {len(names)} shards, of which {len(gone)} can't be found: {listed(gone)}. Download what "
            f"is missing into {index.parent}."
        )


def _network(folder: Path, weights: Weights, content: str) -> Any:
    from workbench.subjects.own_kinds import kind_of

    if kind_of(weights.config):
        from workbench.io.own_networks import from_own_directory

        return from_own_directory(folder, weights, content)
    from workbench.io.networks import from_directory

    return from_directory(folder, weights, content)
