"""A matrix whose rows, or columns where there are fewer, are orthogonal and of equal length."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from workbench.numerics.initializers import no_options

check = partial(no_options, "orthogonal")


def fill(weight: torch.Tensor, std: float) -> None:
    """Draw a matrix (out, in) in place; all its singular values are std · √max(out, in).

    References
    ----------
    Saxe et al. 2014, Exact solutions to the nonlinear dynamics of learning in deep linear networks (1312.6120), section 3.
    """
    nn.init.orthogonal_(weight, gain=std * max(weight.shape) ** 0.5)
