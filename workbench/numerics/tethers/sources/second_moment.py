"""Second moment of batches: what Adam's ``exp_avg_sq`` would settle at, did the weights stay where they are.

References
----------
Kingma and Ba 2015, Adam: a method for stochastic optimization, ICLR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.numerics.tethers.place import Place, Tensors
from workbench.numerics.tethers.samples import gradients
from workbench.numerics.tethers.source import Contributions, Sampled

if TYPE_CHECKING:
    import torch

BATCH = 32


def with_squares(place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor) -> Contributions:
    """Each sample's gradient and its square in a last axis, layer to (m, ..., 2)."""
    import torch

    return {n: torch.stack([g, g.square()], -1) for n, g in gradients(place, network, x, y).items()}


def of_batches(weights: Tensors, mean: Tensors) -> Tensors:
    """mean² + variance / 32: the expected square of the mean over a batch."""
    first, second = ({n: m[..., i] for n, m in mean.items()} for i in (0, 1))
    return {n: first[n] ** 2 + (second[n] - first[n] ** 2) / BATCH for n in mean}


SOURCE = Sampled(
    "the second moment that batches of 32 of the probe would give: mean² + variance / 32",
    position=80,
    contribute=with_squares,
    of_mean=of_batches,
)
