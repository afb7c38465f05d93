"""Empirical Fisher information, diagonal: the mean over samples of the squared gradient at the probe's labels.

References
----------
Kunstner, Hennig and Balles 2019, Limitations of the empirical Fisher approximation, NeurIPS, eq. 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.numerics.tethers.place import Place
from workbench.numerics.tethers.samples import gradients
from workbench.numerics.tethers.source import Contributions, Sampled

if TYPE_CHECKING:
    import torch


def squared_gradients(place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor) -> Contributions:
    """Square of each sample's gradient, layer to (m, ...)."""
    return {n: g.square() for n, g in gradients(place, network, x, y).items()}


def sums_of_squares(
    place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor, share: torch.Tensor
) -> Contributions | None:
    """What `squared_gradients` add up to, in a chain of linear layers."""
    from workbench.numerics.tethers.chains import gradient_sums

    return gradient_sums(place, network, x, y, share, squared=True)


SOURCE = Sampled(
    "empirical Fisher information, diagonal: mean over samples of the squared gradient at the probe's labels",
    position=10,
    contribute=squared_gradients,
    sums=sums_of_squares,
)
