"""Weights that drift, sources without regard to each other, and networks without a relation: tethers whose null is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.calibrating.world import World
from workbench.subjects.descents.siblings import Siblings
from workbench.subjects.descents.trajectory import Trajectory

KEPT = 30  # steps
SHAPES = ((24, 16), (10, 24))

Draw = Callable[[np.random.Generator], np.ndarray]


def descent(weights: Sequence[Sequence[np.ndarray]]) -> tuple[Trajectory, ...]:
    """A descent of which weights alone were kept: at each step the layers'."""
    import pandas as pd

    held = {t: {f"{i}.weight": w for i, w in enumerate(layers)} for t, layers in enumerate(weights)}
    return (Trajectory(pd.DataFrame({"loss": np.ones(len(held))}), weights=held, name="world"),)


def drifting(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """Weights whose magnitudes walk at random, every edge alike."""
    paths = [50 + np.cumsum(rng.standard_normal((KEPT, *s)), axis=0) for s in SHAPES]
    return descent(list(zip(*paths, strict=True)))


def fresh(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """Weights that are drawn anew at each step."""
    return descent([[rng.standard_normal(s) for s in SHAPES] for _ in range(KEPT)])


def staying(rng: np.random.Generator) -> tuple[Trajectory, ...]:
    """Weights that stay, seen with noise of a tenth of them that is another at each step."""
    first = [rng.standard_normal(s) for s in SHAPES]
    return descent([[w + 0.1 * rng.standard_normal(w.shape) for w in first] for t in range(KEPT)])


def _even(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape)


def _uneven(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Rows and columns of different scale: some neurons have all edges strong."""
    rows, columns = (np.exp(0.7 * rng.standard_normal(k)) for k in shape)
    return rows[:, None] * rng.standard_normal(shape) * columns


def unlike(of: Callable[[tuple[int, int], np.random.Generator], np.ndarray], shared: float = 0.0) -> Callable:
    """A descent whose last weights and whose movement since the first have nothing to do with each other, or something."""

    def make(rng: np.random.Generator) -> tuple[Trajectory, ...]:
        last = [of(s, rng) for s in SHAPES]
        moves = [
            np.sqrt(1 - shared) * of(s, rng) + np.sqrt(shared) * w for s, w in zip(SHAPES, last, strict=True)
        ]
        return descent([[w - m for w, m in zip(last, moves, strict=True)], last])

    return make


def _networks(draw: Callable[[np.random.Generator, int], list[np.ndarray]]) -> Callable:
    """Three small classifiers at one step, with a probe of noise."""

    def make(rng: np.random.Generator) -> tuple[Siblings, ...]:
        import pandas as pd
        import torch
        from torch import nn

        from workbench.numerics.objectives import Probe
        from workbench.subjects.descents.record import Record
        from workbench.subjects.descents.step_weights import ArrayWeights

        x = torch.from_numpy(rng.standard_normal((60, 20)).astype(np.float32))
        probe = Probe.of(x, torch.from_numpy(rng.integers(0, 5, 60)), "cross_entropy")
        members = []
        for i in range(3):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(rng.integers(2**31)))
                network = nn.Sequential(
                    nn.Linear(20, 14), nn.ReLU(), nn.Linear(14, 11), nn.ReLU(), nn.Linear(11, 5)
                )
            names = [n for n, _ in network.named_parameters()]
            state = {n: t.detach().numpy().copy() for n, t in network.state_dict().items()}
            drawn = draw(rng, i)
            for n, w in zip((n for n in names if n.endswith("weight")), drawn, strict=True) if drawn else ():
                state[n] = w.astype(np.float32)
                network.get_parameter(n).data = torch.from_numpy(state[n])
            record = Record(ArrayWeights({0: state}, names), probe=probe, model=network)
            members.append(Trajectory(pd.DataFrame({"loss": np.ones(1)}), record, name=f"world {i}"))
        return (Siblings(members, name="world"),)

    return make


WIDTHS = ((14, 20), (11, 14), (5, 11))
WORLDS = (
    World(
        "drifting weights",
        "weights whose magnitudes walk at random, every edge alike",
        ("Descent",),
        drifting,
        only=("bookmark_stability",),
        holds={"bookmark_stability": ("last_with_first",)},
    ),
    World(
        "fresh weights",
        "weights that are drawn anew at each step",
        ("Descent",),
        fresh,
        only=("bookmark_stability",),
    ),
    World(
        "staying weights",
        "weights that stay, with a tenth that is noise at each step",
        ("Descent",),
        staying,
        holds={"bookmark_stability": ("last_with_first",)},
    ),
    World(
        "unlike sources",
        "weights and movement that have nothing to do with each other",
        ("Descent",),
        unlike(_even),
        only=("tether_agreement",),
        parameters={"tether_agreement": {"sources": ("magnitude", "movement")}},
    ),
    World(
        "unlike sources, uneven neurons",
        "weights and movement that have nothing to do with each other, each with neurons of its own that are strong",
        ("Descent",),
        unlike(_uneven),
        only=("tether_agreement",),
        parameters={"tether_agreement": {"sources": ("magnitude", "movement")}},
    ),
    World(
        "alike sources",
        "a tenth of the movement's variance is along the weights",
        ("Descent",),
        unlike(_even, 0.1),
        holds={"tether_agreement": ("agreement",)},
        parameters={"tether_agreement": {"sources": ("magnitude", "movement")}},
    ),
    World(
        "unrelated networks",
        "three networks as they were initialized, each from a seed of its own",
        ("Models",),
        _networks(lambda rng, i: []),
        only=("tether_compatibility",),
    ),
    World(
        "unrelated networks, uneven neurons",
        "three networks without a relation, each with neurons of its own that are strong",
        ("Models",),
        _networks(lambda rng, i: [0.2 * _uneven(s, rng) for s in WIDTHS]),
        only=("tether_compatibility",),
    ),
)
