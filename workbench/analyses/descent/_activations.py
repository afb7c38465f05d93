"""What layers give for a probe, one row a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.core.errors import ViewError
from workbench.numerics.objectives import Probe

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

SAME_AS_GIVEN = ("Dropout", "Identity", "Flatten", "Unflatten")  # in evaluation mode


def layer_names(network: torch.nn.Module, probe: Probe) -> list[str]:
    """Modules without parts that give numbers for each sample, in the order in which they are called.

    Raises
    ------
    ViewError
        There are none.
    """
    leaves = [
        n
        for n, m in network.named_modules()
        if not any(True for _ in m.children()) and not type(m).__name__.startswith(SAME_AS_GIVEN)
    ]
    found = list(_outputs(network, probe, leaves))
    if not found:
        raise ViewError(
            "No layer of the network gives one row of numbers a sample: there are no activations to look at. "
            "Write what it computes as modules (torch.nn.ReLU() in place of a function), or ask about gradients."
        )
    return found


def activations(network: torch.nn.Module, probe: Probe, layers: list[str]) -> list[Float[np.ndarray, "n d"]]:
    """What each layer gives, flattened to one row a sample; of a layer that is called twice, the last."""
    found = _outputs(network, probe, layers)
    return [found[n].reshape(len(probe), -1).double().cpu().numpy() for n in layers]


def _outputs(network: torch.nn.Module, probe: Probe, names: list[str]) -> dict[str, torch.Tensor]:
    import torch

    from workbench.numerics.per_sample import answers, outputs_of

    with torch.no_grad(), outputs_of(network, names) as found:
        answers(network, probe)
    return {n: t for n, t in found.items() if t.is_floating_point() and t.ndim > 1 and len(t) == len(probe)}
