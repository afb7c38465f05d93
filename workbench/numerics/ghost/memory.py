"""A memory that is written, not trained: rows of bytes that every position may read the next byte from.

A row is read by the network's own first blocks. What these made of a row up to a byte is that byte's key, and what the
memory gives there is the byte that follows. A position asks with what the same blocks made of it. Nothing of a memory
comes in before its last key is taken, so a question and the row that begins with it have the same keys.

Each row is read alone, so that its keys don't depend on which other rows there are: a memory from which a row was removed
holds, to the last bit, what a memory holds that never had it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.ghost.mixer import Norm

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FIRST_SHARPNESS = 640.0  # what is learned stays near it; from 20, other keys of a large memory crowd in
FIRST_STRENGTH = 20.0


@dataclass(frozen=True, eq=False)
class Rows:
    """What a network made of rows of bytes.

    Attributes
    ----------
    keys : (m, k), of length 1: of every byte but the last of each row, rows one after the other.
    following : (m,) the byte that follows. row : (m,) to which row a key belongs.
    """

    keys: Float[torch.Tensor, "m k"]
    following: Int[torch.Tensor, " m"]
    row: Int[torch.Tensor, " m"]

    @classmethod
    def joined(cls, parts: Sequence[tuple[torch.Tensor, torch.Tensor]], width: int) -> Rows:
        """Of keys and following bytes, row by row."""
        if not parts:
            nothing = torch.zeros(0, dtype=torch.int64)
            return cls(torch.zeros(0, width), nothing, nothing)
        sizes = torch.tensor([len(keys) for keys, _ in parts])
        return cls(
            torch.cat([keys for keys, _ in parts]),
            torch.cat([following for _, following in parts]),
            torch.arange(len(parts)).repeat_interleave(sizes).to(parts[0][0].device),
        )

    def without(self, row: int) -> Rows:
        """All rows but one."""
        kept = self.row != row
        left = self.row[kept]
        return Rows(self.keys[kept], self.following[kept], left - (left > row).long())

    def __len__(self) -> int:
        return int(self.row.max()) + 1 if len(self.row) else 0


@dataclass(frozen=True, eq=False)
class Read:
    """What was read at each position.

    Attributes
    ----------
    gates : (b, t, places), how much of it came in, between 0 and 1, at each place where it does.
    weights : (b, t, top), of the keys that were read most; they sum to at most 1. which : (b, t, top), their places in `Rows`.
    """

    gates: torch.Tensor
    weights: torch.Tensor
    which: torch.Tensor

    @property
    def gate(self) -> torch.Tensor:
        """(b, t), the mean over the places where it came in."""
        return self.gates.mean(-1)


class Memory(nn.Module):
    """How a network asks a memory, and what it takes in.

    Parameters
    ----------
    width : of the stream. keys : numbers of a key.
    places : after how many blocks what is read comes in, each by a gate of its own.
    raw : gates see the byte that was read last too, not only how well its key fits.
    """

    def __init__(self, width: int, keys: int, *, places: int = 1, raw: bool = False):
        super().__init__()
        self.places, self.raw = places, raw
        self.key_norm = Norm(2 * width)
        self.k_proj = nn.Linear(2 * width, keys, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(2 + width * raw, places)
        self.log_sharpness = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Let in what has a key that fits, as strongly as the stream is."""
        nn.init.constant_(self.log_sharpness, math.log(FIRST_SHARPNESS))
        nn.init.eye_(self.v_proj.weight)
        with torch.no_grad():
            self.v_proj.weight.mul_(FIRST_STRENGTH)
            self.gate.weight.zero_()
            self.gate.weight[:, 0] = 8.0
            self.gate.bias.fill_(-6.0)

    def keys(self, early: torch.Tensor, late: torch.Tensor) -> torch.Tensor:
        """(..., width) of two blocks to (..., k) of length 1: of a row's bytes and of positions that ask, alike."""
        return F.normalize(self.k_proj(self.key_norm(torch.cat([early, late], -1))), dim=-1)

    def read(
        self,
        asked: torch.Tensor,
        rows: Rows,
        embedding: torch.Tensor,
        top: int,
        raw: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, Read]:
        """What positions read: (b, t, places, width), to be added to the stream at each place, and how.

        Parameters
        ----------
        asked : (b, t, k) keys. embedding : (256, width), of bytes. top : as many keys are read at most.
        raw : (b, t, width), embeddings of the bytes at those positions, for gates that see them.
        """
        alike = asked @ rows.keys.mT  # (b, t, m)
        top = min(top, len(rows.keys))
        best, which = alike.topk(top, -1)
        weights = (self.log_sharpness.exp() * best).softmax(-1)
        values = self.v_proj(embedding)[rows.following[which]]  # (b, t, top, width)
        spread = -(weights * weights.clamp(min=1e-9).log()).sum(-1)
        fits = torch.stack([best[..., 0], spread], -1)
        if self.raw:
            assert raw is not None
            fits = torch.cat([fits, F.rms_norm(raw, raw.shape[-1:])], -1)
        gates = self.gate(fits).sigmoid()
        given = (weights[..., None, :] @ values).squeeze(-2)
        # shared among the places, so that a stream is given as much however many there are
        return gates[..., None] / self.places * given[..., None, :], Read(gates, weights, which)
