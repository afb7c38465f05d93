"""Batch normalization after each hidden layer, set to undo itself."""

from __future__ import annotations

import torch
from torch import nn

from workbench.numerics.objectives import Probe
from workbench.numerics.renormalizing import Renormalized, Settings
from workbench.numerics.renormalizing.layers import Layer, copied, layers_of, replace

NORMS = {
    nn.Linear: nn.BatchNorm1d,
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
}


def batch_norm(network: nn.Module, data: Probe, settings: Settings, random_state: int) -> Renormalized:
    """Let batch normalization follow each hidden layer, its running moments those of the data, scale and shift undoing them.

    In evaluation mode the function stays. In training mode each batch is normalized by its own moments, which is what
    batch normalization is, so that gradients and what is trained differ from the first step on.

    References
    ----------
    Ioffe and Szegedy 2015, Batch normalization, ICML, section 3.
    """
    made = copied(network)
    layers, refused = layers_of(made, data, settings.layers)
    acted = []
    for layer in layers:
        why = _unfit(layer, len(data))
        if why:
            refused[layer.name] = why
            continue
        replace(made, layer.name, nn.Sequential(layer.module, _undoing(layer)))
        acted.append(layer.name)
    return Renormalized(made, tuple(acted), refused)


def _unfit(layer: Layer, samples: int) -> str:
    if layer.last:
        return "gives the answer, which has no scale to be normalized to"
    if layer.calls > 1:
        return f"runs {layer.calls} times in a forward pass, and moments of one run aren't those of another"
    if samples < 2:
        return "is measured on one sample, which has no variance"
    if isinstance(layer.module, nn.Linear) and layer.outputs.ndim != 2:
        return (
            f"gives {tuple(layer.outputs.shape)}: batch normalization takes one axis of units after the samples, and a sequence's "
            f"places aren't units"
        )
    return ""


def _undoing(layer: Layer) -> nn.Module:
    y = layer.outputs
    norm = NORMS[type(layer.module)](y.shape[1], dtype=y.dtype, device=y.device)
    units = y.transpose(0, 1).reshape(y.shape[1], -1).double()
    mean, variance = units.mean(1), units.var(1)
    with torch.no_grad():
        norm.running_mean.copy_(mean)  # type: ignore[union-attr]
        norm.running_var.copy_(variance)  # type: ignore[union-attr]
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean)
    return norm.eval()
