"""The state-space blocks of Ghost: Mamba-2 with the names and the arithmetic that transformers has, and its variants.

Every module here reads T new bytes after those that its `state` has seen, and brings the state up to date: a full pass
is one call, a stream many, and there is one way to compute both.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from workbench.numerics.ghost.names import Step
from workbench.numerics.kernels.block import convolved, normalized
from workbench.numerics.kernels.scan import scan

State = dict[str, torch.Tensor]
LEAST_STEP, FIRST_STEPS = 1e-4, (1e-3, 1e-1)


class Norm(nn.Module):
    """Root-mean-square normalization; with a gate, of what the gate lets through."""

    def __init__(self, width: int, epsilon: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def reset_parameters(self) -> None:
        nn.init.ones_(self.weight)

    def forward(self, x: torch.Tensor, gate: torch.Tensor | None = None) -> torch.Tensor:
        return normalized(x, self.weight, self.epsilon, gate)


class CausalConvolution(nn.Conv1d):
    """A convolution of each channel over the last few positions, and SiLU of it; (b, t, c) to (b, t, c)."""

    def __init__(self, channels: int, size: int):
        super().__init__(channels, channels, size, groups=channels)

    def forward(self, x: torch.Tensor, state: State | None = None) -> torch.Tensor:
        past = self.kernel_size[0] - 1
        before = None if state is None else state.get("convolved")
        if state is not None:
            ending = x[:, max(x.shape[1] - past, 0) :].mT
            ending = F.pad(ending, (past, 0)) if before is None else torch.cat([before, ending], -1)
            state["convolved"] = ending[..., ending.shape[-1] - past :].detach()
        assert self.bias is not None
        return convolved(x, self.weight[:, 0], self.bias, before)


class Mixer(nn.Module):
    """Mamba-2's mixing of positions.

    Parameters
    ----------
    width : of what comes in and goes out.
    states : numbers that each channel keeps. head : channels that share a decay. expand : inner channels by ``width``.
    step : ``euler`` takes an input in when it comes; ``trapezoid`` between its coming and the next one's, in a share that
        is learned (Mamba-3's exponential-trapezoidal rule).
    rotating : the state turns by learned angles (a complex state), so that it can count in circles.

    References
    ----------
    Dao and Gu 2024 (2405.21060); Lahoti et al. 2026, Mamba-3 (2603.15569), for ``trapezoid`` and ``rotating``.
    """

    def __init__(
        self,
        width: int,
        *,
        states: int = 32,
        head: int = 64,
        expand: int = 2,
        convolution: int = 4,
        step: Step = "euler",
        rotating: bool = False,
    ):
        super().__init__()
        self.inner, self.states, self.head = expand * width, states, head
        self.heads = self.inner // head
        self.step, self.rotating = step, rotating
        mixed = self.inner + 2 * states
        self.in_proj = nn.Linear(width, self.inner + mixed + self.heads, bias=False)
        self.conv1d = CausalConvolution(mixed, convolution)
        self.dt_bias = nn.Parameter(torch.empty(self.heads))
        self.A_log = nn.Parameter(torch.empty(self.heads))
        self.D = nn.Parameter(torch.empty(self.heads))
        self.norm = Norm(self.inner)
        self.out_proj = nn.Linear(self.inner, width, bias=False)
        if step == "trapezoid":
            self.share = nn.Linear(width, self.heads)
        if rotating:
            self.angle = nn.Linear(width, self.heads * (states // 2), bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw step sizes between 0.001 and 0.1, evenly in their logarithm; decays are 1 to the number of heads."""
        with torch.no_grad():
            self.A_log.copy_(torch.arange(1, self.heads + 1).log())
            self.D.fill_(1)
            low, high = (math.log(s) for s in FIRST_STEPS)
            steps = (torch.rand(self.heads) * (high - low) + low).exp().clamp(min=LEAST_STEP)
            self.dt_bias.copy_(steps + torch.log(-torch.expm1(-steps)))  # softplus gives the steps again

    def forward(self, u: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """(b, t, width) to the same; ``state`` is read and brought up to date."""
        gate, mixed, step = self.in_proj(u).split([self.inner, self.inner + 2 * self.states, self.heads], -1)
        mixed = self.conv1d(mixed, state)
        x, B, C = mixed.split([self.inner, self.states, self.states], -1)
        x, B, C = x.unflatten(-1, (self.heads, self.head)), B[:, :, None], C[:, :, None]
        step = F.softplus(step + self.dt_bias)
        log_decay = -self.A_log.exp() * step
        if self.rotating:
            turned = self._turned(u, step, state)
            B, C = _rotated(B, turned), _rotated(C, turned)
        y = self._scanned(u, x, log_decay, step, B, C, state)
        return self.out_proj(self.norm(y.flatten(-2), gate))

    def _scanned(
        self,
        u: torch.Tensor,
        x: torch.Tensor,
        log_decay: torch.Tensor,
        step: torch.Tensor,
        B: torch.Tensor,
        C: torch.Tensor,
        state: State | None,
    ) -> torch.Tensor:
        given = {} if state is None else state
        late = None
        if self.step == "trapezoid":
            # h_t = a_t h_{t-1} + (1-s_t) Δ_t a_t B_{t-1} x_{t-1} + s_t Δ_t B_t x_t: the recurrence is linear in what it is
            # given, so this is two scans
            share = self.share(u).sigmoid()
            x_before, B_before = _before(x, given.get("x")), _before(B, given.get("B"))
            late = scan(
                x_before,
                log_decay,
                (1 - share) * step * log_decay.exp(),
                B_before,
                C,
                state=given.get("held before"),
            )
            step = share * step
        y, held = scan(x, log_decay, step, B, C, state=given.get("held"), skip=self.D)
        if state is not None:
            state["held"] = held.detach()
            if late is not None:
                state["held before"] = late[1].detach()
                state["x"], state["B"] = x[:, -1:].detach(), B[:, -1:].detach()
        return y if late is None else y + late[0]

    def _turned(self, u: torch.Tensor, step: torch.Tensor, state: State | None) -> torch.Tensor:
        """(b, t, h, n / 2): by which angles the state has turned since the beginning, between 0 and 2π."""
        angles = math.pi * self.angle(u).unflatten(-1, (self.heads, -1)).tanh() * step[..., None]
        before = None if state is None else state.get("turned")
        # summed in float64 and taken modulo a turn: a float32 sum of 64,000 angles has no digits left for the last
        turned = angles.double().cumsum(1)
        turned = turned if before is None else turned + before.double()[:, None]
        turned = torch.remainder(turned, 2 * math.pi)
        if state is not None:
            state["turned"] = turned[:, -1].detach()
        return turned.to(u.dtype)


def _before(now: torch.Tensor, last: torch.Tensor | None) -> torch.Tensor:
    """What was at the position before each."""
    last = torch.zeros_like(now[:, :1]) if last is None else last
    return torch.cat([last, now[:, :-1]], 1)


def _rotated(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Pairs of numbers (b, t, 1, n) turned by angles (b, t, h, n / 2), one for each head."""
    first, second = x.chunk(2, -1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)
