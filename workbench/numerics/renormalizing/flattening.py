"""Spectral flattening: equal singular values in one factor, what they were in another."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from workbench.numerics.objectives import Probe
from workbench.numerics.renormalizing import Renormalized, Settings
from workbench.numerics.renormalizing.layers import copied, layers_of, rows_of


def flattening(network: nn.Module, data: Probe, settings: Settings, random_state: int) -> Renormalized:
    """Split each weight U S Vᵀ into M = U S^strength Uᵀ / c and U S^(1-strength) Vᵀ · c, both trained.

    At strength 1 it is the polar decomposition: a matrix whose singular values are all c, and a symmetric one (outputs by
    outputs) that compensates. c is the mean of S^strength, so that M is 1 in the mean; outside of U's span it is the
    identity. Folding gives a weight of the old shape.

    References
    ----------
    Higham 1986, Computing the polar decomposition with applications, SIAM J. Sci. Stat. Comput. 7. Training a product
    in place of a matrix: Arora, Cohen and Hazan 2018, On the optimization of deep networks: implicit acceleration by
    overparameterization, ICML.
    """
    made = copied(network)
    layers, refused = layers_of(made, data, settings.layers)
    acted = []
    for layer in layers:
        if not bool(layer.module.weight.detach().any()):
            refused[layer.name] = "has a weight of zeros, which has no spectrum to flatten"
            continue
        parametrize.register_parametrization(layer.module, "weight", Flattened(settings.strength))
        acted.append(layer.name)
    return Renormalized(made, tuple(acted), refused)


class Flattened(nn.Module):
    """M and V to M·V."""

    def __init__(self, strength: float):
        super().__init__()
        self.strength = strength

    def forward(self, m: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (m @ v.reshape(len(v), -1)).reshape(v.shape)

    def right_inverse(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        u, s, vt = torch.linalg.svd(rows_of(w), full_matrices=False)
        raised = s.pow(self.strength)
        c = raised.mean()
        rest = torch.eye(len(w), dtype=u.dtype, device=u.device) - u @ u.T
        m = (u * raised) @ u.T / c + rest
        flat = (u * s.pow(1 - self.strength)) @ vt * c
        return m.to(w.dtype), flat.reshape(w.shape).to(w.dtype)
