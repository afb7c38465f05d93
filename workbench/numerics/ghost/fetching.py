"""Reading few rows of a large memory: those whose question is nearest are fetched, and the others aren't looked at.

A row's embedding is made of its keys up to its first line's end, where its answer begins; what asks is embedded alike. It is
retrieval before reading, with the memory's own keys as the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional as F

from workbench.numerics.ghost.memory import Rows

LINE_END = 10
Embedding = Literal["end", "mean"]


@dataclass(frozen=True, eq=False)
class Index:
    """Embeddings (n, k) of length 1 of a memory's rows, by which the nearest are found.

    Attributes
    ----------
    by : a row's embedding is its key at the line's ``end``, or the ``mean`` of its keys up to there.
    """

    rows: Rows
    embeddings: torch.Tensor
    by: Embedding

    @classmethod
    def of(cls, rows: Rows, by: Embedding = "end") -> Index:
        """Embed the rows; one without a line's end by all its keys."""
        found = []
        for keys, following in zip(*_by_row(rows), strict=True):
            ends = (following[:-1] == LINE_END).nonzero()
            # the key at a byte was made of the row up to it, so the line's end's own key stands one behind its place
            found.append(embedded(keys[: int(ends[0]) + 2] if len(ends) else keys, by))
        return cls(rows, torch.stack(found) if found else rows.keys, by)

    def fetched(self, asked: torch.Tensor, count: int) -> tuple[Rows, torch.Tensor]:
        """The ``count`` rows that are nearest to (t, k) keys of a question, in their order; and which they are.

        What is read of them is what is read of a memory that has no others.
        """
        count = min(count, len(self.embeddings))
        which = (self.embeddings @ embedded(asked, self.by)).topk(count).indices.sort().values
        kept = torch.isin(self.rows.row, which)
        row = torch.searchsorted(which, self.rows.row[kept])
        return Rows(self.rows.keys[kept], self.rows.following[kept], row), which


def embedded(keys: torch.Tensor, by: Embedding) -> torch.Tensor:
    """(t, k) keys of a text as one of length 1."""
    return F.normalize(keys.mean(0), dim=-1) if by == "mean" else keys[-1]


def _by_row(rows: Rows) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    sizes = torch.bincount(rows.row, minlength=len(rows)).tolist()
    return rows.keys.split(sizes), rows.following.split(sizes)
