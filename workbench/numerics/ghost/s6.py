"""S6, the selective scan of Mamba-1: every channel and every number of its state decays by itself.

There are no heads whose decay is shared, so a chunk is no product of matrices: the recurrence is computed as it is
defined, one position after the other. It is the baseline that `Mixer` is set beside.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.ghost.mixer import FIRST_STEPS, LEAST_STEP, CausalConvolution, State


class S6Mixer(nn.Module):
    """Mamba-1's mixing of positions, named as transformers names it.

    Parameters
    ----------
    width : of what comes in and goes out. states : numbers that each channel keeps. expand : inner channels by ``width``.

    References
    ----------
    Gu and Dao 2023, Mamba: linear-time sequence modeling with selective state spaces (2312.00752), algorithm 2.
    """

    def __init__(self, width: int, *, states: int = 16, expand: int = 2, convolution: int = 4):
        super().__init__()
        self.inner, self.states, self.rank = expand * width, states, math.ceil(width / 16)
        self.in_proj = nn.Linear(width, 2 * self.inner, bias=False)
        self.conv1d = CausalConvolution(self.inner, convolution)
        self.x_proj = nn.Linear(self.inner, self.rank + 2 * states, bias=False)
        self.dt_proj = nn.Linear(self.rank, self.inner)
        self.A_log = nn.Parameter(torch.empty(self.inner, states))
        self.D = nn.Parameter(torch.empty(self.inner))
        self.out_proj = nn.Linear(self.inner, width, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw step sizes between 0.001 and 0.1, evenly in their logarithm; decays are 1 to the number of states."""
        with torch.no_grad():
            self.A_log.copy_(torch.arange(1, self.states + 1).log().expand(self.inner, -1))
            self.D.fill_(1)
            low, high = (math.log(s) for s in FIRST_STEPS)
            steps = (torch.rand(self.inner) * (high - low) + low).exp().clamp(min=LEAST_STEP)
            self.dt_proj.bias.copy_(steps + torch.log(-torch.expm1(-steps)))  # softplus gives the steps again

    def forward(self, u: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """(b, t, width) to the same; ``state`` is read and brought up to date."""
        x, gate = self.in_proj(u).chunk(2, -1)
        x = self.conv1d(x, state)
        step, B, C = self.x_proj(x).split([self.rank, self.states, self.states], -1)
        step = F.softplus(self.dt_proj(step))
        held = None if state is None else state.get("held")
        if held is None:
            held = x.new_zeros(len(x), self.inner, self.states)
        decay = torch.exp(-self.A_log.exp() * step[..., None])  # (b, t, inner, n)
        given = (step * x)[..., None] * B[:, :, None]
        y, held = selective_scan(decay, given, C, held)
        if state is not None:
            state["held"] = held.detach()
        return self.out_proj((y + self.D * x) * F.silu(gate))


def selective_scan(
    decay: torch.Tensor, given: torch.Tensor, C: torch.Tensor, held: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decay, add and read, one position after the other.

    Parameters
    ----------
    decay, given : (b, t, inner, n). C : (b, t, n). held : (b, inner, n), the state before.

    Returns
    -------
    What is read, (b, t, inner), and the state after.
    """
    read = []
    for kept, new, asked in zip(decay.unbind(1), given.unbind(1), C.unbind(1), strict=True):
        held = kept * held + new
        read.append((held @ asked[..., None])[..., 0])
    return torch.stack(read, 1) if read else given[..., 0], held
