"""Shrink and perturb: a step back towards the beginning."""

from __future__ import annotations

import torch
from torch import nn

from workbench.numerics.objectives import Probe
from workbench.numerics.renormalizing import Renormalized, Settings
from workbench.numerics.renormalizing.layers import copied, each_trained


def shrink_perturb(network: nn.Module, data: Probe, settings: Settings, random_state: int) -> Renormalized:
    """Multiply every trained parameter by ``shrink`` and add normal noise of ``noise`` times its standard deviation.

    The paper's noise has the scale of the initialization, which isn't known of a network that is met in mid-descent; the
    tensor's own scale stands in for it. A parameter of one number gets noise of its own size. The function changes.

    References
    ----------
    Ash and Adams 2020, On warm-starting neural network training, NeurIPS, section 4.
    """
    made = copied(network)
    generator = torch.Generator().manual_seed(random_state)
    acted = []
    with torch.no_grad():
        for name, p in each_trained(made):
            scale = p.std() if p.numel() > 1 else p.abs().mean()
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float32).to(p)
            p.mul_(settings.shrink).add_(settings.noise * scale * noise)
            acted.append(name)
    return Renormalized(made, tuple(acted), {})
