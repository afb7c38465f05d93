"""Names of experts that a network keeps stacked in one tensor, each as a matrix of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

_STACKED = re.compile(r"experts\.|_exps\b", re.IGNORECASE)
MOST = 1024  # experts of a layer; a first dimension that says more is no number of experts


def experts_of(tensors: Mapping[str, Any]) -> dict[str, tuple[str, int]]:
    """Name each expert that is stacked in a tensor (experts, n, m), and say in which and where.

    The third of ``model.layers.0.mlp.experts.up_proj`` is ``model.layers.0.mlp.experts.up_proj.2``, as experts are named
    that lie in tensors of their own. None is named where a tensor has such a name already.

    Parameters
    ----------
    tensors : what a checkpoint says of each (`TensorInfo`).
    """
    stacked = {n: t.shape[0] for n, t in tensors.items() if _holds_experts(n, t)}
    of = {f"{n}.{e}": (n, e) for n, many in stacked.items() for e in range(many)}
    return of if tensors.keys().isdisjoint(of) else {}


def infos_apart(tensors: Mapping[str, Any], of: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """What is said of each tensor, and in place of those that hold experts of each of these."""
    stacked = {n for n, _ in of.values()}
    made: dict[str, Any] = {}
    for name, info in tensors.items():
        if name not in stacked:
            made[name] = info
            continue
        many, shape = info.shape[0], info.shape[1:]
        for one in (f"{name}.{e}" for e in range(many)):
            made[one] = replace(info, name=one, shape=shape, nbytes=math.ceil(info.nbytes / many))
    return made


def _holds_experts(name: str, info: Any) -> bool:
    return (
        len(info.shape) == 3
        and info.floating
        and not info.packed
        and info.shape[0] <= MOST
        and 0 not in info.shape
        and _STACKED.search(name) is not None
    )
