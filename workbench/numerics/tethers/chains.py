"""Sums over samples of a chain of linear layers' gradients, or of their squares, without a gradient of each sample.

A sample's gradient in such a layer is the product of what came in and of how the loss feels what went out. So sums over
samples are products of two matrices, for one pass forth and back of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from workbench.numerics.objectives import loss_function
from workbench.numerics.tethers.place import Place

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from workbench.numerics.tethers.source import Contributions

ALONE = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.Softplus,
    nn.Identity,
    nn.Flatten,
    nn.Dropout,
)
"""What treats every sample by itself, as a network that isn't being trained does."""


def gradient_sums(
    place: Place, network: nn.Module, x: Any, y: Tensor, share: Float[Tensor, "b n"], *, squared: bool
) -> Contributions | None:
    """Weighted sums over samples of their gradients, or of the gradients' squares: layer to (b, ...) float64.

    Parameters
    ----------
    share : how much each sample counts, one line a sum.

    Returns
    -------
    dict, or None where the network is no chain of linear layers, each of which reads one row a sample.
    """
    leaves = list(_leaves(network, ""))
    layers = [f"{name}.weight".lstrip(".") for name, leaf in leaves if type(leaf) is nn.Linear]
    parts = [*(p for _, p in network.named_parameters(remove_duplicate=False)), *(leaf for _, leaf in leaves)]
    once = len(set(map(id, parts))) == len(parts)  # what is used twice adds up before it is squared
    if not (once and isinstance(x, torch.Tensor) and all(_known(leaf) for _, leaf in leaves)):
        return None
    if set(layers) != set(place.weights):
        return None
    inputs, outputs = [], []
    with torch.enable_grad():
        value = x
        for _, leaf in leaves:
            if type(leaf) is not nn.Linear:
                value = leaf(value)
                continue
            if value.ndim != 2 or len(value) != len(y):
                return None
            inputs.append(value.detach())
            value = leaf(value)
            outputs.append(value if value.requires_grad else value.requires_grad_())
        compare = loss_function(place.loss)
        losses = torch.func.vmap(lambda z, t: compare(z[None], t[None]))(value, y)
        felt = torch.autograd.grad(losses.sum(), outputs)
    sums: Contributions = {}
    for name, came_in, went_out in zip(layers, inputs, felt, strict=True):
        came_in, went_out = ((a.square() if squared else a).double() for a in (came_in, went_out))
        sums[name] = torch.stack([(line[:, None] * went_out).T @ came_in for line in share])
    return sums


def _leaves(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules that one value goes through, by name."""
    if type(module) is not nn.Sequential:
        yield name, module
        return
    for key, child in module.named_children():
        yield from _leaves(child, f"{name}.{key}".lstrip("."))


def _known(leaf: nn.Module) -> bool:
    if type(leaf) is nn.Linear:
        return True
    if type(leaf) is nn.Dropout and leaf.training:
        return False
    return type(leaf) in ALONE and not getattr(leaf, "inplace", False) and getattr(leaf, "start_dim", 1) == 1
