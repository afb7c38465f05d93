"""Whitening of layer inputs: a matrix laid over the weight, its inverse within it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from workbench.numerics.objectives import Probe
from workbench.numerics.renormalizing import Renormalized, Settings
from workbench.numerics.renormalizing.layers import Layer, copied, layers_of

FLOOR = 1e-2  # of the mean eigenvalue of the moments; directions that hold less are not blown up further
WIDEST = 4096  # numbers that one output reads, beyond which the matrix laid over is too large


def whitening(network: nn.Module, data: Probe, settings: Settings, random_state: int) -> Renormalized:
    """Give each layer whitened inputs: W = V·M, where M = C^(-strength / 2) and C are the inputs' second moments.

    M is fixed and V = W·M⁻¹ is trained, which makes gradient descent in V descent in W preconditioned by M². M is scaled
    so that the power of the inputs stays; eigenvalues of C are taken as `FLOOR` of their mean or more. Folding V·M gives
    a weight of the old shape.

    References
    ----------
    Desjardins, Simonyan, Pascanu and Kavukcuoglu 2015, Natural neural networks, NeurIPS, section 3.
    """
    made = copied(network)
    layers, refused = layers_of(made, data, settings.layers)
    acted = []
    for layer in layers:
        width = layer.module.weight[0].numel()
        if width > WIDEST:
            refused[layer.name] = (
                f"reads {width:,} numbers, and a matrix of {width:,} × {width:,} would be laid over it"
            )
        elif isinstance(layer.module, nn.Conv3d):
            refused[layer.name] = "is a convolution in three dimensions, whose patches aren't gathered here"
        else:
            root = _inverse_root(_moments(layer), settings.strength)
            parametrize.register_parametrization(layer.module, "weight", Whitened(root))
            acted.append(layer.name)
    return Renormalized(made, tuple(acted), refused)


class Whitened(nn.Module):
    """V to V·M."""

    def __init__(self, root: torch.Tensor):
        super().__init__()
        self.register_buffer("root", root.float())

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        root = self.get_buffer("root").to(v.dtype)
        return (v.reshape(len(v), -1) @ root).reshape(v.shape)

    def right_inverse(self, w: torch.Tensor) -> torch.Tensor:
        # against the rounded M, so that the product is W again
        inverse = torch.linalg.inv(self.get_buffer("root").to(w.dtype).double())
        return (w.double().reshape(len(w), -1) @ inverse).reshape(w.shape).to(w.dtype)


def _moments(layer: Layer) -> torch.Tensor:
    """Second moments of what one output reads, not centred: (inputs, inputs) float64."""
    m, x = layer.module, layer.inputs
    if not isinstance(m, nn.Linear):
        flat = isinstance(m, nn.Conv1d)
        x = x.unsqueeze(-2) if flat else x
        sides = [(1, *v) if flat else v for v in (m.kernel_size, m.dilation)]
        padding = (0, 0) if isinstance(m.padding, str) else (0, *m.padding) if flat else m.padding
        stride = (1, *m.stride) if flat else m.stride
        x = F.unfold(x, sides[0], dilation=sides[1], padding=padding, stride=stride).transpose(1, 2)
    x = x.reshape(-1, x.shape[-1]).double()
    return x.T @ x / len(x)


def _inverse_root(moments: torch.Tensor, strength: float) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(moments)
    mean = values.mean()
    if mean <= 0:  # inputs that are always zero
        return torch.eye(len(moments), dtype=moments.dtype, device=moments.device)
    scaled = values.clamp(min=FLOOR * mean) / mean
    power = scaled.pow(-strength / 2)
    power = power * (values.clamp(min=0).sum() / (power.square() * values.clamp(min=0)).sum()).sqrt()
    return (vectors * power) @ vectors.T
