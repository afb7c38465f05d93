"""Masked diffusion of bytes: a Ghost whose blocks read both ways guesses the bytes that were masked, all at once.

At time τ every byte is masked with probability τ. The loss is the cross entropy of the masked ones, by 1/τ, whose mean over τ
and masks is an upper bound of -log p(text): so it stands beside what an autoregressive network gives in bits a byte.

References
----------
Sahoo et al. 2024, Simple and effective masked diffusion language models (2406.07524), equation 10; Nie et al. 2025, Large
language diffusion models (2502.09992).
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.ghost.config import GhostConfig
from workbench.numerics.ghost.mixer import Norm
from workbench.numerics.ghost.model import BYTES, Block

MASK = BYTES


class ByteDiffusion(nn.Module):
    """Blocks that read from both ends, with the same weights, and foretell the bytes that are masked.

    Parameters
    ----------
    config : of the blocks; attention, tokenizer and memory, which are causal, must be left out.

    Raises
    ------
    ValueError
        One of these is in it.
    """

    def __init__(self, config: GhostConfig):
        super().__init__()
        if config.attend_every or config.tokenizer != "none" or config.memory or config.slots:
            raise ValueError("byte diffusion takes attend_every=0, tokenizer='none', memory=0 and slots=0")
        self.config = config
        self.embeddings = nn.Embedding(BYTES + 1, config.width)
        nn.init.normal_(self.embeddings.weight, std=0.02)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm_f = Norm(config.width)
        self.lm_head = nn.Linear(config.width, BYTES, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, t) bytes, `MASK` where one is masked, to (b, t, 256) logits of what stands there."""
        x = self.embeddings(x)
        for layer in self.layers:
            x = (layer(x) + layer(x.flip(1)).flip(1)) / 2
        logits: torch.Tensor = self.lm_head(self.norm_f(x))
        return logits

    def bound(self, x: torch.Tensor, generator: torch.Generator, *, least: float = 1e-3) -> torch.Tensor:
        """(b,) upper bounds of each text's bits a byte, of one draw of τ and of masks each; their mean is the bound.

        Times are drawn evenly and apart from each other (one in each b-th of the line), which lowers the variance. None is below
        ``least``, where the weight grows without bound.
        """
        count, length = x.shape
        device = generator.device
        even = (
            torch.rand(1, generator=generator, device=device) + torch.arange(count, device=device) / count
        ) % 1
        time = (least + (1 - least) * even).to(x.device)[:, None]
        masked = torch.rand(x.shape, generator=generator, device=device).to(x.device) < time
        logits = self(x.masked_fill(masked, MASK))
        each = F.cross_entropy(logits.mT, x, reduction="none")
        found: torch.Tensor = (each * masked / time).sum(1) / length / math.log(2)
        return found
