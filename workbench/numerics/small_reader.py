"""A transformer small enough that what is planted in it can be written down: no norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Mixing(nn.Module):
    """What tokens take from each other, and by which weights: (batch, tokens, width), (batch, heads, tokens, tokens)."""

    def forward(
        self,
        query: Float[Tensor, "b h t d"],
        key: Float[Tensor, "b h t d"],
        value: Float[Tensor, "b h t d"],
        causal: bool,
    ) -> tuple[Float[Tensor, "b t hd"], Float[Tensor, "b h t t"]]:
        """Scaled dot products, each row of weights with the sum 1."""
        scores = query @ key.mT / query.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores[0, 0]).triu(1).bool(), -torch.inf)
        weights = scores.softmax(-1)
        return (weights @ value).transpose(1, 2).flatten(2), weights


class Attention(nn.Module):
    """Heads in which every token sees all of its text, or where ``causal`` what stands before it and itself."""

    causal = False

    def __init__(self, width: int, heads: int = 1):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.mixing = Mixing()

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """What each token takes from the others."""
        parts = [
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        return self.out(self.mixing(*parts, self.causal)[0])


class Block(nn.Module):
    """Attention and two layers, each added to what it is given."""

    def __init__(self, width: int, heads: int = 1):
        super().__init__()
        self.attention = Attention(width, heads)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """The tokens one block on."""
        x = x + self.attention(x)
        return x + self.narrow(torch.relu(self.wide(x)))


class Reader(nn.Module):
    """Words and their places, some blocks, and a number for each word that may come next."""

    def __init__(self, words: int, length: int, width: int, blocks: int, heads: int = 1):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
        self.head = nn.Linear(width, words)

    def forward(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t w"]:
        """Logits of the next word."""
        x = self.embedding(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def causal(self) -> Reader:
        """The same module, in which no token sees those after it."""
        for part in self.modules():
            if isinstance(part, Attention):
                part.causal = True
        return self
