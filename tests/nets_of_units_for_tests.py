"""Small networks, twins of them that compute the same by construction, and twins that are broken by one rounding."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import nn


def net(*widths: int, act: type[nn.Module] = nn.ReLU, seed: int = 0) -> nn.Sequential:
    """Linear layers of these widths with an activation between them."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for n, m in itertools.pairwise(widths):
            layers += [nn.Linear(n, m), act()]
    return nn.Sequential(*layers[:-1]).eval()


@torch.no_grad()
def twin(module: nn.Sequential, *, rescaled: bool = True, seed: int = 1) -> nn.Sequential:
    """The same function: hidden units in another order and, of rectifiers, scaled by powers of two, which rounds nothing."""
    made = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    linear = [m for m in made if isinstance(m, nn.Linear)]
    for one, after in itertools.pairwise(linear):
        order = torch.randperm(one.out_features, generator=generator)
        scale = 2.0 ** torch.randint(-3, 4, (one.out_features,), generator=generator)
        scale = scale if rescaled else torch.ones_like(scale)
        one.weight.copy_((one.weight * scale[:, None])[order])
        one.bias.copy_((one.bias * scale)[order])
        after.weight.copy_((after.weight / scale)[:, order])
    return made


@torch.no_grad()
def broken(module: nn.Sequential, layer: int = 0, at: tuple[int, int] = (0, 0)) -> nn.Sequential:
    """A copy with one weight moved to the next float32."""
    made = copy.deepcopy(module)
    weight: Any = made[layer].weight
    weight[at] = torch.nextafter(weight[at], torch.tensor(9e9))
    return made


@torch.no_grad()
def of(*arrays: Any, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """A network of given weights and biases, one after another."""
    layers: list[nn.Module] = []
    for weight, bias in zip(arrays[::2], arrays[1::2], strict=True):
        w = torch.tensor(weight, dtype=torch.float32)
        layers += [nn.Linear(w.shape[1], w.shape[0]), act()]
        layers[-2].weight.copy_(w)  # type: ignore[operator]
        layers[-2].bias.copy_(torch.tensor(bias, dtype=torch.float32))  # type: ignore[operator]
    return nn.Sequential(*layers[:-1]).eval()
