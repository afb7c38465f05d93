"""Edges by rank: those with the largest tethers, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.numerics.tethers.place import Tensors

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Rest = Literal["zero", "flatten", "shuffle"]
Scope = Literal["layer", "network"]


def top(
    tethers: Mapping[str, np.ndarray], fraction: float, *, scope: Scope = "layer", random_state: int = 0
) -> dict[str, Bool[np.ndarray, ...]]:
    """The edges with the largest tethers, True where one is; ties are broken at random, by the seed.

    Parameters
    ----------
    fraction : of the edges, between 0 and 1; rounded to whole edges.
    scope : so many of each layer, or of all layers together (tethers of different layers are then compared as they are).
    """
    rng = np.random.default_rng([random_state, 0x746F70])
    if scope == "network":
        marked = _largest(flat(tethers), fraction, rng)
        return unflat(marked, tethers)
    return {n: _largest(t.ravel(), fraction, rng).reshape(t.shape) for n, t in tethers.items()}


def hold(
    weights: Mapping[str, np.ndarray],
    kept: Mapping[str, np.ndarray],
    rest: Rest = "zero",
    *,
    random_state: int = 0,
) -> Tensors:
    """θ(W, T): weights in which the tethered edges are as they were and the rest are not; shapes and dtypes stay.

    Parameters
    ----------
    kept : True for each tethered edge, from `top`; layers without an entry stay as they are.
    rest : what becomes of the others in each layer: ``zero``; ``flatten``, all the same size (their root mean square, so
        that their norm stays) with their own signs; ``shuffle``, permuted among themselves.
    """
    rng = np.random.default_rng([random_state, 0x686F6C64])
    out = {}
    for name, w in weights.items():
        out[name] = changed = np.array(w)
        if name not in kept:
            continue
        free = ~kept[name]
        others = w[free]
        if rest == "zero" or not others.size:
            changed[free] = 0
        elif rest == "flatten":
            changed[free] = np.sign(others) * np.sqrt(np.mean(np.square(others, dtype=np.float64)))
        else:
            changed[free] = rng.permutation(others)
    return out


def flat(tensors: Mapping[str, np.ndarray]) -> Float[np.ndarray, " d"]:
    """All layers' numbers in one vector, in the order of their names in the mapping."""
    return np.concatenate([t.ravel() for t in tensors.values()]) if tensors else np.empty(0)


def unflat(vector: np.ndarray, like: Mapping[str, np.ndarray]) -> Tensors:
    """The inverse of `flat`."""
    ends = np.cumsum([t.size for t in like.values()])[:-1]
    return {n: v.reshape(t.shape) for (n, t), v in zip(like.items(), np.split(vector, ends), strict=True)}


def _largest(values: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    k = round(fraction * values.size)
    if k == 0:
        return np.zeros(values.size, bool)
    least = np.partition(values, values.size - k)[values.size - k]  # a sort would take ten times as long
    marked = values > least
    ties = np.flatnonzero(values == least)
    marked[rng.permutation(ties)[: k - int(marked.sum())]] = True
    return marked
