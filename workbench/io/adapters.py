"""Adapters that PEFT wrote: a folder of ``adapter_config.json`` and ``adapter_model.safetensors``; nothing is unpickled."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from workbench.core.edit import Edit, kind_named
from workbench.core.errors import DataError, FormatError, MissingError, suggest
from workbench.io.files import Weights, read_json, shown, status
from workbench.io.safetensors_files import read_safetensors
from workbench.subjects.checkpoint import Checkpoint

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_KEY = re.compile(r"base_model\.model\.(.+)\.lora_(embedding_)?(A|B|magnitude_vector)(?:\.weight)?")
_BASE = re.compile(
    r"base_model\.model\.(.+)\.base_layer\.weight"
)  # an embedding's own weight, written beside its factors
_MOVES_BASE = ("pissa", "olora", "corda", "loftq")  # beginnings that change the base too
_UNKNOWN = {  # keys of the configuration that change what is computed, and what they are called
    "lora_bias": "a bias in its factors",
    "use_qalora": "QA-LoRA",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "replicated layers",
    "target_parameters": "parameters without a module as targets",
    "arrow_config": "Arrow routing",
    "modules_to_save": "whole modules beside it (modules_to_save)",
    "trainable_token_indices": "trained tokens",
    "megatron_config": "Megatron's layers",
    "velora_config": "VeLoRA",
    "use_bdlora": "block-diagonal LoRA",
}


def is_adapter(path: str | Path) -> bool:
    """Whether a folder says that PEFT wrote an adapter there."""
    return (Path(path) / CONFIG).is_file()


def read_adapter(path: str | Path, base: Checkpoint | None = None) -> Edit:
    """Read LoRA, rank-stabilized LoRA or DoRA from a folder that PEFT wrote, as an edit.

    Of linear layers, convolutions (without groups) and embeddings (not under DoRA).

    Parameters
    ----------
    base : what it is to be added to: names that differ by a prefix are brought to its own, and what doesn't fit is refused
        at once. Without it names are those of the module that PEFT wrapped.

    Raises
    ------
    FormatError
        It is no such folder, contradicts itself, or holds pickled weights alone; or it is of another type of adapter, or has
        parts that aren't read: each is named.
    MissingError
        The base has no such tensor. DataError : a tensor has another shape.
    """
    path = Path(path)
    if not is_adapter(path):
        raise FormatError(f"{path} has no {CONFIG}: it is no adapter that PEFT wrote.")
    config = read_json(path / CONFIG, "an adapter's configuration")
    _require_known(path, config)
    if status(path / WEIGHTS) != "file":
        pickled = (
            " adapter_model.bin is pickled, and nothing is unpickled."
            if (path / "adapter_model.bin").exists()
            else ""
        )
        raise FormatError(f"{path} has no {WEIGHTS}.{pickled} Save it with model.save_pretrained(folder).")
    weights = read_safetensors(path / WEIGHTS)
    parts, turned, embedded = _factors(path, weights, bool(config.get("fan_in_fan_out")))
    a, b, magnitude = parts["A"], parts["B"], parts["magnitude_vector"]
    _require_consistent(path, config, parts, turned)
    scales = {name: _scale(path, config, name, len(a[name])) for name in a}
    names = {n: n if base is None else _name_in(base, n, path) for n in {**a, **b}}
    kind: Any = kind_named("lora")  # which io doesn't know by its class
    adapter: Edit = kind(
        **{
            k: {names[n]: x for n, x in held.items()}
            for k, held in (("a", a), ("b", b), ("magnitude", magnitude))
        },
        scales={names[n]: s for n, s in scales.items()},
        transposed=tuple(sorted(names[n] for n in turned)),
        title=path.resolve().name,
    )
    if base is not None:
        for name in adapter.tensors:
            adapter.fits(name, base.tensors[name].shape)
    for name, values in embedded.items():
        _require_own_embedding(path, name, values, None if base is None else base[names[name]])
    return adapter


def _require_consistent(
    path: Path, config: dict[str, Any], parts: dict[str, dict[str, np.ndarray]], turned: set[str]
) -> None:
    """Refuse factors and norms that contradict each other or the configuration."""
    a, b, magnitude = parts["A"], parts["B"], parts["magnitude_vector"]
    if bool(config.get("use_dora")) != bool(magnitude) or not set(magnitude) <= set(a):
        raise FormatError(
            f"{path}: use_dora={config.get('use_dora')!r}, and {len(magnitude)} of {len(a)} tensors have norms."
        )
    for name in turned & set(magnitude):
        raise FormatError(
            f"{path}: {name} is an embedding under DoRA, whose norms are of its columns; plain LoRA of embeddings is read."
        )
    for name in set(a) & set(b):
        if b[name].shape[1] != len(a[name]):
            raise FormatError(
                f"{path}: the factors of {name} have the ranks {len(a[name])} and {b[name].shape[1]}: it is a convolution in groups, "
                "whose adapter isn't a difference of its weights, or was cut."
            )
    for name in a:
        rank = _of_module(config, "rank_pattern", name, config.get("r"))
        if a[name].shape[0] != rank:
            raise FormatError(
                f"{path}: {name} has rank {a[name].shape[0]}, and its configuration says {rank!r}."
            )


def _factors(
    path: Path, weights: Weights, turned: bool
) -> tuple[dict[str, dict[str, np.ndarray]], set[str], dict[str, np.ndarray]]:
    """The factors and norms by tensor, those of a convolution flat; which tensors are stored as (inputs, outputs).

    Parameters
    ----------
    turned : whether linear layers are. Embeddings always are.

    Returns
    -------
    dict, set, dict
        The factors; the names; and embeddings that were written beside their factors, as they were in the base.
    """
    parts: dict[str, dict[str, np.ndarray]] = {"A": {}, "B": {}, "magnitude_vector": {}}
    transposed, embedded = set(), {}
    for key in weights.tensors:
        if own := _BASE.fullmatch(key):
            embedded[f"{own[1]}.weight"] = weights.read(key)
            continue
        match = _KEY.fullmatch(key)
        if match is None:
            raise FormatError(
                f"{path}: {shown(key)} is no factor of LoRA on a linear layer, a convolution or an embedding, and nothing else is "
                "read."
            )
        name, values = f"{match[1]}.weight", weights.read(key)
        if match[3] != "magnitude_vector":
            if values.ndim < 2:
                raise FormatError(
                    f"{path}: {shown(key)} has the shape {values.shape}, and a factor is a matrix."
                )
            if match[2] or (turned and values.ndim == 2):
                transposed.add(name)
            values = values.reshape(len(values), -1)
        parts[match[3]][name] = values
    if other := embedded.keys() - parts["A"].keys():
        raise FormatError(f"{path} holds {shown(min(other))} itself, without factors: that isn't read.")
    return parts, transposed, embedded


def _require_own_embedding(path: Path, name: str, values: np.ndarray, own: np.ndarray | None) -> None:
    """Refuse an adapter that brings another embedding than its base has."""
    if own is None:
        raise FormatError(
            f"{path} brings {name} of its base beside its factors: give the base too, so that the two can be compared."
        )
    if own.shape != values.shape or not np.array_equal(own, values.astype(own.dtype)):
        raise FormatError(
            f"{path} brings another {name} than the base has (it was resized, or trained itself), which isn't read."
        )


def _require_known(path: Path, config: dict[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise FormatError(
            f"{path} is an adapter of type {shown(kind)}; LORA is read (plain, rank-stabilized, or DoRA)."
        )
    if config.get("bias", "none") != "none":
        raise FormatError(f"{path} has trained biases (bias={shown(config['bias'])}), which aren't read.")
    for key, words in _UNKNOWN.items():
        if config.get(key):
            raise FormatError(f"{path} has {words} ({key}), which isn't read.")
    begun = config.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(_MOVES_BASE):
        raise FormatError(
            f"{path} began as {shown(begun)}, which changes the base as well. Save it as plain LoRA: "
            f"save_pretrained(folder, path_initial_model_for_weight_conversion=...)."
        )


def _of_module(config: dict[str, Any], key: str, name: str, usual: Any) -> Any:
    module = name.removesuffix(".weight")
    pattern = config.get(key)
    for pat, value in (pattern if isinstance(pattern, dict) else {}).items():
        if module == pat or module.endswith(f".{pat}"):
            return value
        try:
            if re.fullmatch(rf"(.*\.)?({pat})$", module):
                return value
        except re.error:
            continue
    return usual


def _scale(path: Path, config: dict[str, Any], name: str, rank: int) -> float:
    alpha = _of_module(config, "alpha_pattern", name, config.get("lora_alpha"))
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha) or rank < 1:
        raise FormatError(f"{path}: lora_alpha={shown(alpha)} with rank {rank} is no scale.")
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _name_in(base: Checkpoint, name: str, path: Path) -> str:
    """The base's own name of a tensor: the same, or one of the two ends with the other."""
    if name in base.tensors:
        return name
    near = [n for n in base.tensors if n.endswith(f".{name}") or name.endswith(f".{n}")]
    if len(near) == 1:
        return near[0]
    if near:
        raise DataError(
            f"{path}: {name} could be {', '.join(near[:3])} of {base.name}: rename it in the adapter."
        )
    raise MissingError(
        f"{path} is an adapter of {name}, and {base.name} has no such tensor: it is the wrong base. {suggest(name, base.tensors)}"
    )
