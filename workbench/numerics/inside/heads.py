"""The patterns of a network's attention heads: what each token looks at, by how much, and what it goes by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.errors import ViewError
from workbench.numerics.hooks import attention_map, eager_attention
from workbench.numerics.inside.stream import Inputs, run

if TYPE_CHECKING:
    import torch
    from jaxtyping import Bool, Float, Int

POSITIONAL = ("previous token", "first token", "itself")
"""What a head may look at by position alone, as `HeadSums.looks` has it."""


def attention_maps(
    module: torch.nn.Module, inputs: Inputs
) -> tuple[dict[str, Float[torch.Tensor, "b h t t"]], torch.Tensor]:
    """The weights of every attention module in one pass, by its name, and the network's answer.

    transformers' modules compute them where they are told to (eager attention), and `torch.nn.MultiheadAttention` where it
    is asked; any other module gives them as the second part of its output.

    Raises
    ------
    ViewError
        No module gives any, between the tokens of a text.
    """
    from torch import nn

    maps: dict[str, torch.Tensor] = {}
    handles: list[Any] = []

    def asked(part: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        return args, {**kwargs, "need_weights": True, "average_attn_weights": False}

    def keep(name: str) -> Any:
        def hook(part: Any, args: Any, output: Any) -> None:
            weights = attention_map(output)
            # a module that only hands on what one inside it gave is left out
            if weights is not None and not any(weights is m for m in maps.values()):
                maps[name] = weights

        return hook

    try:
        for name, part in module.named_modules():
            if isinstance(part, nn.MultiheadAttention):
                handles.append(part.register_forward_pre_hook(asked, with_kwargs=True))
            handles.append(part.register_forward_hook(keep(name)))
        with eager_attention(module):
            answer = run(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    inside = {n: m.detach() for n, m in maps.items() if m.shape[-1] == m.shape[-2]}
    if not inside:
        raise ViewError(
            f"{type(module).__name__} gives no attention between the tokens of a text: a module gives it as the second part of "
            "its output, (batch, heads, queries, keys). A network without attention has no such patterns."
        )
    return inside, answer


def layer_names(modules: Iterable[str]) -> list[str]:
    """Modules of several layers by what differs between their names: ``layer 3`` where that is a number."""
    parts = [name.split(".") for name in modules]
    shortest = min(map(len, parts))
    start = next((i for i in range(shortest) if len({p[i] for p in parts}) > 1), 0)
    end = next((i for i in range(1, shortest + 1) if len({p[-i] for p in parts}) > 1), 1)
    short = [".".join(p[start : len(p) - end + 1] or p) for p in parts]
    if len(parts) == 1:
        numbers = [n for n in parts[0] if n.isdigit()]
        short = [numbers[0] if numbers else parts[0][-1]]
    return [f"layer {s}" if re.fullmatch(r"\d+", s) else s for s in short]


def head_names(maps: dict[str, torch.Tensor]) -> tuple[str, ...]:
    """One name a head, over all layers: ``layer 3, head 0``."""
    names = layer_names(maps)
    return tuple(
        f"{n}, head {h}" for n, m in zip(names, maps.values(), strict=True) for h in range(m.shape[1])
    )


@dataclass(frozen=True)
class Matches:
    """Between which tokens of a text there is a relation that a head may look for, (n, t, t) from query to key.

    Attributes
    ----------
    same : the key is the same token at another place (before, where the network doesn't look ahead).
    after_same : the key stands behind the same token, so that it is what came next when the token was there.
    """

    same: Bool[np.ndarray, "n t t"]
    after_same: Bool[np.ndarray, "n t t"]

    @classmethod
    def of(cls, numbers: Int[np.ndarray, "n t"], *, causal: bool) -> Matches:
        """Those of texts of one length."""
        t = numbers.shape[1]
        query, key = np.arange(t)[:, None], np.arange(t)[None]
        equal = numbers[:, :, None] == numbers[:, None, :]
        before = np.zeros_like(equal)
        before[:, :, 1:] = equal[:, :, :-1]  # the key's predecessor is the query's token
        seen = key <= query if causal else np.ones((t, t), bool)
        # the query's own successor follows the query itself, which is no earlier time
        return cls(equal & seen & (key != query), before & seen & (key != query + 1))


@dataclass
class HeadSums:
    """What is known of every head over n texts of one length t.

    Attributes
    ----------
    names : (h,) of the heads. causal : whether no token sees those after it.
    mean : (h, t, t) the pattern averaged over the texts: what position alone says of it.
    squares : (h,) the summed squares of a text's pattern, averaged over the texts.
    same, after_same : (n, h, n) of text i's pattern, what lies where text j has such a match.
    """

    names: tuple[str, ...]
    causal: bool
    mean: Float[np.ndarray, "h t t"]
    squares: Float[np.ndarray, " h"]
    same: Float[np.ndarray, "n h n"]
    after_same: Float[np.ndarray, "n h n"]

    @property
    def looks(self) -> Float[np.ndarray, "h 3"]:
        """Mean weight on the previous token, the first and the token itself, over all tokens but the first."""
        t = self.mean.shape[1]
        later = np.arange(1, t)
        parts = (self.mean[:, later, later - 1], self.mean[:, later, 0], self.mean[:, later, later])
        return np.stack([p.mean(axis=1) for p in parts], axis=1)

    @property
    def by_position(self) -> Float[np.ndarray, " h"]:
        """The share of a head's departure from looking at all alike that the mean pattern of other texts foretells.

        1 where every text has the same pattern, 0 where that mean is of no more use than looking at all alike.
        """
        n, t = len(self.same), self.mean.shape[1]
        even = (
            np.tril(np.ones((t, t))) / np.arange(1, t + 1)[:, None] if self.causal else np.full((t, t), 1 / t)
        )
        own = np.square(self.mean).sum(axis=(1, 2))
        within = (self.squares - own) * n / max(n - 1, 1)  # around the mean of the texts, unbiased
        total = self.squares - 2 * (self.mean * even).sum(axis=(1, 2)) + np.square(even).sum()
        share = 1 - np.divide(within, total, out=np.zeros_like(within), where=total > 1e-9)
        return np.clip(share, -1.0, 1.0)


def head_sums(
    module: torch.nn.Module, batches: Iterable[Inputs], numbers: Int[np.ndarray, "n t"]
) -> HeadSums:
    """Read n texts of one length and sum up what their heads look at.

    Parameters
    ----------
    batches : what the module is called with, a few texts at a time. numbers : of the tokens of all of them.
    """
    import torch

    names: tuple[str, ...] = ()
    causal = True
    masks: list[torch.Tensor] = []
    mean: Any = 0.0
    squares: Any = 0.0
    sums: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    n = len(numbers)
    for inputs in batches:
        maps, _ = attention_maps(module, inputs)
        a = torch.cat([m.float() for m in maps.values()], dim=1)  # (b, h, t, t)
        b, h, t, _ = a.shape
        if not masks:
            names, causal = head_names(maps), not bool(a.triu(1).any())
            matches = Matches.of(numbers, causal=causal)
            flat = [m.reshape(n, t * t) for m in (matches.same, matches.after_same)]
            masks = [torch.as_tensor(m, device=a.device, dtype=torch.float32) for m in flat]
        mean = mean + a.sum(0).double().cpu().numpy() / n
        squares = squares + a.square().sum(dim=(0, 2, 3)).double().cpu().numpy() / n
        for pairs, mask in zip(sums, masks, strict=True):
            pairs.append((a.reshape(b * h, t * t) @ mask.T).reshape(b, h, n).double().cpu().numpy())
    same, after_same = (np.concatenate(pairs) for pairs in sums)
    return HeadSums(names, causal, mean, squares, same, after_same)
