"""AdamW, torch's own."""

from __future__ import annotations

import torch
from torch import nn

RATE = 3e-3


def optimizer_of(network: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """AdamW of all parameters, without weight decay."""
    return torch.optim.AdamW(network.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
