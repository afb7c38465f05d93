"""Networks that can't be read step by step, brought to one order of units in the feed-forward layers that are known."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.numerics.identity import Undigestable, network_digest

if TYPE_CHECKING:
    from torch import nn

KNOWN = {
    "transformers.models.bert.modeling_bert.BertLayer": (
        ("intermediate.dense",),
        "intermediate.intermediate_act_fn",
        "output.dense",
    ),
    "transformers.models.llama.modeling_llama.LlamaMLP": (("gate_proj", "up_proj"), "act_fn", "down_proj"),
}
"""Classes whose hidden units act by themselves: the linear layers that give them, their activation, the one that takes them."""
ONE_BY_ONE = (
    "ReLU",
    "GELU",
    "SiLU",
    "Tanh",
    "Sigmoid",
    "GELUActivation",
    "NewGELUActivation",
    "FastGELUActivation",
    "GELUTanh",
    "SiLUActivation",
)


def same_network(a: nn.Module, b: nn.Module) -> int | None:
    """How many units lie in another order, where two networks are the same code and weights but for that; else None."""
    made, moved = in_order_of(a, b)
    try:
        return moved if network_digest(copy.deepcopy(a)) == network_digest(made) else None
    except Undigestable:
        return None


def feed_forward(module: nn.Module) -> list[tuple[tuple[str, ...], str]]:
    """Names of the linear layers that give the units of each known layer, and of the one that takes them."""
    from torch import nn

    uses = Counter(id(p) for _, p in module.named_parameters(remove_duplicate=False))
    found = []
    for name, m in module.named_modules():
        known = KNOWN.get(f"{type(m).__module__}.{type(m).__qualname__}")
        if known is None:
            continue
        (*given, act, taken) = (f"{name}.{part}".lstrip(".") for part in (*known[0], known[1], known[2]))
        linear = [module.get_submodule(n) for n in (*given, taken)]
        plain = all(
            type(x).__module__.startswith(("torch.nn.", "transformers.")) for x in m.modules()
        ) and all(
            type(x) is nn.Linear
            and not (x._forward_hooks or x._forward_pre_hooks or "forward" in vars(x))
            and all(uses[id(p)] == 1 for p in x.parameters())
            for x in linear
        )
        if plain and type(module.get_submodule(act)).__name__ in ONE_BY_ONE:
            found.append((tuple(given), taken))
    return found


def in_order_of(a: nn.Module, b: nn.Module) -> tuple[nn.Module, int]:
    """Return the second network with the units of its known layers in the first one's order, and how many were moved.

    Units are the same where all their incoming weights and biases are, bit for bit; those that the first network hasn't
    stay where they are. Their order doesn't change what either computes in real arithmetic.
    """
    import torch

    made = copy.deepcopy(b)
    moved = 0
    for given, taken in feed_forward(b):
        try:
            layers: list[list[Any]] = [[m.get_submodule(g) for g in (*given, taken)] for m in (a, made)]
        except AttributeError:  # the first one has no such layer: it is another network
            continue
        keys = [[_bytes(side[:-1], u) for u in range(side[0].weight.shape[0])] for side in layers]
        if sorted(keys[0]) != sorted(keys[1]):
            continue
        order = np.empty(len(keys[0]), np.int64)  # equal units in their own order: any order of them does
        order[np.argsort(np.array(keys[0], dtype=object), kind="stable")] = np.argsort(
            np.array(keys[1], dtype=object), kind="stable"
        )
        moved += int((order != np.arange(len(order))).sum())
        with torch.no_grad():
            for layer in layers[1][:-1]:
                layer.weight.copy_(layer.weight[order])
                if layer.bias is not None:
                    layer.bias.copy_(layer.bias[order])
            layers[1][-1].weight.copy_(layers[1][-1].weight[:, order])
    return made, moved


def _bytes(layers: list[Any], unit: int) -> bytes:
    parts = []
    for layer in layers:
        parts.append(layer.weight[unit].detach().cpu().float().numpy().tobytes())
        if layer.bias is not None:
            parts.append(layer.bias[unit].detach().cpu().float().numpy().tobytes())
    return b"".join(parts)
