"""Callable networks from folders in Hugging Face's layout, through transformers and never through the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.core.errors import FormatError, ViewError
from workbench.io.files import MAX_JSON, Weights, broken, listed, shown, status
from workbench.io.fitting import PREDICTING, Fit, Misfit, fitting
from workbench.io.quiet import quiet
from workbench.io.texts import NO_LIMIT, text_network
from workbench.subjects.network import Network

_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
)
_READ_WHOLE = (".json", ".jinja", ".txt", ".model")
_MOST_LABELS = 1 << 17
_MOST_TOKENS = 1 << 22
_LAYERS = re.compile(
    r"(num|n)_.*(layers?|blocks?|hidden_groups|experts|heads)|(n|num)_layer|.*layers?|depths?"
)
_LIMITS = ("max_position_embeddings", "max_encoder_position_embeddings", "max_decoder_position_embeddings")


def from_directory(path: Path, weights: Weights, digest: str) -> Network:
    """Build the network that a folder's configuration names, in float32 and evaluation mode.

    Code that lies in the folder is never run, and nothing is fetched: only architectures that transformers itself has are
    built. Every weight comes from ``weights``: prefixes that wrappers put before the names are taken off, and where the
    named class lacks a head that the weights have, or has one that they lack, a sibling that fits is built and named.

    Parameters
    ----------
    weights : those of the folder.
    digest : of the weights, the configuration and the tokenizer.

    Raises
    ------
    ViewError
        The architecture isn't one of transformers', or the weights are packed integers.
    FormatError
        The weights or the tokenizer don't fit the configuration, or it asks for more than its weights can fill.
    """
    _refuse_files(path)
    _refuse_configuration(path, weights)
    with quiet(), _offline():
        config = _config(path)
        fit = _fit(path, config, weights)
        module = _filled(path, fit, config, weights)
        tokenizer = _tokenizer(path)
    name = path.resolve().name
    names = {old: new for new, old in fit.names.items() if new != old}
    if tokenizer is None:
        return Network(name=name, digest=digest, module=module.eval(), tensor_names=names, note=fit.note)
    predicts = fit.kind.__name__.endswith(PREDICTING)
    module.config.use_cache = False  # keys and values of the past are of no use to one forward pass
    named_limits = (getattr(config.get_text_config(), name, None) for name in _LIMITS)
    known = [number for number in named_limits if isinstance(number, int) and number > 0]  # XLNet says -1
    limit = min(*known, tokenizer.model_max_length, NO_LIMIT)
    network = text_network(name, digest, module, tokenizer, predicts=predicts, limit=int(limit))
    network.tensor_names, network.note = names, fit.note
    return network


@contextmanager
def _offline() -> Iterator[None]:
    """Load with every way to the hub closed, whatever a configuration asks for."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _refuse_files(path: Path) -> None:
    """Refuse pipes, devices and gigantic texts among what transformers may read of a folder."""
    for file in path.iterdir():
        if status(file) == "file" and file.suffix in _READ_WHOLE and file.stat().st_size > MAX_JSON:
            cause = f"it is larger than {MAX_JSON >> 20} MiB"
            raise broken(file, "a part of a network", cause, "It is not what its name says.")


