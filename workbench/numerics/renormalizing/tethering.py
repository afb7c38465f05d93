"""Tether-guided renormalization: the tethered edges stay, all others are flattened."""

from __future__ import annotations

import torch
from torch import nn

from workbench.core.errors import ParameterError, suggest
from workbench.core.patterns import matching
from workbench.numerics import tethers
from workbench.numerics.device import borrowed
from workbench.numerics.objectives import Probe
from workbench.numerics.renormalizing import Renormalized, Settings
from workbench.numerics.renormalizing.layers import copied, tied


def tethering(network: nn.Module, data: Probe, settings: Settings, random_state: int) -> Renormalized:
    """Hold the edges with the largest tethers in each layer, and give the others one size, their root mean square.

    W' = (1 - strength) W + strength · θ(W, T), θ as in `tethers.hold` with ``flatten``. The function changes; the shape,
    the signs and (at strength 1) the norm stay.
    """
    made = copied(network)
    place = tethers.at_network(made, data, name=type(network).__name__)
    found = tethers.tether(place, settings.source, random_state=random_state)
    same = tied(made)
    wanted = set(matching([n.removesuffix(".weight") for n in found], settings.layers))
    if not wanted:
        raise ParameterError(
            f"layers={settings.layers!r} matches no layer with edges. {suggest(settings.layers, found)}"
        )
    refused = {
        n.removesuffix(
            ".weight"
        ): f"has the same weight tensor as {same[n]} (tied): what is done here would be done there"
        for n in found
        if n in same
    }
    chosen = {n: t for n, t in found.items() if n not in same and n.removesuffix(".weight") in wanted}
    kept = tethers.top(chosen, settings.tethered, random_state=random_state)
    held = tethers.hold({n: place.weights[n] for n in chosen}, kept, "flatten", random_state=random_state)
    own = dict(made.named_parameters())
    with torch.no_grad():
        for name, w in held.items():
            own[name].lerp_(borrowed(w).to(own[name]), settings.strength)
    return Renormalized(made, tuple(n.removesuffix(".weight") for n in chosen), refused)
