"""The connected pieces of a graph, by labels that spread along its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor


def piece_labels(rows: Int[Tensor, " e"], columns: Int[Tensor, " e"], n: int) -> Int[Tensor, " n"]:
    """Return for every node the least node of its piece.

    Parameters
    ----------
    rows, columns : int64 ends of the edges, each edge in both directions.
    """
    label = torch.arange(n, device=rows.device)
    # a label is always a node of the same piece, and never rises: what no round lowers is the least of the piece
    while True:
        least = label.scatter_reduce(0, rows, label[columns], "amin")
        # the label's own node hears of it too, so that long pieces take few rounds
        new = least.scatter_reduce(0, label, least, "amin")
        new = new[new]
        if torch.equal(new, label):
            return label
        label = new
