"""Many worlds of one system at once: on a GPU by one fused kernel a step, in single precision; else as `System.run` takes them.

A world is the one that its number and the seed make it, however many live with it and wherever they do: on a GPU its noise is drawn
from the same words (`counters`), so that it stays near the processor's world until single precision tells them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from workbench.core.device import Device
from workbench.core.errors import ParameterError
from workbench.numerics.device import choose, current
from workbench.numerics.kernels.fusing import fusable
from workbench.numerics.medusa.integrators import LARGEST
from workbench.numerics.medusa.names import Outcome
from workbench.numerics.medusa.noise import STREAMS
from workbench.numerics.medusa.system import State, System
from workbench.numerics.medusa.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    State3 = Float[torch.Tensor, "3 n worlds"]

LOOKED = 64  # steps between looks at whether a world diverged, each of which waits for the device
WORLDS, WARPS = 256, 4  # of a program


class Lives(NamedTuple):
    """What many worlds did.

    Attributes
    ----------
    kept : (kept, watched, worlds), the rates of the watched nodes at the start and at every ``every``-th step.
    last : the state at the end. outcome, step : as `system.Run` has them.
    """

    kept: Float[torch.Tensor, "kept watched worlds"]
    last: State
    outcome: Outcome
    step: int


def live(
    system: System,
    worlds: range,
    steps: int,
    *,
    seed: int = 0,
    watched: Sequence[int] = (),
    every: int = 1,
    device: Device = "auto",
) -> Lives:
    """Let many worlds live from rest, with Wiener's noise; they end together where the first of them diverges.

    Parameters
    ----------
    system : whose scheme is Euler's. worlds : their numbers. watched : nodes whose rates are kept.
    device : a GPU with Triton takes single precision; without one this is `System.run`, in double.

    Raises
    ------
    ParameterError
        Another scheme than Euler's, which alone has a kernel, or heads that have aspects.
    """
    if system.settings.scheme != "euler":
        raise ParameterError(
            f"scheme={system.settings.scheme!r} is not legal for many worlds at once: take 'euler', or one world at a time."
        )
    if system.settings.aspects:
        raise ParameterError(
            "aspects of heads aren't legal for many worlds at once: leave them out, or take one world at a time."
        )
    where, nodes = choose(device), np.asarray(watched, np.int64)
    # `fusable` asks for a tensor of the device that could be taken
    if not fusable(torch.empty(1, device=where)):
        run = system.run(system.rest(len(worlds)), steps, seed=seed, worlds=worlds, every=every)
        return Lives(run.r[:, nodes], run.last, run.outcome, run.step)
    with current(where):
        return _fused(system, worlds, steps, seed, torch.from_numpy(nodes).to(where), every, where)


def _fused(
    system: System, worlds: range, steps: int, seed: int, nodes: torch.Tensor, every: int, where: torch.device
) -> Lives:
    step, many = Stepping(system, worlds, steps, seed, where), len(worlds)
    now, after = (torch.zeros(3, system.n, many, device=where) for _ in range(2))
    kept = [now[0, nodes]]
    for i in range(steps):
        step(i, now, after)
        now, after = after, now
        if (i + 1) % every == 0:
            kept.append(now[0, nodes])
        if (i + 1) % LOOKED == 0 or i + 1 == steps:
            left = step.diverged[: i + 1].nonzero()
            if len(left):  # the steps since are not the world's any more
                first = int(left[0]) + 1
                return Lives(
                    torch.stack(kept[: 1 + (first - 1) // every]), step.state(now), "diverged", first
                )
    return Lives(torch.stack(kept), step.state(now), "finished", steps)


class Stepping:
    """What takes one step of many worlds on a GPU.

    Attributes
    ----------
    m : (k, worlds), the heads. diverged : (steps,), how many numbers left their range at each step.
    """

    def __init__(self, system: System, worlds: range, steps: int, seed: int, where: torch.device):
        self.system, self.first, self.many = system, worlds.start, len(worlds)
        if worlds.step != 1:
            raise ParameterError(f"worlds={worlds!r} is not legal: on a GPU their numbers follow each other.")
        self.seed = seed - 2**64 if seed >= 2**63 else seed  # the same 64 bits
        rates = system.rates

        def single(numbers: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.asarray(numbers, np.float32)).to(where)

        self.edges = [torch.from_numpy(ends.astype(np.int32)).to(where) for ends in (rates.starts, rates.of)]
        self.carried = [single(rates.weights), single(system.wave.weights)]
        self.given = single(system.given[:, 0].numpy())
        self.looks, self.writes = (single(_dense(part)) for part in (system.looks, system.writes))
        self.m = torch.zeros(len(self.looks), self.many, device=where)
        self.diverged = torch.zeros(steps, dtype=torch.int32, device=where)

    def __call__(self, i: int, now: State3, after: State3) -> None:
        """Write to ``after`` what step ``i`` makes of ``now``, and let the heads look."""
        from workbench.numerics.kernels.worlds_triton import step_kernel

        s, n = self.system.settings, self.system.n
        heads = len(self.m) > 0
        u = self.writes @ self.m if heads else now[0]
        root = float(np.sqrt(s.h))
        step_kernel[(-(-n // 4), -(-self.many // WORLDS))](
            *now,
            u,
            *after,
            *self.edges,
            *self.carried,
            self.given,
            self.diverged,
            self.seed,
            i,
            self.first,
            n,
            self.many,
            s.h,
            s.speed**2,
            s.damping * s.h / 2,
            s.holding * s.speed**2,
            s.rate_noise * root,
            s.wave_noise * root,
            s.adapting,
            s.from_wave,
            s.to_wave,
            LARGEST,
            stream_p=STREAMS,
            HEADS=heads,
            ADAPTS=s.adapting != 0,
            GROWS=s.growing,
            NOISY=s.rate_noise > 0,
            WAVY=s.wave_noise > 0,
            W=WORLDS,
            num_warps=WARPS,
        )
        if heads:
            seen = self.looks[:, :n] @ after[0] + self.looks[:, n:] @ after[1]
            self.m = (1 - s.forgetting) * self.m + s.forgetting * torch.tanh(seen)

    def state(self, now: State3) -> State:
        """The worlds' state."""
        r, q, p = now
        return State(r, q, p, self.m)


def _dense(wiring: Wiring) -> np.ndarray:
    full = np.zeros((wiring.n_to, wiring.n_from))
    np.add.at(full, (wiring.to, wiring.of), wiring.weights)
    return full
