"""Dropout: by how much the loss rises when the edge is dropped.

References
----------
Molchanov, Tyree, Karras, Aila and Kautz 2017, Pruning convolutional neural networks for resource efficient inference,
ICLR (oracle pruning).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.numerics.tethers.place import Place
from workbench.numerics.tethers.samples import losses_of
from workbench.numerics.tethers.source import Contributions, Sampled, where_positive

if TYPE_CHECKING:
    import torch

ONE_BY_ONE = 1 << 15  # edges, up to which each is dropped alone; beyond, each unit is, and its edges share
NUMBERS = 1 << 22  # entries of weights and activations that are held at once


def copies(place: Place) -> int:
    """Of what a sample contributes: each edge's own loss, or the unit's shared out among its edges."""
    return 1 if place.size <= ONE_BY_ONE else 4


def rises(place: Place, network: torch.nn.Module, x: Any, y: torch.Tensor) -> Contributions:
    """Rise of each sample's loss without an edge, (m, ...).

    Up to `ONE_BY_ONE` edges, each is dropped alone. Beyond, all that a unit feeds into a layer is dropped (a column of
    W), and its edges share the rise in proportion to |w|.
    """
    import torch

    each_alone = place.size <= ONE_BY_ONE
    own = {n: p.detach() for n, p in network.named_parameters()}
    evaluate = losses_of(place, network, x, y)
    with torch.no_grad():
        base = evaluate({})
        out: Contributions = {}
        for name in place.weights:
            w = own[name]
            units = torch.arange(w.numel() if each_alone else w.shape[1], device=w.device)
            column = torch.arange(w.numel(), device=w.device).reshape(w.shape)
            if not each_alone:
                column = units.reshape(1, -1, *[1] * (w.ndim - 2)).expand(w.shape)

            def without(
                i: torch.Tensor, name: str = name, w: torch.Tensor = w, column: torch.Tensor = column
            ) -> Any:
                return evaluate({name: torch.where(column == i, torch.zeros_like(w), w)})

            chunk = max(1, NUMBERS // max(w.numel(), len(y) * 64))
            rise = (torch.func.vmap(without, chunk_size=chunk)(units) - base).T  # (m, units)
            if each_alone:
                out[name] = rise.reshape(len(y), *w.shape)
            else:
                size = w.abs()
                total = size.sum([d for d in range(w.ndim) if d != 1], keepdim=True)
                share = size / torch.where(total > 0, total, 1)
                out[name] = rise.reshape(len(y), 1, -1, *[1] * (w.ndim - 2)) * share
    return out


SOURCE = Sampled(
    "rise of the loss when the edge is dropped, where positive",
    position=100,
    contribute=rises,
    of_mean=where_positive,
    copies=copies,
)
