"""Same degrees: edges join nodes at random, each node having as many as it has (the configuration model)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from workbench.evidence.nulls.named import Null
from workbench.numerics.rewiring import rewired, transitivity

if TYPE_CHECKING:
    from jaxtyping import Int

NULL = Null(
    "same_degrees",
    "edges join nodes at random, each node having as many as it has",
    "edges rewired, degrees kept",
)
CLUSTERED = 0.1  # of transitivity beyond what random wiring gives, from which on nobody takes it for that
TRIED = 39


def rewire(
    edges: Int[np.ndarray, "m 2"], n: int, *, directed: bool
) -> Callable[[np.random.Generator], Int[np.ndarray, "m 2"]]:
    """Return what draws graphs of the same degrees; edges stay in their place, and so their weights with them."""
    return lambda rng: rewired(edges, n, rng, directed=directed)


def wired_by_place(edges: Int[np.ndarray, "m 2"], n: int, *, directed: bool, random_state: int) -> str:
    """Why random wiring is no control for a graph; "" where it may be one.

    Neighbours of one node are neighbours themselves far more often than at random where nodes have a place (graphs of
    nearest neighbours) or are of groups. Anything about the wiring of such a graph is beyond random wiring, and says no more
    than that.
    """
    value = transitivity(edges, n)
    if value <= CLUSTERED:
        return ""
    draw = rewire(edges, n, directed=directed)
    seeds = np.random.SeedSequence([random_state, 0x706C6163]).spawn(TRIED)
    drawn = np.array([transitivity(draw(np.random.default_rng(s)), n) for s in seeds])
    if value <= drawn.max() or value - drawn.mean() <= CLUSTERED:
        return ""
    return (
        f"two neighbours of a node are neighbours in {value:.0%} of cases, and in {drawn.mean():.0%} with edges rewired: it is "
        "wired by place or by groups, as a graph of nearest neighbours is, and random wiring is no control for it"
    )
