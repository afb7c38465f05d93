"""Function-preserving widening: more nodes connected."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import nn

from workbench.core.errors import DataError, ParameterError, suggest
from workbench.core.patterns import matching
from workbench.numerics.neuron_chain import Layer, chain_of
from workbench.numerics.objectives import Probe
from workbench.numerics.renormalizing import Renormalized, Settings
from workbench.numerics.renormalizing.layers import copied

SIZES = ("out_features", "out_channels", "num_features", "num_parameters")


def widening(network: nn.Module, data: Probe, settings: Settings, random_state: int) -> Renormalized:
    """Copy random hidden units, and share what a unit sends on among its copies.

    Net2WiderNet shares it evenly and adds noise to the weights so that copies part, which changes the function a little.
    Here copies get unequal shares, in proportion to 1 + noise · U(-1, 1): the function stays, and the copies' gradients
    differ.

    References
    ----------
    Chen, Goodfellow and Shlens 2016, Net2Net: accelerating learning via knowledge transfer, ICLR, section 2.3.
    """
    made = copied(network)
    rng = np.random.default_rng([random_state, 0x776964])
    chain = chain_of(made)
    hidden = [layer.name for layer in chain[:-1]]
    if not hidden:
        raise DataError(f"{type(network).__name__} has one weighted layer, and no hidden units to copy.")
    wanted = matching(hidden, settings.layers)
    if not wanted:
        raise ParameterError(
            f"layers={settings.layers!r} matches no hidden layer. {suggest(settings.layers, hidden)}"
        )
    acted, refused = [], {}
    for layer, after in itertools.pairwise(chain):
        if layer.name not in wanted:
            continue
        if any(_is_layer_norm(made, name) for name in layer.beside):
            refused[layer.name] = (
                "is followed by layer normalization, whose mean over units copies would move"
            )
            continue
        extra = max(1, round((settings.widening - 1) * layer.width))
        rows = np.concatenate([np.arange(layer.width), rng.integers(0, layer.width, extra)])
        raw = 1 + settings.noise * rng.uniform(-1, 1, len(rows))
        shares = raw / np.bincount(rows, raw)[rows]
        for name in layer.rowwise:
            _set(made, name, lambda t, rows=rows: t[torch.as_tensor(rows, device=t.device)])
        _set(
            made,
            after.weight,
            lambda t, rows=rows, shares=shares, layer=layer, spread=after.spread: _shared(
                t, rows, shares, layer, spread
            ),
        )
        acted.append(layer.name)
    return Renormalized(made, tuple(acted), refused)


def _shared(t: torch.Tensor, rows: np.ndarray, shares: np.ndarray, layer: Layer, spread: int) -> torch.Tensor:
    """The next layer's weight: each copy's columns, by its share."""
    columns = t.reshape(len(t), layer.width, spread, *t.shape[2:])
    at = torch.as_tensor(rows, device=t.device)
    share = torch.as_tensor(shares, dtype=torch.float64, device=t.device)
    taken = columns[:, at].double() * share.reshape(1, -1, *[1] * (columns.ndim - 2))
    return taken.reshape(len(t), -1, *t.shape[2:]).to(t.dtype)


def _set(network: nn.Module, name: str, change: Any) -> None:
    """Replace a tensor by a changed one, and the sizes that its module says."""
    owner, _, own = name.rpartition(".")
    module = network.get_submodule(owner)
    old = getattr(module, own)
    new = change(old.detach())
    if isinstance(old, nn.Parameter):
        setattr(module, own, nn.Parameter(new.contiguous(), requires_grad=old.requires_grad))
    elif old.ndim:  # a count of batches stays
        setattr(module, own, new)
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        module.out_channels, module.in_channels = module.weight.shape[:2]
    for size in SIZES[2:]:
        if hasattr(module, size):
            setattr(module, size, len(new))


def _is_layer_norm(network: nn.Module, tensor: str) -> bool:
    return isinstance(network.get_submodule(tensor.rpartition(".")[0]), nn.LayerNorm)
