"""Networks of the workbench's own kinds from the folders that they were saved to."""

from __future__ import annotations

from pathlib import Path

from workbench.io.files import Weights
from workbench.io.geometry_reading import reading_texts
from workbench.numerics.geometry.config import GeometryConfig
from workbench.subjects.network import Network
from workbench.subjects.own_models import built, network_of


def from_own_directory(path: Path, weights: Weights, digest: str) -> Network:
    """Build what a folder's configuration names, in float32 and evaluation mode.

    Raises
    ------
    FormatError
        The configuration isn't legal, or the weights aren't those of the network that it describes.
    """
    import torch

    module = built(weights.config, {n: t.shape for n, t in weights.tensors.items()}, str(path))
    module.load_state_dict({n: torch.tensor(weights.read(n)) for n in weights.tensors})
    network = network_of(module, path.resolve().name, digest)
    return reading_texts(network) if weights.config["model_type"] == GeometryConfig.model_type else network
