"""Gradient times weight: by how much the loss would change to first order, were the edge removed.

References
----------
Lee, Ajanthan and Torr 2019, SNIP: single-shot network pruning based on connection sensitivity, ICLR, eq. 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.numerics.tethers.place import Place, Tensors
from workbench.numerics.tethers.samples import gradients
from workbench.numerics.tethers.source import Contributions, Sampled

if TYPE_CHECKING:
    import torch


def times_weight(weights: Tensors, mean: Tensors) -> Tensors:
    """|g · w| of the mean gradient."""
    return {n: np.abs(m * weights[n]) for n, m in mean.items()}


def sums_of_gradients(
    place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor, share: torch.Tensor
) -> Contributions | None:
    """What `gradients` add up to, in a chain of linear layers."""
    from workbench.numerics.tethers.chains import gradient_sums

    return gradient_sums(place, network, x, y, share, squared=False)


SOURCE = Sampled(
    "|mean gradient × weight|: first-order loss of a removal",
    position=40,
    contribute=gradients,
    of_mean=times_weight,
    sums=sums_of_gradients,
)
