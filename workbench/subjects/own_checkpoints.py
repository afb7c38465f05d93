"""A network of an own kind that was trained here, as a checkpoint that saves and opens as it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.core.digest import digest
from workbench.core.rows import owned
from workbench.subjects.checkpoint import Checkpoint, TensorInfo
from workbench.subjects.own_kinds import configuration_of
from workbench.subjects.own_models import network_of

if TYPE_CHECKING:
    import torch


def checkpoint_of(module: torch.nn.Module, name: str = "ghost") -> Checkpoint:
    """The weights as they are now; the module must not be trained on."""
    arrays = {n: owned(tensor.detach().cpu().numpy().copy()) for n, tensor in module.state_dict().items()}
    tensors = {n: TensorInfo(n, a.shape, "F32", a.nbytes) for n, a in arrays.items()}
    config = configuration_of(module)
    content = digest(name, config, *arrays.values())
    return Checkpoint(
        tensors,
        arrays.__getitem__,
        name=name,
        content=lambda: content,
        config=config,
        load=lambda: network_of(module, name, content),
    )
