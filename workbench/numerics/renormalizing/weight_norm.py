"""Weight normalization: a length and a direction for each row."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from workbench.numerics.objectives import Probe
from workbench.numerics.renormalizing import Renormalized, Settings
from workbench.numerics.renormalizing.layers import copied, layers_of, rows_of


def weight_norm(network: nn.Module, data: Probe, settings: Settings, random_state: int) -> Renormalized:
    """Make each row of a weight g · v / ‖v‖, as `torch.nn.utils.parametrizations.weight_norm` does.

    Torch's own has no batching rule, so that networks couldn't be trained at once; this is the same in plain operations.

    References
    ----------
    Salimans and Kingma 2016, Weight normalization, NeurIPS, eq. 2.
    """
    made = copied(network)
    layers, refused = layers_of(made, data, settings.layers)
    acted = []
    for layer in layers:
        dead = int((rows_of(layer.module.weight).norm(dim=1) == 0).sum())
        if dead:
            refused[layer.name] = f"has {dead} rows of zeros, which have no direction"
            continue
        parametrize.register_parametrization(layer.module, "weight", Normed())
        acted.append(layer.name)
    return Renormalized(made, tuple(acted), refused)


class Normed(nn.Module):
    """Length g, (outputs, 1, ...), and direction v to g · v / ‖v‖."""

    def forward(self, g: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return v * (g / _lengths(v))

    def right_inverse(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return _lengths(w), w


def _lengths(w: torch.Tensor) -> torch.Tensor:
    return w.reshape(len(w), -1).norm(dim=1).reshape(-1, *[1] * (w.ndim - 1))
