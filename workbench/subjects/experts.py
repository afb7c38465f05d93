"""Experts that a network keeps stacked in one tensor, each as a matrix of its own."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.core.lazy import LazyTensor
from workbench.subjects.checkpoint import Checkpoint

if TYPE_CHECKING:
    from workbench.subjects.checkpoint import TensorInfo

_STACKED = re.compile(r"experts\.|_exps\b", re.IGNORECASE)
MOST = 1024  # experts of a layer; a first dimension that says more is no number of experts


def experts_apart(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint with a matrix for each expert that is stacked in a tensor (experts, n, m); itself where none is.

    The third of ``model.layers.0.mlp.experts.up_proj`` is ``model.layers.0.mlp.experts.up_proj.2``, as experts are named
    that lie in tensors of their own.
    """
    stacked = {n: t for n, t in checkpoint.tensors.items() if _holds_experts(n, t)}
    of: dict[str, tuple[str, int]] = {
        f"{n}.{e}": (n, e) for n, t in stacked.items() for e in range(t.shape[0])
    }
    if not stacked or not checkpoint.tensors.keys().isdisjoint(of):
        return checkpoint
    tensors: dict[str, TensorInfo] = {}
    for name, info in checkpoint.tensors.items():
        if name not in stacked:
            tensors[name] = info
            continue
        many = info.shape[0]
        for e in range(many):
            of_one = replace(
                info, name=f"{name}.{e}", shape=info.shape[1:], nbytes=math.ceil(info.nbytes / many)
            )
            tensors[of_one.name] = of_one

    def lazy(name: str) -> LazyTensor:
        return checkpoint.lazy(of[name][0]).part(of[name][1]) if name in of else checkpoint.lazy(name)

    def stored(name: str) -> LazyTensor | None:
        if name not in of:
            return checkpoint.stored(name)
        whole = checkpoint.stored(of[name][0])
        return None if whole is None else whole.part(of[name][1])

    return Checkpoint(
        tensors,
        lazy,
        name=checkpoint.name,
        content=lambda: checkpoint.digest,
        config=checkpoint.config,
        source=checkpoint.source,
        stored=stored,
    )


def _holds_experts(name: str, info: TensorInfo) -> bool:
    return (
        len(info.shape) == 3
        and info.floating
        and not info.packed
        and info.shape[0] <= MOST
        and 0 not in info.shape
        and _STACKED.search(name) is not None
    )
