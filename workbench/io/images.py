"""Networks that see: EfficientNet-Lite0, which classifies photographs into ImageNet's thousand classes."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import DataError
from workbench.io.files import checkpoint, need
from workbench.io.torch_files import read_torch
from workbench.subjects.checkpoint import Checkpoint
from workbench.subjects.network import Network

if TYPE_CHECKING:
    import torch
    from jaxtyping import UInt8

SIDE, _WHOLE = 224, 256  # pixels that are seen, of an image whose shorter side has so many
_MEAN, _SCALE = 127.0, 128.0  # how it was trained to have its pixels
TOP = 5


def open_efficientnet(weights: Path, name: str) -> Checkpoint:
    """Open EfficientNet-Lite0."""
    found = read_torch(weights)

    def load(digest: str) -> Network:
        import torch

        package = need("efficientnet_lite_pytorch", f"Calling {name}")
        module = package.EfficientNet.from_name("efficientnet-lite0")
        module.load_state_dict({n: torch.tensor(found.read(n)) for n in found.tensors})
        return Network(
            name=name,
            digest=digest,
            module=module.eval(),
            ask=_classify,
            answers=f"the {TOP} likeliest classes, with their probabilities, of an image (height, width, 3) uint8",
            prepare=prepare,
        )

    return checkpoint(found, name, weights, load=load)


def prepare(images: UInt8[np.ndarray, "n h w 3"]) -> torch.Tensor:
    """Turn images into what the network takes, (n, 3, 224, 224): scaled, cut to the middle, centred on 0.

    Raises
    ------
    DataError
        The array isn't uint8, or hasn't that shape.
    """
    import torch

    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or 0 in images.shape:
        raise DataError(
            f"Images are (n, height, width, 3) uint8, red, green and blue; this array has the shape {images.shape} and dtype "
            f"{images.dtype}."
        )
    pixels = torch.tensor(images).movedim(-1, 1).float()
    height, width = pixels.shape[2:]
    scale = _WHOLE / min(height, width)
    size = [round(height * scale), round(width * scale)]
    pixels = torch.nn.functional.interpolate(pixels, size=size, mode="bicubic", antialias=True).clamp(0, 255)
    top, left = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    return (pixels[:, :, top : top + SIDE, left : left + SIDE] - _MEAN) / _SCALE


def _classify(module: torch.nn.Module, image: np.ndarray) -> list[tuple[str, float]]:
    import torch

    with torch.inference_mode():
        chance = module(prepare(np.asarray(image)[None]))[0].softmax(-1)
    top = chance.topk(TOP)
    return [(class_names()[i], p) for i, p in zip(top.indices.tolist(), top.values.tolist(), strict=True)]


def class_names() -> list[str]:
    """Names of ImageNet's classes, in the order of a classifier's outputs."""
    file = resources.files("workbench.io") / "data" / "imagenet_classes.txt"
    return file.read_text(encoding="utf-8").splitlines()
