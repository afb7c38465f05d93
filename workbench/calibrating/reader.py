"""A transformer small enough that what is planted in it can be written down: no norms, one head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Attention(nn.Module):
    """One head in which every token sees all of its text, or where ``causal`` what stands before it and itself."""

    causal = False

    def __init__(self, width: int):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """What each token takes from the others."""
        scores = self.query(x) @ self.key(x).mT / x.shape[-1] ** 0.5
        if self.causal:
            scores = scores.masked_fill(torch.ones_like(scores[0]).triu(1).bool(), -torch.inf)
        return self.out(scores.softmax(-1) @ self.value(x))


class Block(nn.Module):
    """Attention and two layers, each added to what it is given."""

    def __init__(self, width: int):
        super().__init__()
        self.attention = Attention(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """The tokens one block on."""
        x = x + self.attention(x)
        return x + self.narrow(torch.relu(self.wide(x)))


class Reader(nn.Module):
    """Words and their places, some blocks, and a number for each word that may come next."""

    def __init__(self, words: int, length: int, width: int, blocks: int):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.head = nn.Linear(width, words)

    def forward(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t w"]:
        """Logits of the next word."""
        x = self.embedding(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(x)