def _refuse_configuration(path: Path, weights: Weights) -> None:
    """Refuse what would make transformers fetch code, or build more than the weights can fill."""
    most = max(64, len(weights.tensors))
    for key, value in _settings(weights.config):
        if isinstance(value, str) and key.endswith("_implementation") and not value.isidentifier():
            raise FormatError(
                f"{path}: config.json asks for {key}={shown(value)}, which is code from elsewhere, and none is fetched or "
                f"run. Take that line out: transformers' own implementation gives the same answers."
            )
        if key == "quantization_config" and value:
            method = value.get("quant_method") if isinstance(value, Mapping) else None
            raise ViewError(
                f"{path} holds weights that {shown(method or 'a package')} packed (quantization_config), and a network of "
                f"those isn't built here. Open a copy of it in bfloat16 or float32."
            )
        for count in value if isinstance(value, list) else [value]:
            if type(count) is not int:
                continue
            if (_LAYERS.fullmatch(key) and count > most * 64) or (
                key == "num_labels" and count > _MOST_LABELS
            ):
                raise FormatError(
                    f"{path}: config.json asks for {key}={count:,}, and the {len(weights.tensors):,} tensors there can't "
                    f"fill that. Download the configuration that belongs to these weights."
                )


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values of a configuration, those of its parts too."""
    for key, value in config.items():
        yield str(key), value
        if isinstance(value, Mapping):
            yield from _settings(value)


def _fit(path: Path, config: Any, weights: Weights) -> Fit:
    named = str((getattr(config, "architectures", None) or [""])[0])
    try:
        fit = fitting(config, named, {n: t.shape for n, t in weights.tensors.items()})
    except Misfit as e:
        raise _misfit(path, e) from None
    except FormatError as e:
        raise FormatError(f"{path}: {e}") from None
    except Exception as e:
        raise _unfit(path, e) from e
    if named and not fit.known and "auto_map" in weights.config:
        raise ViewError(
            f"{path}: config.json names {shown(named)}, whose code lies beside the weights, and such code isn't run. Its "
            f"weights can be read one by one; to call it, build the module yourself and pass it to workbench.capture."
        )
    return fit


def _misfit(path: Path, e: Misfit) -> FormatError:
    parts = [
        f"it has no tensor for {listed(e.missing)}" if e.missing else "",
        f"it holds {listed(e.unexpected)}, for which that has no place" if e.unexpected else "",
        f"the shape is another for {listed(e.mismatched)}" if e.mismatched else "",
    ]
    return FormatError(
        f"{path}: its weights aren't those of the {e.kind} that config.json describes: {'; '.join(p for p in parts if p)}. "
        f"Get the configuration that belongs to the weights, or give the tensors the names that {e.kind} has. They can "
        f"still be read one by one."
    )


def _unfit(path: Path, e: Exception) -> FormatError:
    return FormatError(
        f"{path}: the weights can't be put into the network that config.json describes ({type(e).__name__}: "
        f"{_first_line(e)}). Its weights can still be read one by one."
    )


def _filled(path: Path, fit: Fit, config: Any, weights: Weights) -> Any:
    import torch

    state = {new: torch.tensor(weights.read(old)) for new, old in fit.names.items()}
    try:
        module, report = fit.kind.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            output_loading_info=True,
            **fit.options,
        )
    except Exception as e:
        raise _unfit(path, e) from e
    misfit = Misfit.of(fit.kind.__name__, report)
    if misfit is not None:
        raise _misfit(path, misfit)
    return module


def _config(path: Path) -> Any:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as e:
        raise ViewError(
            f"{path}: config.json names no architecture that transformers has ({type(e).__name__}: {_first_line(e)}). The "
            f"weights can be read; to call the network, build your torch.nn.Module and pass it to workbench.capture."
        ) from e
    config.transformers_weights = None  # names another file; the weights are those that were opened
    return config


def _tokenizer(path: Path) -> Any:
    from transformers import AutoTokenizer

    if not any((path / n).is_file() for n in _TOKENIZERS):
        return None
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        largest = max(tokenizer.get_vocab().values(), default=0)
    except Exception as e:
        raise FormatError(
            f"{path}: its tokenizer can't be read ({type(e).__name__}: {_first_line(e)}). Download the folder's tokenizer "
            f"files again."
        ) from e
    if largest >= _MOST_TOKENS:
        raise FormatError(
            f"{path}: its tokenizer numbers a token {largest:,}, and {_MOST_TOKENS:,} are allowed. Download the folder's tokenizer "
            f"files again."
        )
    return tokenizer


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
