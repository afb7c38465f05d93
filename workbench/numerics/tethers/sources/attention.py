"""Attention use: how much each head adds to the stream, as a tether of all the edges that belong to the head.

References
----------
Kobayashi, Kuribayashi, Yokoi and Inui 2020, Attention is not only a weight, EMNLP, eq. 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.errors import ViewError
from workbench.numerics.tethers.place import Place
from workbench.numerics.tethers.samples import call
from workbench.numerics.tethers.source import Contributions, Sampled

if TYPE_CHECKING:
    import torch

_NAMES = (
    ("q_proj", "k_proj", "v_proj", "o_proj"),
    ("q_proj", "k_proj", "v_proj", "out_proj"),
    ("self.query", "self.key", "self.value", "output.dense"),
)
"""What projections of queries, keys, values and of the heads' joint answer are called in transformers' modules."""


@dataclass(frozen=True)
class Heads:
    """One attention block.

    Attributes
    ----------
    path : of the module. count : heads. names : of the projections beneath it; None for nn.MultiheadAttention.
    """

    path: str
    count: int
    names: tuple[str, ...] | None


def heads_of(network: torch.nn.Module) -> list[Heads]:
    """The attention blocks of a network whose parts are known by type or name."""
    from torch import nn

    blocks = []
    for path, module in network.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            blocks.append(Heads(path, module.num_heads, None))
            continue
        held = {n for n, _ in module.named_modules()}
        names = next((names for names in _NAMES if held.issuperset(names)), None)
        if names is None or any(
            held.issuperset(f"{c}.{n}" for n in names) for c, _ in module.named_children()
        ):
            continue  # the innermost module that has them all is the block
        count = _count(module, names)
        if count:
            blocks.append(Heads(path, count, names))
    return blocks


def require_heads(place: Place) -> None:
    """Refuse a network (`ViewError`) without attention that is known here."""
    if place.network is not None and not heads_of(place.network):
        raise ViewError(
            f"{place.name} is a {type(place.network).__name__} without attention that is known here (nn.MultiheadAttention, or "
            f"projections named as in BERT or Llama), so that the tether source 'attention' has nothing to measure."
        )


def head_norms(place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor) -> Contributions:
    """Mean over positions of the norm of what each head adds to the stream, (m, ...) over the shapes of its weights.

    A head's rows of the projections to queries, keys and values, and its columns of the projection of the joint answer,
    all have the head's number; where heads share keys and values, those have the sum. Positions that an
    ``attention_mask`` leaves out don't count.
    """
    import torch

    blocks = heads_of(network)
    seen: dict[str, torch.Tensor] = {}
    handles = [_watch(network.get_submodule(b.path), b, seen) for b in blocks]
    try:
        with torch.no_grad():
            call(network, x)
    finally:
        for handle in handles:
            handle.remove()
    mask = x.get("attention_mask") if isinstance(x, Mapping) else None
    out: dict[str, torch.Tensor] = {}
    for block in blocks:
        if block.path not in seen:
            continue
        norms = seen[block.path]  # (m, positions, heads)
        if mask is not None and mask.shape == norms.shape[:2]:
            use = (norms * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        else:
            use = norms.mean(1)
        for name, spread in _spread(network.get_submodule(block.path), block, use).items():
            full = f"{block.path}.{name}" if block.path else name
            if full in place.weights:
                out[full] = spread
    return out


def _watch(module: Any, block: Heads, seen: dict[str, torch.Tensor]) -> Any:
    if block.names is not None:
        last = module.get_submodule(block.names[3])

        def joint(last: Any, args: Any) -> None:
            seen[block.path] = _norms(args[0], last.weight, block.count)

        return last.register_forward_pre_hook(joint)

    def whole(module: Any, args: Any, kwargs: Any, answer: Any) -> None:
        from torch.nn import functional as F

        names = ("query", "key", "value")
        given = dict(zip(names, args, strict=False)) | {k: v for k, v in kwargs.items() if k in names}
        masks = {k: kwargs[k] for k in ("key_padding_mask", "attn_mask") if k in kwargs}
        handle = handles.pop()  # the hook asks the module itself, once more and with each head's weights
        handle.remove()
        _, pattern = module(**given, **masks, need_weights=True, average_attn_weights=False)
        handles.append(module.register_forward_hook(whole, with_kwargs=True))
        w = module.in_proj_weight.chunk(3)[2] if module.in_proj_weight is not None else module.v_proj_weight
        b = module.in_proj_bias.chunk(3)[2] if module.in_proj_bias is not None else None
        v = F.linear(given["value"], w, b)
        v = v if module.batch_first else v.transpose(0, 1)
        v = v.unflatten(-1, (block.count, -1)).transpose(1, 2)  # (m, heads, positions, d)
        context = (pattern @ v).transpose(1, 2).flatten(2)
        seen[block.path] = _norms(context, module.out_proj.weight, block.count)

    handles = [module.register_forward_hook(whole, with_kwargs=True)]

    class _Handle:
        def remove(self) -> None:
            while handles:
                handles.pop().remove()

    return _Handle()


def _norms(context: torch.Tensor, weight: torch.Tensor, heads: int) -> torch.Tensor:
    """‖W_O of the head · its context‖ at every position: (m, positions, heads)."""
    import torch

    parts = context.unflatten(-1, (heads, -1))
    own = weight.unflatten(1, (heads, -1))  # (out, heads, d)
    return torch.einsum("mphd,ohd->mpho", parts, own).norm(dim=-1)


def _spread(module: Any, block: Heads, use: torch.Tensor) -> dict[str, torch.Tensor]:
    """Each weight's share in its heads' numbers, (m, *shape)."""

    def rows(w: torch.Tensor, use: torch.Tensor) -> torch.Tensor:
        return use.repeat_interleave(w.shape[0] // use.shape[1], 1).unsqueeze(-1).expand(-1, *w.shape)

    def columns(w: torch.Tensor) -> torch.Tensor:
        return use.repeat_interleave(w.shape[1] // use.shape[1], 1).unsqueeze(1).expand(-1, *w.shape)

    if block.names is None:
        out = {"out_proj.weight": columns(module.out_proj.weight)}
        if module.in_proj_weight is not None:
            return out | {"in_proj_weight": rows(module.in_proj_weight, use.repeat(1, 3))}
        return out | {f"{n}_proj_weight": rows(getattr(module, f"{n}_proj_weight"), use) for n in "qkv"}
    weights = [module.get_submodule(n).weight for n in block.names]
    shared = use.unflatten(1, (-1, max(1, weights[0].shape[0] // weights[1].shape[0]))).sum(2)
    shares = [rows(weights[0], use), rows(weights[1], shared), rows(weights[2], shared), columns(weights[3])]
    return {f"{n}.weight": s for n, s in zip(block.names, shares, strict=True)}


def _count(module: torch.nn.Module, names: tuple[str, ...]) -> int:
    for owner in (module, *module.children()):
        config = getattr(owner, "config", None)
        for holder in (owner, config):
            for key in ("num_attention_heads", "num_heads", "n_heads"):
                if type(getattr(holder, key, None)) is int:
                    return int(getattr(holder, key))
    return 0


SOURCE = Sampled(
    "norm of what a head adds to the stream, the same for all edges of the head",
    position=90,
    contribute=head_norms,
    require=require_heads,
)
