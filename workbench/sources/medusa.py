"""MEDUSA: a stochastic world on a fractal graph, as the series of what is seen of it."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import ParameterError
from workbench.core.parameters import Few, Seed
from workbench.core.registry import source
from workbench.sources.fractal_graph import fractal_graph
from workbench.subjects.series import TimeSeries

MOST_HELD = 10_000_000  # nodes times steps, whose states are held until the channels are made
LOOKED_AT = 8  # numbers of the world that a channel is a sum of


@source
def medusa(
    *,
    u: Annotated[int, Interval(ge=1, le=6), Doc("Shorter path of the flower that the world lives on.")] = 2,
    v: Annotated[int, Interval(ge=2, le=6), Doc("Longer path of that flower.")] = 2,
    generations: Annotated[int, Interval(ge=1, le=5), Doc("Of that flower; see fractal_graph.")] = 3,
    steps: Annotated[int, Interval(ge=50, le=20_000), Few(120), Doc("Steps of the world.")] = 1000,
    h: Annotated[
        float, Interval(gt=0, le=1), Doc("Length of a step; at or over the wave's largest it is refused.")
    ] = 0.1,
    channels: Annotated[int, Interval(ge=1, le=64), Doc("Channels that are seen.")] = 3,
    gain: Annotated[
        float,
        Interval(ge=0, le=20),
        Doc("Size of the weights between rates; above some 1 they don't settle at 0."),
    ] = 1.5,
    speed: Annotated[float, Interval(ge=0, le=20), Doc("Of the wave.")] = 1.0,
    damping: Annotated[float, Interval(ge=0, le=20), Doc("Of the wave.")] = 0.1,
    noise: Annotated[Literal["wiener", "coloured", "fractional"], Doc("What drives the rates.")] = "wiener",
    strength: Annotated[float, Interval(ge=0, le=100), Doc("Of the noise that drives the rates.")] = 0.3,
    rate: Annotated[float, Interval(gt=0, le=100), Doc("Of noise='coloured': one over its memory.")] = 1.0,
    hurst: Annotated[
        float, Interval(gt=0, lt=1), Doc("Of noise='fractional': above ½ it remembers, below it turns back.")
    ] = 0.7,
    adapting: Annotated[
        float,
        Interval(ge=0, le=20),
        Doc("How much edges conduct better between nodes that agree; 0 leaves them."),
    ] = 0.0,
    heads: Annotated[int, Interval(ge=0, le=16), Doc("Heads that look at the world and write to it.")] = 0,
    seen_noise: Annotated[
        float, Interval(ge=0, le=10), Doc("Noise of what is seen, which the world doesn't feel.")
    ] = 0.0,
    scheme: Annotated[Literal["euler", "srk"], Doc("How rates step; 'srk' needs noise='wiener'.")] = "euler",
    random_state: Seed = 0,
) -> TimeSeries:
    """Let rates and a wave live on a flower, and give what is seen of them step by step.

    The rates are Hopfield's, driven by noise; the wave guide couples to them; both live on ``fractal_graph(u=u, v=v,
    generations=generations)``. A channel is a fixed random sum of a few rates and displacements. A world that diverges ends there:
    ``truth`` says the ``outcome`` and the ``step``, and, of what made it, all numbers. The same call gives the same numbers.
    """
    import torch

    from workbench.numerics.medusa.counters import normals
    from workbench.numerics.medusa.noise import Coloured, Fractional, NoiseKind, Wiener
    from workbench.numerics.medusa.system import Settings, System
    from workbench.numerics.medusa.wiring import Wiring

    graph = fractal_graph(u=u, v=v, generations=generations)
    n, m = len(graph), len(graph.edges)
    if n * steps > MOST_HELD:
        raise ParameterError(
            f"medusa: steps={steps:,} of generations={generations} ({n:,} nodes) are {n * steps:,} node-steps; at most "
            f"{MOST_HELD:,} are held. Take fewer steps or generations."
        )
    rng = np.random.default_rng([random_state, 0x6D656475])
    degree = np.bincount(graph.edges.reshape(-1), minlength=n)
    weights = gain * rng.standard_normal(m) / np.sqrt(degree[graph.edges].mean(axis=1))
    settings = Settings(
        h=h, speed=speed, damping=damping, rate_noise=strength, adapting=adapting, heads=heads, scheme=scheme
    )
    system = System(graph.edges, weights, np.ones(m), n, settings, seed=random_state)
    kinds: dict[str, NoiseKind] = {"coloured": Coloured(rate), "fractional": Fractional(hurst, steps)}
    run = system.run(system.rest(1), steps, seed=random_state, noise=kinds.get(noise, Wiener()))
    looked = min(LOOKED_AT, 2 * n)
    at = np.concatenate([rng.choice(2 * n, looked, replace=False) for _ in range(channels)])
    readout = Wiring(
        np.repeat(np.arange(channels), looked),
        at,
        rng.standard_normal(len(at)) / np.sqrt(looked),
        channels,
        2 * n,
    )
    seen = readout(torch.cat([run.r[..., 0], run.q[..., 0]], dim=1).T).T.numpy()
    seen = seen + seen_noise * normals(random_state, 2**16, range(len(seen)), channels, [0])[..., 0]
    return TimeSeries(
        seen,
        name=f"world on a {graph.name}",
        channels=tuple(f"seen {i}" for i in range(channels)),
        interval=h,
        truth={
            "outcome": run.outcome,
            "step": run.step,
            "nodes": n,
            "noise": noise,
            "strength": strength,
            "dimension": graph.truth["dimension"],
        },
    )
