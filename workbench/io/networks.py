"""Callable networks from folders in Hugging Face's layout, through transformers and never through the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.core.errors import FormatError, ViewError
from workbench.io.quiet import quiet
from workbench.io.texts import text_network
from workbench.subjects.network import Network

_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
)
_NO_LIMIT = 1 << 20  # tokens; tokenizers without a limit say 1e30


def from_directory(path: Path, digest: str) -> Network:
    """Build the network that a folder's configuration names, in float32 and evaluation mode.

    Code that lies in the folder is never run: only architectures that transformers itself has are built.

    Parameters
    ----------
    digest : of the weights, the configuration and the tokenizer.

    Raises
    ------
    ViewError
        The architecture isn't one of transformers'.
    FormatError
        The weights or the tokenizer don't fit the configuration.
    """
    import torch
    import transformers

    with quiet():
        config = _config(path)
        named = (getattr(config, "architectures", None) or [""])[0]
        kind = getattr(transformers, str(named), None)
        if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
            kind = transformers.AutoModel
        try:
            module: Any = kind.from_pretrained(
                path, config=config, local_files_only=True, dtype=torch.float32
            )
        except Exception as e:
            raise FormatError(
                f"{path}: the weights can't be put into the network that config.json describes ({type(e).__name__}: "
                f"{_first_line(e)}). Its weights can still be read one by one."
            ) from e
        tokenizer = _tokenizer(path)
    name = path.resolve().name
    if tokenizer is None:
        return Network(name=name, digest=digest, module=module.eval())
    predicts = str(named).endswith(("ForCausalLM", "LMHeadModel"))
    module.config.use_cache = False  # keys and values of the past are of no use to one forward pass
    limit = min(
        getattr(config, "max_position_embeddings", None) or _NO_LIMIT, tokenizer.model_max_length, _NO_LIMIT
    )
    return text_network(name, digest, module, tokenizer, predicts=predicts, limit=int(limit))


def _config(path: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as e:
        raise ViewError(
            f"{path}: config.json names no architecture that transformers has ({type(e).__name__}: {_first_line(e)}). The "
            f"weights can be read; to call the network, build your torch.nn.Module and pass it to workbench.capture."
        ) from e


def _tokenizer(path: Path) -> Any:
    from transformers import AutoTokenizer

    if not any((path / n).is_file() for n in _TOKENIZERS):
        return None
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as e:
        raise FormatError(
            f"{path}: its tokenizer can't be read ({type(e).__name__}: {_first_line(e)}). Download the folder's tokenizer "
            f"files again."
        ) from e


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
