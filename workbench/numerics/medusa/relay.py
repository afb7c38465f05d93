"""The state-space relay as what a series drives: rates, a wave, adapters, heads and noise on a flower, in a reservoir's place.

What is seen, a constant and the last scores, pushes the rates; nothing of the world is learnt. Its state is the rates, with the
displacements and velocities of the wave and what the heads hold where these are on. With everything off it is a reservoir whose
weights are symmetric and lie along a graph's edges, and whose leak is the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.numerics.fractal_graphs import flower
from workbench.numerics.medusa import reservoir
from workbench.numerics.medusa.counters import normals
from workbench.numerics.medusa.names import ASPECTS
from workbench.numerics.medusa.reservoir import STATE, WEIGHTS, Learnt, inward

if TYPE_CHECKING:
    from jaxtyping import Float

    from workbench.numerics.medusa.system import State, System

GENERATIONS = 4  # of a (2, 2)-flower: 172 nodes
RELATIVE_SPEED = 0.7  # of the wave's largest step, so that adapted edges keep it stable
DAMPING, HOLDING = (
    0.5,
    1.0,
)  # the wave forgets within some 10 steps of ½, and pushes rates by a tenth of what pushed it
COUPLING = 0.3
ADAPTING = 1.0
FORGETTING, REACHING, WIDTH = 0.3, 0.1, 4
NOISE = 0.1
EXTREME = 0.9  # share of its steps in which a rate or displacement isn't extreme


@dataclass(frozen=True)
class Settings(reservoir.Settings):
    """Numbers of a relay; ``units`` and ``state_noise`` of a reservoir aren't read.

    Attributes
    ----------
    leak : length of a step. waves : whether rates and a wave guide push each other. adapters : whether edges conduct better between
        nodes that agree. heads : whether four heads, one an aspect, look, write, and are read. noise : whether rates are driven by
        Brownian noise, in the fit and in the run. Noise alone is on: inside the training parts of five series the others didn't
        help (benchmarks/LOG_medusa.md).
    """

    waves: bool = False
    adapters: bool = False
    heads: bool = False
    noise: bool = True


SWITCHES = ("waves", "adapters", "heads", "noise")


def fit(
    series: Float[np.ndarray, "T c"],
    settings: Settings | None = None,
    seed: int = 0,
    *,
    name: str = "the series",
) -> Learnt:
    """Learn a series by a relay; see `workbench.numerics.medusa.reservoir.fit`."""
    return reservoir.fit(series, settings or Settings(), seed, name=name, body=Relay.made)


@dataclass(frozen=True, eq=False)
class Relay:
    """A world that is driven, as a `Body`. ``into`` : (n, 1 + lags c), the weights of what is seen."""

    system: System
    into: Float[np.ndarray, "n i"]
    settings: Settings
    seed: int

    @classmethod
    def made(cls, seen: Float[np.ndarray, "n i"], settings: Settings, seed: int) -> Relay:
        """That of a seed; where a state counts as extreme is learnt from what these rows do to it without heads."""
        nodes = len(_graph()[1])
        into = inward(seed, nodes, seen.shape[1])
        blind = cls(_system(settings, seed, None), into, settings, seed)
        if not settings.heads:
            return blind
        states = np.abs(blind.driven(seen))
        beyond = np.zeros(2 * nodes)  # without a wave, displacements are 0, and 0 isn't beyond 0
        beyond[: min(2 * nodes, states.shape[1])] = np.quantile(states, EXTREME, axis=0)[: 2 * nodes]
        return cls(_system(settings, seed, beyond), into, settings, seed)

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers of each kind a state has."""
        n, wave = self.system.n, self.system.n * self.settings.waves
        return {"r": n, "q": wave, "p": wave, "m": self.system.settings.heads * WIDTH}

    def driven(self, seen: Float[np.ndarray, "n i"]) -> Float[np.ndarray, "n d"]:
        """See `Body`."""
        after = self.free(len(seen), self.seed, 0)
        states = np.empty((len(seen), sum(self.sizes.values())))
        state = np.zeros(states.shape[1])
        for t, row in enumerate(seen):
            state = states[t] = after(t, state, row)
        return states

    def free(self, steps: int, seed: int, world: int) -> Callable[[int, np.ndarray, np.ndarray], np.ndarray]:
        """See `Body`."""
        n = self.system.n
        dw = np.zeros((1, n, 1))
        if self.settings.noise:
            dw = np.sqrt(self.settings.leak) * normals(seed, STATE, range(steps), n, [world])

        def after(t: int, state: np.ndarray, seen: np.ndarray) -> np.ndarray:
            here = self._state(state)
            push = self.system.writes.summed(here.m.numpy()) + (self.into @ seen)[:, None]
            # a relay stays within its range: rates are held by tanh, and the wave is damped, held and pushed by these
            return self._numbers(self.system.follows(here, push, dw[t % len(dw)])[0])

        return after

    def scale(self, states: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
        """See `Body`: displacements, velocities and each head have the size of rates, root mean squared."""
        heads = [WIDTH] * self.system.settings.heads
        widths = [w for w in (*list(self.sizes.values())[:3], *heads) if w]
        parts = np.split(states, np.cumsum(widths)[:-1], axis=1)
        size = np.array([np.sqrt(np.square(part).mean()) for part in parts])
        relative = np.where(size > 0, size / size[0], 1.0)  # a head that saw nothing stays 0
        return np.repeat(relative, widths)

    def _state(self, numbers: np.ndarray) -> State:
        import torch

        from workbench.numerics.medusa.system import State

        parts = np.split(numbers, np.cumsum(list(self.sizes.values()))[:-1])
        r, q, p, m = (torch.from_numpy(part[:, None]) for part in parts)
        still = torch.zeros_like(r)
        return State(r, q, p, m) if self.settings.waves else State(r, still, still, m)

    def _numbers(self, state: State) -> np.ndarray:
        wave = (state.q, state.p) if self.settings.waves else ()
        return np.concatenate([part.numpy()[:, 0] for part in (state.r, *wave, state.m)])


def _graph() -> tuple[np.ndarray, np.ndarray]:
    """Edges of the flower, and how many of them each node has."""
    edges = flower(2, 2, GENERATIONS).edges
    return edges, np.bincount(edges.reshape(-1))


def _system(s: Settings, seed: int, beyond: np.ndarray | None) -> System:
    """The world: edges' conductances keep the Laplacian's eigenvalues near 2, the weights' largest one is the radius."""
    from scipy import sparse

    from workbench.numerics.medusa import system
    from workbench.numerics.medusa.waves import laplacian, largest_step

    edges, degree = _graph()
    n = len(degree)
    i, j = edges.T
    conducts = 1 / np.sqrt(degree[i] * degree[j])
    weights = normals(seed, WEIGHTS, range(1), len(edges), [0])[0, :, 0] * np.sqrt(conducts)
    full = np.zeros((n, n))
    np.add.at(full, (i, j), weights)
    weights *= s.radius / np.abs(np.linalg.eigvalsh(full + full.T)).max()
    stiffest = system.STIFFEST if s.adapters else 1.0
    pull = (laplacian(edges, conducts, n) + HOLDING / stiffest * sparse.eye_array(n, format="csr")).tocsr()
    settings = system.Settings(
        h=s.leak,
        speed=RELATIVE_SPEED * largest_step(pull, 1.0) / np.sqrt(stiffest) / s.leak,
        damping=DAMPING,
        holding=HOLDING,
        rate_noise=NOISE if s.noise else 0.0,
        adapting=ADAPTING if s.adapters else 0.0,
        heads=0 if beyond is None else len(ASPECTS),
        aspects=() if beyond is None else ASPECTS,
        width=WIDTH,
        forgetting=FORGETTING,
        reaching=REACHING,
        from_wave=COUPLING if s.waves else 0.0,
        to_wave=COUPLING if s.waves else 0.0,
    )
    return system.System(edges, weights, conducts, n, settings, seed=seed, beyond=beyond)
