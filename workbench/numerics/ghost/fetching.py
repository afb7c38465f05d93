"""Reading few rows of a large memory: those whose question is nearest are fetched, and the others aren't looked at.

A row's embedding is made of its keys up to its first line's end, where its answer begins; what asks is embedded alike. It is
retrieval before reading, with the memory's own keys as the encoder.

Rows may be parted into topics, of which only those are searched that can hold one of the nearest. What is found is the same, so
that topics, which were cut with all rows in view, reach no answer: a row that was removed is gone from these too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from workbench.numerics.ghost.memory import Rows

LINE_END = 10
SLACK = 2e-3  # radians by which angles of float32 keys may be wrong: an arc cosine near 1 halves their digits
Embedding = Literal["end", "mean"]


@dataclass(frozen=True, eq=False)
class Topics:
    """Embeddings parted by k-means, each part with its centre and its reach.

    Attributes
    ----------
    centres : (c, k), of length 1. of : (n,) to which part an embedding belongs. reach : (c,) the largest angle between a centre
        and what belongs to it.

    References
    ----------
    Fukunaga and Narendra 1975, A branch and bound algorithm for computing k-nearest neighbors, IEEE Trans. Computers, for what
    needn't be searched.
    """

    centres: torch.Tensor
    of: torch.Tensor
    reach: torch.Tensor

    @classmethod
    def cut(cls, embeddings: torch.Tensor, count: int) -> Topics:
        """Part (n, k) embeddings of length 1 into ``count`` topics, or as many as there are different ones."""
        from sklearn.cluster import KMeans

        values = embeddings.double().cpu().numpy()
        count = min(count, len(np.unique(values, axis=0)))
        found = KMeans(count, n_init=1, random_state=0).fit(values)
        centres = F.normalize(torch.from_numpy(found.cluster_centers_), dim=-1)
        of = torch.from_numpy(found.labels_.astype(np.int64))
        angles = (torch.from_numpy(values) * centres[of]).sum(-1).clamp(-1, 1).arccos()
        reach = torch.zeros(count, dtype=torch.float64).scatter_reduce(0, of, angles, "amax")
        return cls(centres, of, reach)

    def nearest(self, embeddings: torch.Tensor, asked: torch.Tensor, count: int) -> tuple[torch.Tensor, int]:
        """The ``count`` embeddings that are nearest to (k,) asked, in their order; and how many were looked at."""
        turned = (self.centres @ asked.double().cpu()).clamp(-1, 1).arccos()
        # nothing of a topic is nearer than its centre less its reach
        least, order = (turned - self.reach - SLACK).sort()
        which, alike = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        for bound, topic in zip(least.tolist(), order.tolist(), strict=True):
            if len(which) >= count:
                worst = float(alike.double().topk(count).values[-1].clamp(-1, 1).arccos())
                if bound > worst:
                    break
            at = (self.of == topic).nonzero()[:, 0]
            which = torch.cat([which, at])
            alike = torch.cat([alike, (embeddings[at.to(embeddings.device)] @ asked).cpu()])
        return which[alike.topk(min(count, len(which))).indices].sort().values, len(which)


@dataclass(frozen=True, eq=False)
class Index:
    """Embeddings (n, k) of length 1 of a memory's rows, by which the nearest are found.

    Attributes
    ----------
    by : a row's embedding is its key at the line's ``end``, or the ``mean`` of its keys up to there.
    topics : those that are searched; None searches all rows.
    """

    rows: Rows
    embeddings: torch.Tensor
    by: Embedding
    topics: Topics | None = None

    @classmethod
    def of(cls, rows: Rows, by: Embedding = "end", *, topics: int = 0) -> Index:
        """Embed the rows, one without a line's end by all its keys; and part them into ``topics``, of which 0 makes none."""
        found = []
        for keys, following in zip(*_by_row(rows), strict=True):
            ends = (following[:-1] == LINE_END).nonzero()
            # the key at a byte was made of the row up to it, so the line's end's own key stands one behind its place
            found.append(embedded(keys[: int(ends[0]) + 2] if len(ends) else keys, by))
        embeddings = torch.stack(found) if found else rows.keys
        return cls(rows, embeddings, by, Topics.cut(embeddings, topics) if topics and found else None)

    def fetched(self, asked: torch.Tensor, count: int) -> tuple[Rows, torch.Tensor]:
        """The ``count`` rows that are nearest to (t, k) keys of a question, in their order; and which they are.

        What is read of them is what is read of a memory that has no others.
        """
        count = min(count, len(self.embeddings))
        near = embedded(asked, self.by)
        if self.topics is None:
            which = (self.embeddings @ near).topk(count).indices.sort().values
        else:
            which = self.topics.nearest(self.embeddings, near, count)[0].to(near.device)
        kept = torch.isin(self.rows.row, which)
        row = torch.searchsorted(which, self.rows.row[kept])
        return Rows(self.rows.keys[kept], self.rows.following[kept], row), which


def embedded(keys: torch.Tensor, by: Embedding) -> torch.Tensor:
    """(t, k) keys of a text as one of length 1."""
    return F.normalize(keys.mean(0), dim=-1) if by == "mean" else keys[-1]


def _by_row(rows: Rows) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    sizes = torch.bincount(rows.row, minlength=len(rows)).tolist()
    return rows.keys.split(sizes), rows.following.split(sizes)
