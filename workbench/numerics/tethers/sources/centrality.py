"""Centrality: flow through the edge of PageRank on |W|, forwards and backwards.

References
----------
Page, Brin, Motwani and Winograd 1999, The PageRank citation ranking.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workbench.core.errors import ViewError
from workbench.numerics.tethers.place import Place, Tensors
from workbench.numerics.tethers.source import Unsampled

DAMPING = 0.85


def require_plain(place: Place) -> None:
    """Refuse layers (`ViewError`) whose weights don't each join one input to one output of all."""
    if place.network is None:
        return
    for name, module in place.network.named_modules():
        if getattr(module, "transposed", False) and f"{name}.weight" in place.weights:
            raise ViewError(
                f"{name} is a transposed convolution, whose weight lists inputs before outputs: the tether source 'centrality' "
                f"doesn't draw its graph. Ask for another source."
            )
        if getattr(module, "groups", 1) != 1 and f"{name}.weight" in place.weights:
            raise ViewError(
                f"{name} is a convolution in {module.groups} groups, whose units aren't joined all with all: the tether source "
                f"'centrality' doesn't draw its graph. Ask for another source."
            )


def centrality(place: Place, random_state: int) -> Tensors:
    """Flow through each edge: visits of the unit it leaves times the chance to take it; the seed doesn't count.

    Units of a layer stand before units of the next; layers whose sizes fit follow each other, and where they don't (a
    branch, a flattening) a new graph begins. A walker follows |W| with probability 0.85 and starts anew anywhere
    otherwise (PageRank). Of the undirected graph the flow would be |W| itself; so the walk goes forwards, then
    backwards, and the tether is the geometric mean of the two flows. Entries of a kernel share their channels' edge.
    """
    require_plain(place)
    out: Tensors = {}
    for chain in _chains(place.weights):
        sizes = [np.abs(place.weights[n].astype(np.float64)) for n in chain]
        matrices = [a.reshape(*a.shape[:2], -1).sum(2) for a in sizes]
        forward = flows(matrices)
        backward = [f.T for f in reversed(flows([m.T for m in reversed(matrices)]))]
        for name, a, m, f, b in zip(chain, sizes, matrices, forward, backward, strict=True):
            share = a / np.where(m > 0, m, 1).reshape(*m.shape, *[1] * (a.ndim - 2))
            out[name] = np.sqrt(f * b).reshape(*m.shape, *[1] * (a.ndim - 2)) * share
    return {n: out[n] for n in place.weights}


def flows(matrices: list[np.ndarray]) -> list[np.ndarray]:
    """Flow of PageRank through every edge of layers in a row.

    Parameters
    ----------
    matrices : |W| of each layer, (outputs, inputs); one's outputs are the next one's inputs.

    Returns
    -------
    list of arrays
        The same shapes; visits are in units of what starts at one unit.
    """
    visits = np.ones(matrices[0].shape[1])
    out = []
    for m in matrices:
        total = m.sum(0)
        flow = DAMPING * visits * m / np.where(total > 0, total, 1)
        visits = 1 + flow.sum(1)
        out.append(flow)
    return out


def _chains(weights: Mapping[str, np.ndarray]) -> list[list[str]]:
    """Names of the layers, in rows in which one's outputs are as many as the next one's inputs."""
    chains: list[list[str]] = []
    outputs = -1  # of the layer before
    for name, w in weights.items():
        if w.shape[1] == outputs:
            chains[-1].append(name)
        else:
            chains.append([name])
        outputs = w.shape[0]
    return chains


SOURCE = Unsampled(
    "flow through the edge of PageRank on |W|, forwards and backwards",
    position=110,
    compute=centrality,
    require=require_plain,
)
