"""Entries drawn from a normal distribution, each on its own."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from workbench.numerics.initializers import no_options

check = partial(no_options, "normal")


def fill(weight: torch.Tensor, std: float) -> None:
    """Draw a matrix in place."""
    nn.init.normal_(weight, std=std)
